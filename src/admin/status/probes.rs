//! What the homeserver and the host of the well-known documents are asked for the status.

use http::Method;
use http::header::HeaderMap;

use crate::config::Config;
use crate::headers::{LOOP, own_value};
use crate::matrix::well_known::Document;
use crate::origin::client_headers::ClientHeaders;
use crate::origin::forwarding::ask_for_identity;
use crate::origin::{OriginError, OriginHead, OriginRequest, Timeout};

/// The timeout of each probe with its redirects and its body, in milliseconds.
pub const PROBE_TIMEOUT_MS: u32 = 5_000;

/// The most that is read of an answer, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// One of the requests by which the status is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Which versions of the specification the homeserver supports.
    Versions,
    /// The homeserver's signing keys.
    Keys,
    /// Media that doesn't exist, without a token.
    Media,
    /// One of the well-known documents, as strangers find it.
    WellKnown(Document),
}

/// The response to a probe.
#[derive(Debug)]
pub struct ProbeResponse {
    /// The head.
    pub head: OriginHead,
    /// Whether browsers let any website read it, over each redirect (CORS).
    pub is_for_browsers: bool,
    /// The body; empty if it was no text or too long.
    pub body: String,
    /// How long the head took, in milliseconds.
    pub waited_ms: u64,
    /// The `Date` of the response, in seconds since the Unix epoch; `None` if it has none.
    pub date_unix_secs: Option<u64>,
}

/// The response to a probe, or why there is none.
pub type Answer = Result<ProbeResponse, OriginError>;

/// Returns all probes with their requests.
pub fn probes(config: &Config) -> [(Probe, OriginRequest); 5] {
    [
        Probe::Versions,
        Probe::Keys,
        Probe::Media,
        Probe::WellKnown(Document::Client),
        Probe::WellKnown(Document::Server),
    ]
    .map(|probe| (probe, probe.request(config)))
}

impl Probe {
    /// Returns whether clients and servers follow redirects of what this probe asks for.
    pub const fn follows(self) -> bool {
        matches!(self, Self::WellKnown(_))
    }

    /// Returns the request that is sent.
    pub fn request(self, config: &Config) -> OriginRequest {
        let (homeserver, server_name) = (&config.homeserver, &config.server_name);
        let mut set = HeaderMap::new();
        ask_for_identity(&mut set);
        let url = match self {
            Self::Versions => format!("{homeserver}/_matrix/client/versions"),
            Self::Keys => format!("{homeserver}/_matrix/key/v2/server"),
            Self::Media => {
                format!("{homeserver}/_matrix/client/v1/media/download/{server_name}/edge-status")
            }
            Self::WellKnown(document) => format!("{}{}", config.well_known, document.path()),
        };
        let is_for_homeserver = !matches!(self, Self::WellKnown(_));
        if is_for_homeserver {
            // Others ask for well-known without this mark, and may reach the edge.
            set.insert(LOOP, own_value(server_name.as_str()));
        }
        OriginRequest {
            method: Method::GET,
            url,
            client_headers: ClientHeaders::None,
            set,
            is_for_homeserver,
            timeout: Timeout::Ms(PROBE_TIMEOUT_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    #[test]
    fn probes_of_the_homeserver_carry_the_loop_mark() {
        for (probe, request) in probes(&config(&[]).unwrap()) {
            let is_of_homeserver = request.url.starts_with("https://origin.example.com/_matrix/");
            let is_marked = request.set.contains_key(LOOP);
            assert_eq!((is_of_homeserver, is_marked), (!probe.follows(), !probe.follows()));
            assert_eq!(request.is_for_homeserver, is_of_homeserver, "{probe:?}");
            assert_eq!(request.timeout, Timeout::Ms(5_000));
        }
    }

    #[test]
    fn well_known_is_probed_at_the_server_name() {
        let probes = probes(&config(&[]).unwrap());
        let followed = probes.iter().filter(|(probe, _)| probe.follows());
        let urls: Vec<_> = followed.map(|(_, request)| request.url.as_str()).collect();
        let expected = ["client", "server"]
            .map(|document| format!("https://example.com/.well-known/matrix/{document}"));
        assert_eq!(urls, expected);
    }
}
