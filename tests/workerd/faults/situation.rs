//! Where a fault may hit, and what is right there.

use std::ops::Range;

use serde_json::Value;
use test_support::http::{Answer, Request};

use super::Place;
use super::gzip::gunzip;
use crate::support::origin::{Media, SERVER_NAME};
use crate::support::world::{
    download, download_path, federation_path, legacy_download, legacy_path, media_domain,
    same_host, wait_until_shown,
};

const THUMBNAIL: &str = "width=96&height=96&method=crop";
/// In the second half.
const PART: Range<usize> = 250_000..250_100;
const SIGNATURE: &str = r#"X-Matrix origin="other.example",key="ed25519:1",sig="c2ln""#;
const WELL_KNOWN: &str = "/.well-known/matrix/client";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    Miss,
    Part,
    Awaited,
    Legacy,
    Federation,
    Strict,
    Stale,
    Leased,
    Upload,
    WellKnown,
}

/// A request, and what answers it.
pub(crate) struct Scene {
    pub(crate) situation: Situation,
    /// What the origin is asked for.
    pub(crate) path: String,
    pub(crate) request: Request,
    /// What it is stored under, if it is.
    pub(crate) key: Option<String>,
    /// Another one who wants the same, and gets it.
    pub(crate) other: Option<Request>,
    right: Right,
}

#[derive(Clone)]
enum Right {
    Bytes(Vec<u8>),
    /// These bytes of those.
    Part(Range<usize>, Vec<u8>),
    /// An envelope with these bytes in it.
    Enveloped(Vec<u8>),
    Json(&'static str),
}

impl Situation {
    pub(crate) const ALL: [Self; 10] = [
        Self::Miss,
        Self::Part,
        Self::Awaited,
        Self::Legacy,
        Self::Federation,
        Self::Strict,
        Self::Stale,
        Self::Leased,
        Self::Upload,
        Self::WellKnown,
    ];

    /// The words for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Part => "range of a miss",
            Self::Awaited => "coalesced thumbnail miss",
            Self::Legacy => "miss, legacy endpoint",
            Self::Federation => "miss, federation endpoint",
            Self::Strict => "cached, strict",
            Self::Stale => "cached, stale window",
            Self::Leased => "cached, leased",
            Self::Upload => "upload",
            Self::WellKnown => "well-known",
        }
    }

    /// Sets it up, up to the request that the fault is to hit.
    pub(crate) fn set(self, place: &Place) -> Scene {
        let bytes = place.body.clone();
        let token = place.token();
        let id = place.add(Media { is_legacy: true, ..Media::new("image/png", &bytes) });
        let content = format!("v2/{SERVER_NAME}/media/{SERVER_NAME}/{id}/{SERVER_NAME}/content");
        let scene = |path: String, request: Request, right: Right| {
            let key = Some(content.clone());
            Scene { situation: self, path, request, key, other: None, right }
        };
        match self {
            Self::Miss => scene(download_path(&id), download(&id, &token), Right::Bytes(bytes)),
            Self::Part => {
                let range = format!("bytes={}-{}", PART.start, PART.end - 1);
                let request = download(&id, &token).header("Range", range);
                scene(download_path(&id), request, Right::Part(PART, bytes))
            }
            Self::Awaited => {
                let path = format!("/_matrix/client/v1/media/thumbnail/{SERVER_NAME}/{id}");
                let thumbnail =
                    |token: &str| media_domain("GET", format!("{path}?{THUMBNAIL}")).bearer(token);
                Scene {
                    key: Some(format!(
                        "v2/{SERVER_NAME}/media/{SERVER_NAME}/{id}/{SERVER_NAME}/thumbnail/96x96-crop"
                    )),
                    other: Some(thumbnail(&place.token())),
                    ..scene(path.clone(), thumbnail(&token), Right::Bytes(THUMBNAIL.into()))
                }
            }
            Self::Legacy => scene(legacy_path(&id), legacy_download(&id), Right::Bytes(bytes)),
            Self::Federation => {
                let path = federation_path(&id);
                let request = same_host("GET", &path).header("Authorization", SIGNATURE);
                let key = Some(format!("v2/example.com/federation/{id}/content"));
                Scene { key, ..scene(path, request, Right::Enveloped(bytes)) }
            }
            Self::Strict | Self::Stale | Self::Leased => {
                let by = if self == Self::Strict { place.token() } else { token.clone() };
                place.store(self, &content, &download(&id, &by));
                scene(download_path(&id), download(&id, &token), Right::Bytes(bytes))
            }
            Self::Upload => {
                let path = format!("/_matrix/media/v3/upload?filename={id}");
                let request = media_domain("POST", &path).bearer(&token).body(bytes);
                Scene { key: None, ..scene(path, request, Right::Json("content_uri")) }
            }
            Self::WellKnown => {
                let (path, request) = (WELL_KNOWN.to_owned(), same_host("GET", WELL_KNOWN));
                place.announce(&path);
                let scene =
                    Scene { key: None, ..scene(path, request, Right::Json("m.media_server")) };
                let answer = place.send(self, &scene.request).expect("an answer");
                assert!(scene.is_right(&answer), "{answer:?}");
                wait_until_shown(place.edge(self));
                scene
            }
        }
    }
}

impl Scene {
    /// Whether the answer is all of what was asked for.
    pub(crate) fn is_right(&self, answer: &Answer) -> bool {
        let (status, body) = (answer.status, &answer.body);
        match &self.right {
            Right::Part(part, bytes) if status == 206 => *body == bytes[part.clone()],
            Right::Json(member) => {
                let json: Value = serde_json::from_slice(body).unwrap_or_default();
                status == 200 && !json[*member].is_null()
            }
            _ if answer.header("content-encoding") == Some("gzip") => {
                status == 200 && gunzip(body).is_some_and(|body| self.is_of_media(&body))
            }
            _ => status == 200 && self.is_of_media(body),
        }
    }

    /// Whether these are the bytes of the whole.
    pub(crate) fn is_of_media(&self, body: &[u8]) -> bool {
        match &self.right {
            Right::Bytes(bytes) | Right::Part(_, bytes) => body == bytes,
            Right::Enveloped(bytes) => body.windows(bytes.len()).any(|part| part == bytes),
            Right::Json(_) => false,
        }
    }

    /// The same request some time later, for the whole.
    pub(crate) fn again(&self) -> Self {
        let mut request = self.request.clone();
        let mut right = self.right.clone();
        if let Right::Part(_, bytes) = right {
            request = request.without("Range");
            right = Right::Bytes(bytes);
        }
        let (path, key) = (self.path.clone(), self.key.clone());
        Self { situation: self.situation, path, request, key, other: None, right }
    }
}
