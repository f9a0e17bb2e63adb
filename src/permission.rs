//! Which answers of the origin are the homeserver's permission, and which its refusal.
//!
//! Anything may stand in front of a homeserver and answer in its place: a bot wall, a login page, a
//! maintenance page, a cache, a rate limiter. So a status alone is no answer of the homeserver. It
//! counts only with what only a homeserver would send: an answer to a condition that the edge
//! itself made, media with the homeserver's mark, or a Matrix error.

use std::borrow::Cow;

use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use serde::Deserialize;

use crate::cache::entry::{StoredMeta, Validator};
use crate::headers::{is_html, media_type};
use crate::matrix::json;
use crate::matrix::media::Door;
use crate::origin::{OriginAnswer, OriginHead, redirect};

/// Types that a page in the homeserver's place has. A homeserver sends media of these types too,
/// with a `Content-Disposition`.
const PAGE_TYPES: [&str; 4] =
    ["text/html", "application/xhtml+xml", "application/json", "text/plain"];

/// What a homeserver has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credential: 401 or 403.
    Credential,
    /// The media, to a credential that it accepted: 404, 410 or 451.
    Media,
}

/// Returns whether an answer of status 200 bears the homeserver's mark. At the client and the legacy
/// door that is a `Content-Disposition`, required since v1.12
/// (<https://spec.matrix.org/v1.15/client-server-api/#content-repository>); or, for homeservers that
/// are older, a validator together with a type that no page has. At the federation door it is the
/// type of an envelope.
pub fn has_mark(head: &OriginHead, door: Door) -> bool {
    match door {
        Door::Federation => is_envelope(head),
        Door::Client | Door::Legacy | Door::Other => {
            head.headers.contains_key(CONTENT_DISPOSITION)
                || [ETAG, LAST_MODIFIED].iter().any(|name| head.headers.contains_key(name))
                    && media_type(&head.headers)
                        .is_some_and(|found| !PAGE_TYPES.contains(&found.as_str()))
        }
    }
}

/// Returns whether a storable 200 may replace the stored response, and so is as good as a 304: its
/// validator may replace the stored one ([`Validator::may_replace`]), it has a
/// `Content-Disposition` if the stored response has one, and its type is the stored one or, unless
/// a redirect led to it, any but HTML.
pub fn may_replace(head: &OriginHead, validator: &Validator, stored: &StoredMeta) -> bool {
    let found_type = media_type(&head.headers);
    let has_stored_type = found_type == stored.media_type();
    let is_redirected = matches!(validator, Validator::Redirect(_));
    validator.may_replace(stored.validator())
        && (has_stored_type || !is_redirected && !is_html(&head.headers))
        && (head.headers.contains_key(CONTENT_DISPOSITION) || stored.disposition().is_none())
}

/// Returns whether a 304 is about what is stored. A 304 to a date alone may be about a page in its
/// place: a file server sends one for any file that is no newer, with that file's tag or date.
pub fn confirms_by_condition(head: &OriginHead, stored: &StoredMeta) -> bool {
    match stored.validator() {
        Validator::ETag(_) => true,
        Validator::LastModified(date) => match head.headers.get(LAST_MODIFIED) {
            Some(found) => found == date,
            None => !head.headers.contains_key(ETAG),
        },
        // The origin never sent the guessed tag, so no cache on the way holds an answer with it: a
        // 304 to it comes from whoever has accepted the credential.
        Validator::None => true,
        Validator::Redirect(_) => false,
    }
}

/// Returns whether the answer to a HEAD of the edge's own confirms what is stored: 200 with the
/// length and the type of the stored response, and the homeserver's mark.
pub fn confirms_by_head(head: &OriginHead, stored: &StoredMeta, door: Door) -> bool {
    head.status == StatusCode::OK
        && head.content_length() == Some(stored.length_bytes())
        && media_type(&head.headers) == stored.media_type()
        && has_mark(head, door)
}

/// Returns whether an answer redirects to the scheme, host and path to which the homeserver did when
/// the stored response was fetched. `from` is the URL that was asked.
pub fn confirms_by_redirect(from: &str, head: &OriginHead, stored: &StoredMeta) -> bool {
    let Validator::Redirect(known) = stored.validator() else { return false };
    redirect::target(from, head).is_some_and(|target| redirect::place(&target) == known)
}

/// Returns whether the answer to `whoami` knows the token: a JSON object with a user ID.
/// <https://spec.matrix.org/v1.15/client-server-api/#get_matrixclientv3accountwhoami>
pub fn knows_token(answer: &OriginAnswer) -> bool {
    let known: Option<WhoAmI<'_>> = answer.text.as_deref().and_then(json::object);
    answer.head.status == StatusCode::OK
        && known.is_some_and(|known| known.user_id.starts_with('@'))
}

/// What is read of an answer to `whoami`.
#[derive(Deserialize)]
struct WhoAmI<'a> {
    #[serde(borrow)]
    user_id: Cow<'a, str>,
}

/// Returns what a homeserver refuses by an answer; `None` where the answer is no Matrix error, or
/// one that revokes nothing. `M_UNRECOGNIZED` is about an endpoint, not about media.
pub fn refusal(answer: &OriginAnswer) -> Option<Refusal> {
    let errcode = answer.errcode()?;
    match answer.head.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Refusal::Credential),
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            (errcode != "M_UNRECOGNIZED").then_some(Refusal::Media)
        }
        _ => None,
    }
}

/// Returns whether an answer of this status may be a [`refusal`].
pub fn may_refuse(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 404 | 410 | 451)
}

/// Returns whether the type is that of federation media: parts between a boundary.
/// <https://spec.matrix.org/v1.15/server-server-api/#get_matrixfederationv1mediadownloadmediaid>
fn is_envelope(head: &OriginHead) -> bool {
    let has_boundary = head.header(&CONTENT_TYPE).is_some_and(|field| {
        field.split(';').skip(1).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("boundary") && !value.trim_matches('"').is_empty()
        })
    });
    has_boundary && media_type(&head.headers).as_deref() == Some("multipart/mixed")
}

#[cfg(test)]
mod tests;
