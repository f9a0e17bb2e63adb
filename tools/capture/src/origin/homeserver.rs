//! What the origin answers without a script: as Synapse does, as far as media goes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use test_support::wire::{Headers, RequestHead};

use super::reply::Reply;

pub(crate) const SERVER_NAME: &str = "example.com";

/// The largest upload that it takes.
const UPLOAD_LIMIT_BYTES: usize = 100_000;

const BOUNDARY: &str = "6d61747269782d6d656469612d656467";

/// A file, and who may see it.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    content_type: String,
    file_name: Option<String>,
    body: Vec<u8>,
    /// Whether the legacy endpoints serve it too.
    is_legacy: bool,
}

impl Media {
    pub(crate) fn new(body: impl AsRef<[u8]>) -> Self {
        Self {
            content_type: "image/png".to_owned(),
            file_name: None,
            body: body.as_ref().to_owned(),
            is_legacy: false,
        }
    }

    #[must_use]
    pub(crate) fn named(mut self, file_name: &str) -> Self {
        self.file_name = Some(file_name.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn legacy(mut self) -> Self {
        self.is_legacy = true;
        self
    }
}

/// Its users' tokens and its media, by server name and media ID.
#[derive(Default)]
pub(crate) struct Homeserver {
    tokens: BTreeSet<String>,
    media: BTreeMap<String, Media>,
    uploads: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Token,
    Signature,
    Anyone,
}

impl Homeserver {
    pub(crate) fn log_in(&mut self, token: &str) {
        self.tokens.insert(token.to_owned());
    }

    pub(crate) fn log_out(&mut self, token: &str) {
        assert!(self.tokens.remove(token), "{token} is not logged in");
    }

    /// Adds media of its own server.
    pub(crate) fn add(&mut self, id: &str, media: Media) {
        self.add_of(SERVER_NAME, id, media);
    }

    /// Adds media of any server.
    pub(crate) fn add_of(&mut self, server_name: &str, id: &str, media: Media) {
        self.media.insert(format!("{server_name}/{id}"), media);
    }

    /// Removes media of its own server.
    pub(crate) fn remove(&mut self, id: &str) {
        self.media.remove(&format!("{SERVER_NAME}/{id}")).expect("there is such media");
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, head: &RequestHead, body: &[u8]) -> Reply {
        let path = head.target.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let access = match segments[..] {
            ["_matrix", "client", "v1", "media", ..]
            | ["_matrix", "client", "v3", "account", "whoami"] => Access::Token,
            ["_matrix", "federation", "v1", "media", ..] => Access::Signature,
            ["_matrix", "media", _, "download" | "thumbnail", ..] => Access::Anyone,
            ["_matrix", "media", ..] => Access::Token,
            _ => return Reply::error(404, "M_UNRECOGNIZED", "Unrecognized request"),
        };
        if let Err(refusal) = self.authorize(access, head) {
            return refusal;
        }
        match (head.method.as_str(), &segments[1..]) {
            ("GET" | "HEAD", ["federation", "v1", "media", _, id]) => self.federated(id, head),
            ("GET" | "HEAD", [.., kind @ ("download" | "thumbnail"), server_name, id]) => {
                self.media(access, kind, &format!("{server_name}/{id}"), head)
            }
            ("GET", [.., "config"]) => {
                Reply::json(200, &json!({ "m.upload.size": UPLOAD_LIMIT_BYTES }))
            }
            ("GET", [.., "whoami"]) => Reply::json(200, &json!({ "user_id": "@a:example.com" })),
            ("GET", [.., "preview_url"]) => Reply::json(200, &json!({ "og:title": "Title" })),
            ("POST", ["media", "v1", "create"]) => self.create(),
            ("POST", ["media", _, "upload"]) => self.upload(None, &head.headers, body),
            ("PUT", ["media", _, "upload", SERVER_NAME, id]) => {
                self.upload(Some(id), &head.headers, body)
            }
            ("GET" | "HEAD", _) => Reply::error(404, "M_NOT_FOUND", "Not found"),
            _ => Reply::error(404, "M_UNRECOGNIZED", "Unrecognized request"),
        }
    }

    fn authorize(&self, access: Access, head: &RequestHead) -> Result<(), Reply> {
        let refuse = |errcode, error| Err(Reply::error(401, errcode, error));
        let header = head.headers.get("authorization");
        let in_query = head.target.split(['?', '&']).find_map(|p| p.strip_prefix("access_token="));
        let token = header.map_or(in_query, |header| header.strip_prefix("Bearer "));
        match access {
            Access::Anyone => Ok(()),
            Access::Signature if header.is_some_and(|h| h.starts_with("X-Matrix ")) => Ok(()),
            Access::Signature => refuse("M_UNAUTHORIZED", "Missing Authorization headers"),
            Access::Token if header.is_some() && in_query.is_some() => {
                refuse("M_MISSING_TOKEN", "Mixing Authorization headers and access_token")
            }
            Access::Token => match token {
                None => refuse("M_MISSING_TOKEN", "Missing access token"),
                Some(token) if self.tokens.contains(token) => Ok(()),
                Some(_) => refuse("M_UNKNOWN_TOKEN", "Invalid access token passed."),
            },
        }
    }

    fn media(&self, access: Access, kind: &str, name: &str, head: &RequestHead) -> Reply {
        let Some(media) = self.media.get(name).filter(|m| access != Access::Anyone || m.is_legacy)
        else {
            return Reply::error(404, "M_NOT_FOUND", "Not found");
        };
        let disposition = media.file_name.as_ref().filter(|_| kind == "download");
        let disposition = disposition
            .map_or_else(|| "inline".to_owned(), |name| format!("inline; filename={name}"));
        // A thumbnail tells its parameters, so that no two are alike.
        let query = head.target.split_once('?').map_or("", |(_, query)| query);
        let body = if kind == "thumbnail" { query.as_bytes() } else { &media.body };
        let reply = Reply::media(body).without("Content-Type").without("Content-Disposition");
        let reply = reply.header("ETag", "1").header("Content-Type", &media.content_type);
        reply.header("Content-Disposition", disposition).conditional().to_request(head)
    }

    fn federated(&self, id: &str, head: &RequestHead) -> Reply {
        let Some(media) = self.media.get(&format!("{SERVER_NAME}/{id}")) else {
            return Reply::error(404, "M_NOT_FOUND", "Not found");
        };
        let before = format!(
            "\r\n--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
             --{BOUNDARY}\r\nContent-Type: {}\r\nContent-Disposition: inline\r\n\r\n",
            media.content_type
        );
        let after = format!("\r\n--{BOUNDARY}--\r\n");
        let reply = Reply::new(200)
            .header("Cache-Control", "public,max-age=86400,s-maxage=0,proxy-revalidate")
            .header("ETag", "1")
            .header("Content-Type", format!("multipart/mixed; boundary={BOUNDARY}"))
            .body([before.as_bytes(), &media.body, after.as_bytes()].concat());
        reply.conditional().to_request(head)
    }

    fn create(&mut self) -> Reply {
        self.uploads += 1;
        let uri = format!("mxc://{SERVER_NAME}/created{}", self.uploads);
        Reply::json(200, &json!({ "content_uri": uri }))
    }

    fn upload(&mut self, id: Option<&str>, headers: &Headers, body: &[u8]) -> Reply {
        if body.len() > UPLOAD_LIMIT_BYTES {
            return Reply::error(413, "M_TOO_LARGE", "Upload request body is too large");
        }
        let content_type = headers.get("content-type").unwrap_or("application/octet-stream");
        let media = Media { content_type: content_type.to_owned(), ..Media::new(body) };
        match id {
            Some(id) if self.media.contains_key(&format!("{SERVER_NAME}/{id}")) => {
                Reply::error(409, "M_CANNOT_OVERWRITE_MEDIA", "Media ID already has content")
            }
            Some(id) => {
                self.add(id, media);
                Reply::json(200, &json!({}))
            }
            None => {
                self.uploads += 1;
                let id = format!("uploaded{}", self.uploads);
                self.add(&id, media);
                Reply::json(200, &json!({ "content_uri": format!("mxc://{SERVER_NAME}/{id}") }))
            }
        }
    }
}
