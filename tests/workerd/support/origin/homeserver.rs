//! What the stand-in does by default: as Synapse does, as far as media goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use test_support::wire::{Headers, RequestHead};

use super::reply::{MEDIA_HEADERS, Reply};

pub(crate) const SERVER_NAME: &str = "example.com";

/// The largest upload that it takes.
pub(crate) const UPLOAD_LIMIT_BYTES: usize = 10_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Media {
    pub(crate) content_type: String,
    pub(crate) file_name: Option<String>,
    pub(crate) body: Arc<[u8]>,
    /// Whether it was there before media needed a token, and so is at the legacy door.
    pub(crate) is_legacy: bool,
    pub(crate) is_quarantined: bool,
}

impl Media {
    pub(crate) fn new(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self {
            content_type: content_type.to_owned(),
            file_name: None,
            body: body.as_ref().into(),
            is_legacy: false,
            is_quarantined: false,
        }
    }
}

#[derive(Default)]
pub(crate) struct Homeserver {
    tokens: BTreeSet<String>,
    media: BTreeMap<String, Media>,
    created: u32,
}

impl Homeserver {
    /// A token that nobody had before.
    pub(crate) fn log_in(&mut self) -> String {
        let token = format!("syt_{}", self.next());
        self.tokens.insert(token.clone());
        token
    }

    pub(crate) fn log_out(&mut self, token: &str) {
        assert!(self.tokens.remove(token), "{token} is not logged in");
    }

    /// Takes up media; returns its ID.
    pub(crate) fn add(&mut self, media: Media) -> String {
        let id = format!("media{}", self.next());
        self.media.insert(id.clone(), media);
        id
    }

    pub(crate) fn quarantine(&mut self, id: &str) {
        self.media.get_mut(id).expect("there is such media").is_quarantined = true;
    }

    pub(crate) fn delete(&mut self, id: &str) {
        self.media.remove(id).expect("there is such media");
    }

    /// Answers for media under another spelling of its ID as well.
    pub(crate) fn alias(&mut self, spelling: &str, id: &str) {
        let media = self.media[id].clone();
        self.media.insert(spelling.to_owned(), media);
    }

    /// The media behind an ID.
    pub(crate) fn media(&self, id: &str) -> Option<&Media> {
        self.media.get(id)
    }

    fn next(&mut self) -> u32 {
        self.created += 1;
        self.created
    }

    pub(crate) fn answer(&mut self, head: &RequestHead, body: Vec<u8>) -> Reply {
        let path = head.target.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let door = match segments[..] {
            ["_matrix", "client", "v1", "media", ..] => Door::Client,
            ["_matrix", "client", "v3", "account", "whoami"] => Door::Client,
            ["_matrix", "federation", "v1", "media", ..] => Door::Federation,
            ["_matrix", "media", "r0" | "v1" | "v3", "download" | "thumbnail", ..] => Door::Legacy,
            ["_matrix", "media", "r0" | "v1" | "v3", ..] => Door::Client,
            _ => return unrecognized(),
        };
        if let Err(refusal) = self.check_credential(door, head) {
            return refusal;
        }
        match (head.method.as_str(), &segments[1..]) {
            ("GET" | "HEAD", [_, "v1", "media", "download" | "thumbnail", id])
                if door == Door::Federation =>
            {
                self.federated(id, head)
            }
            ("GET" | "HEAD", [.., kind @ ("download" | "thumbnail"), SERVER_NAME, id]) => {
                self.download(door, kind, (id, None), head)
            }
            ("GET" | "HEAD", [.., kind @ "download", SERVER_NAME, id, name]) => {
                self.download(door, kind, (id, Some(name)), head)
            }
            ("POST", ["media", _, "upload"]) => self.upload(None, &head.headers, body),
            ("PUT", ["media", "v3", "upload", SERVER_NAME, id]) => {
                self.upload(Some(id), &head.headers, body)
            }
            ("POST", ["media", "v1", "create"]) => {
                let id = format!("media{}", self.next());
                Reply::json(200, &json!({ "content_uri": format!("mxc://{SERVER_NAME}/{id}") }))
            }
            ("GET" | "HEAD", [.., "config"]) => {
                Reply::json(200, &json!({ "m.upload.size": UPLOAD_LIMIT_BYTES }))
            }
            ("GET", [.., "whoami"]) => Reply::json(200, &json!({ "user_id": "@a:example.com" })),
            ("GET" | "HEAD", [.., "preview_url"]) => Reply::json(200, &json!({ "og:title": "T" })),
            ("GET" | "HEAD", _) => Reply::error(404, "M_NOT_FOUND", "Not found"),
            _ => unrecognized(),
        }
    }

    fn check_credential(&self, door: Door, head: &RequestHead) -> Result<(), Reply> {
        let refuse = |errcode, error| Err(Reply::error(401, errcode, error));
        let header = head.headers.get("authorization");
        let in_query = head.target.split(['?', '&']).find_map(|p| p.strip_prefix("access_token="));
        match door {
            Door::Legacy => Ok(()),
            Door::Federation if header.is_some_and(|c| c.starts_with("X-Matrix ")) => Ok(()),
            Door::Federation => refuse("M_UNAUTHORIZED", "Missing Authorization headers"),
            Door::Client if header.is_some() && in_query.is_some() => {
                refuse("M_MISSING_TOKEN", "Mixing Authorization headers and access_token")
            }
            Door::Client => match header.map_or(in_query, |h| h.strip_prefix("Bearer ")) {
                None => refuse("M_MISSING_TOKEN", "Missing access token"),
                Some(token) if self.tokens.contains(token) => Ok(()),
                Some(_) => refuse("M_UNKNOWN_TOKEN", "Invalid access token passed."),
            },
        }
    }

    fn download(
        &self,
        door: Door,
        kind: &str,
        (id, name): (&str, Option<&str>),
        head: &RequestHead,
    ) -> Reply {
        let not_found = Reply::error(404, "M_NOT_FOUND", "Not found");
        let Some(media) = self.media.get(id).filter(|media| !media.is_quarantined) else {
            return not_found;
        };
        if door == Door::Legacy && !media.is_legacy {
            return not_found;
        }
        let is_known = head.headers.get("if-none-match") == Some("1");
        let mut reply = Reply::new(if is_known { 304 } else { 200 });
        for (field, value) in MEDIA_HEADERS {
            let is_for_downloads = matches!(
                field,
                "Content-Security-Policy" | "X-Content-Security-Policy" | "Referrer-Policy"
            );
            if kind == "download" || !is_for_downloads {
                reply = reply.header(field, value);
            }
        }
        if is_known {
            return reply;
        }
        let disposition = match name.or(media.file_name.as_deref()) {
            Some(name) if kind == "download" => format!("inline; filename={name}"),
            _ => "inline".to_owned(),
        };
        // A thumbnail tells its parameters, so that no two are alike.
        let query = head.target.split_once('?').map_or("", |(_, query)| query);
        let body = if kind == "thumbnail" { query.as_bytes() } else { &media.body };
        reply
            .header("Content-Type", &media.content_type)
            .header("Content-Disposition", disposition)
            .header("X-Robots-Tag", "noindex, nofollow, noarchive, noimageindex")
            .body(body)
    }

    fn federated(&mut self, id: &str, head: &RequestHead) -> Reply {
        // A new one each time.
        let boundary = format!("{:032x}", self.next());
        let Some(media) = self.media.get(id).filter(|media| !media.is_quarantined) else {
            return Reply::error(404, "M_NOT_FOUND", "Not found");
        };
        let is_known = head.headers.get("if-none-match") == Some("1");
        let reply = Reply::new(if is_known { 304 } else { 200 })
            .header("Cache-Control", "public,max-age=86400,s-maxage=0,proxy-revalidate")
            .header("ETag", "1");
        if is_known {
            return reply;
        }
        let type_ = &media.content_type;
        let before = format!(
            "\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
             --{boundary}\r\nContent-Type: {type_}\r\nContent-Disposition: inline\r\n\r\n"
        );
        let after = format!("\r\n--{boundary}--\r\n");
        reply
            .header("Content-Type", format!("multipart/mixed; boundary={boundary}"))
            .body([before.as_bytes(), &media.body, after.as_bytes()].concat())
    }

    fn upload(&mut self, id: Option<&str>, headers: &Headers, body: Vec<u8>) -> Reply {
        if headers.get("content-length").is_none() {
            return Reply::error(400, "M_UNKNOWN", "Request must specify a Content-Length");
        }
        if body.len() > UPLOAD_LIMIT_BYTES {
            return Reply::error(413, "M_TOO_LARGE", "Upload request body is too large");
        }
        let content_type = headers.get("content-type").unwrap_or("application/octet-stream");
        let media = Media::new(content_type, body);
        match id {
            Some(id) if self.media.contains_key(id) => {
                Reply::error(409, "M_CANNOT_OVERWRITE_MEDIA", "Media ID already has content")
            }
            Some(id) => {
                self.media.insert(id.to_owned(), media);
                Reply::json(200, &json!({}))
            }
            None => {
                let id = self.add(media);
                Reply::json(200, &json!({ "content_uri": format!("mxc://{SERVER_NAME}/{id}") }))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Client,
    Federation,
    Legacy,
}

fn unrecognized() -> Reply {
    Reply::error(404, "M_UNRECOGNIZED", "Unrecognized request")
}
