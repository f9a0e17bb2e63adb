//! What an exchange asks the origin for: one spelling for all requests that mean one thing, so that
//! nothing in front of the homeserver can tell them apart and answer one in another's place.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Exchange;
use crate::config::OriginRedirects;
use crate::matrix::media::{Door, Representation, is_redirect_parameter};

/// What RFC 3986 §2.3 leaves unescaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether anyone may wait for media that is still being uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Nothing is stored, so the media may yet be uploaded: waits for as long as the client asks.
    ForUpload,
    /// It is stored, and so was uploaded: the homeserver's default timeout is enough.
    ForNothing,
}

impl Exchange {
    /// Returns path and query for the origin, without the file name: one stored response serves
    /// every name, and without one the origin tells the name that the upload had. At the federation
    /// door they are signed, and go as they came.
    pub(super) fn origin_target(&self, waiting: Waiting) -> String {
        let path = &self.request.origin_path;
        let target = &self.head.target;
        if self.request.door == Door::Federation {
            return format!("{path}{}", &target.as_str()[target.path().len()..]);
        }
        let mut query = match self.request.representation {
            Representation::Content => String::new(),
            Representation::Thumbnail(spec) => spec.to_query(),
        };
        for (name, value) in target.query().pairs() {
            if self.is_sent(&name, &value, waiting) {
                let separator = if query.is_empty() { "" } else { "&" };
                let value = utf8_percent_encode(&value, ESCAPED);
                query.push_str(&format!("{separator}{name}={value}"));
            }
        }
        if query.is_empty() { path.clone() } else { format!("{path}?{query}") }
    }

    /// Returns whether a parameter is sent to the origin. All names are known here: a request with
    /// another never gets to an exchange.
    fn is_sent(&self, name: &str, value: &str, waiting: Waiting) -> bool {
        match name {
            "width" | "height" | "method" | "animated" => false,
            // It is the default.
            "allow_remote" => value != "true",
            "timeout_ms" => waiting == Waiting::ForUpload || !is_number(value),
            name if is_redirect_parameter(name) => {
                self.config.origin_redirects == OriginRedirects::Pass
            }
            _ => true,
        }
    }

    /// Returns whether the client's own redirect parameter is sent to the origin, whose answer then
    /// is for this client alone.
    pub(super) fn invites_redirects(&self) -> bool {
        self.config.origin_redirects == OriginRedirects::Pass
            && self.head.target.query().pairs().any(|(name, _)| is_redirect_parameter(&name))
    }

    /// Returns whether the client has asked for redirects (`allow_redirect=true`).
    pub(super) fn wants_redirects(&self) -> bool {
        let mut pairs = self.head.target.query().pairs();
        pairs.any(|(name, value)| is_redirect_parameter(&name) && value == "true")
    }
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
}
