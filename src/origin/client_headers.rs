//! Which of the client's headers go along to the origin.
//!
//! A media endpoint is asked by an allow-list. What merely passes through is changed as little as RFC
//! 9110 §7.6.1 allows.

use http::header::CONNECTION;

use crate::headers::{HOP_BY_HOP, LOOP, is_named_by_connection};

/// Request headers that a media endpoint may read. No `Expect`: the runtime can't relay a 100.
const MEDIA_REQUEST: [&str; 11] = [
    "accept",
    "accept-language",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "origin",
    "referer",
    "user-agent",
    "x-requested-with",
];

/// RFC 9110 §13.1 and §14.2.
const CONDITIONS: [&str; 6] =
    ["if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"];

/// Headers that tell who is connecting: the platform's or the edge's to write, anyone's to forge.
const FORWARDING: [&str; 4] = ["forwarded", "true-client-ip", "via", "x-real-ip"];

/// Returns whether the field `name` (lower case) tells who is connecting, or how: the platform and
/// proxies write these into any request.
pub fn tells_who_connects(name: &str) -> bool {
    FORWARDING.contains(&name) || name.starts_with("cf-") || name.starts_with("x-forwarded-")
}

/// Which headers of the client's request go along to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientHeaders {
    /// Those that a media endpoint reads: the origin answers the client itself.
    Endpoint,
    /// All but hop-by-hop, platform and forged forwarding headers.
    Most,
    /// None of them: the request is the edge's own.
    None,
}

impl ClientHeaders {
    /// Returns the names of those of the client's fields that are not sent on, what its `Connection`
    /// names among them. `fields` is all that the client sent: names (lower case) and values.
    pub fn dropped<'a>(self, fields: &[(&'a str, &'a str)]) -> Vec<&'a str> {
        let is_named = |name: &str| {
            let mut connection = fields.iter().filter(|(field, _)| *field == CONNECTION.as_str());
            connection.any(|(_, options)| is_named_by_connection(options, name))
        };
        let names = fields.iter().map(|(name, _)| *name);
        names.filter(|name| !self.admits(name) || is_named(name)).collect()
    }

    /// Returns whether the client's header `name` (lower case) is sent on if no `Connection` names it.
    fn admits(self, name: &str) -> bool {
        match self {
            Self::Endpoint => MEDIA_REQUEST.contains(&name) || CONDITIONS.contains(&name),
            // `Upgrade` too, for a WebSocket, though it is a hop's.
            Self::Most => {
                !(HOP_BY_HOP.contains(&name) || tells_who_connects(name) || name == LOOP.as_str())
            }
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: [(&str, &str); 5] = [
        ("accept", "*/*"),
        ("authorization", "Bearer abc"),
        ("connection", "close, Range"),
        ("range", "bytes=0-"),
        ("x-anything", "a"),
    ];

    #[test]
    fn forwarded_endpoints_receive_conditions_and_ranges() {
        for name in ["authorization", "content-type", "content-length", "range", "if-none-match"] {
            assert!(ClientHeaders::Endpoint.admits(name), "{name}");
        }
        for name in ["cookie", "connection", "expect", "x-forwarded-for", "upgrade", "x-anything"] {
            assert!(!ClientHeaders::Endpoint.admits(name), "{name}");
        }
    }

    #[test]
    fn pass_through_drops_hops_and_forgeries_only() {
        for name in
            ["cookie", "range", "if-none-match", "upgrade", "sec-websocket-key", "x-anything"]
        {
            assert!(ClientHeaders::Most.admits(name), "{name}");
        }
        for name in [
            "connection",
            "expect",
            "te",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "cf-ray",
            "cf-connecting-ip",
            "true-client-ip",
            "x-matrix-media-edge",
        ] {
            assert!(!ClientHeaders::Most.admits(name), "{name}");
        }
    }

    #[test]
    fn headers_that_connection_names_are_dropped_too() {
        for (client_headers, dropped) in [
            (ClientHeaders::Endpoint, &["connection", "range", "x-anything"][..]),
            (ClientHeaders::Most, &["connection", "range"]),
            (
                ClientHeaders::None,
                &["accept", "authorization", "connection", "range", "x-anything"],
            ),
        ] {
            assert_eq!(client_headers.dropped(&SENT), dropped, "{client_headers:?}");
        }
    }

    #[test]
    fn unadmitted_headers_alone_are_dropped_without_connection() {
        let sent = SENT.into_iter().filter(|(name, _)| *name != "connection").collect::<Vec<_>>();
        assert_eq!(ClientHeaders::Endpoint.dropped(&sent), ["x-anything"]);
        assert!(ClientHeaders::Most.dropped(&sent).is_empty());
    }

    #[test]
    fn every_connection_field_counts_wherever_it_stands() {
        let sent =
            [("range", ""), ("connection", "a"), ("cookie", ""), ("connection", "cookie,range")];
        let dropped = ["range", "connection", "cookie", "connection"];
        assert_eq!(ClientHeaders::Most.dropped(&sent), dropped);
    }

    #[test]
    fn an_upgrade_is_sent_on_though_connection_names_it() {
        let sent = [("connection", "Upgrade"), ("upgrade", "websocket")];
        assert_eq!(ClientHeaders::Most.dropped(&sent), ["connection"]);
        assert_eq!(ClientHeaders::Endpoint.dropped(&sent), ["connection", "upgrade"]);
    }
}
