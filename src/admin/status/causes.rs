//! Who answers in the homeserver's place: what an admin sees of it, and how to fix it.

use crate::origin::OriginError;
use crate::origin::intermediary::Intermediary;

/// What came instead of the homeserver's answer, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What came, as a sentence.
    pub found: String,
    /// How to fix it.
    pub cure: &'static str,
}

/// What to do where the homeserver can't be reached.
pub const REACH: &str = "See that HOMESERVER_URL is right, that the homeserver runs, and that its \
     firewall lets Cloudflare in.";

/// What to do where requests of the edge are challenged.
pub(super) const WALL: &str = "Let the edge bypass the protection: skip it for requests with a secret header \
     that you set in ORIGIN_HEADERS.";

const BLOCKED: &str = "Let the edge bypass the rule that blocks it (Security > Events of the \
     homeserver's zone names it): skip it for requests with a secret header that you set in \
     ORIGIN_HEADERS.";
const LIMITED: &str = "Let the edge bypass the rate limit: skip it for requests with a secret header \
     that you set in ORIGIN_HEADERS, since all readers come from the edge.";
const LOGIN: &str = "Let the edge bypass Access: a service token in ORIGIN_HEADERS \
     (CF-Access-Client-Id and CF-Access-Client-Secret), or a bypass for /_matrix/.";
const PAGE: &str = "See that HOMESERVER_URL is the homeserver's address, and what stands before it: a \
     website, a waiting room, a maintenance page.";
const REFUSED: &str = "See in the log of the proxy before the homeserver why it refuses the edge's \
     requests.";

/// Returns the cause of an answer that an intermediary gave.
pub fn cause(intermediary: Intermediary) -> Cause {
    let (found, cure) = match intermediary {
        Intermediary::Blocked => {
            ("A firewall in front of the homeserver blocks the edge.".to_owned(), BLOCKED)
        }
        Intermediary::Challenged => ("The edge's own requests are challenged.".to_owned(), WALL),
        Intermediary::RateLimited => {
            ("A rate limit in front of the homeserver holds the edge up.".to_owned(), LIMITED)
        }
        Intermediary::Login => ("A login (Cloudflare Access) answered instead.".to_owned(), LOGIN),
        Intermediary::Page => ("A page came instead of the homeserver's answer.".to_owned(), PAGE),
        Intermediary::Refused(status) => {
            let status = status.as_u16();
            (format!("A proxy answered {status} in the homeserver's place."), REFUSED)
        }
        Intermediary::Failed(status) => failed(status.as_u16()),
    };
    Cause { found, cure }
}

/// Returns the cause of no answer.
pub fn unanswered(error: OriginError) -> Cause {
    let found = match error {
        OriginError::TimedOut => "There was no answer in time.",
        OriginError::Unreachable => "It could not be reached.",
        OriginError::Malformed => "The answer has a status that HTTP doesn't know.",
        OriginError::Intercepted(intermediary) => return cause(intermediary),
    };
    Cause { found: found.to_owned(), cure: REACH }
}

/// Returns what a status of Cloudflare's own means, and how to fix it.
/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>
fn failed(status: u16) -> (String, &'static str) {
    let (meaning, cure) = match status {
        520 => (
            "the answer made no sense",
            "See the log of the proxy before the homeserver: it ends connections, or sends headers of \
             more than 128 KB.",
        ),
        521 => (
            "the connection was refused",
            "See that the homeserver's web server runs at HOMESERVER_URL's port, and that its firewall \
             lets Cloudflare's addresses in.",
        ),
        522 => (
            "no connection in time",
            "See that the homeserver's firewall doesn't drop Cloudflare's addresses, and that \
             HOMESERVER_URL is no host that a Worker of the same zone serves.",
        ),
        523 => (
            "no way to the server",
            "See that the DNS record of HOMESERVER_URL's host has the homeserver's address.",
        ),
        524 => ("no answer within 100 s", "See in the homeserver's log what holds its answers up."),
        525 => (
            "TLS failed",
            "See that the homeserver speaks TLS at HOMESERVER_URL's port, with a certificate for that \
             host.",
        ),
        526 => (
            "a bad certificate",
            "Give the homeserver a valid certificate for HOMESERVER_URL's host: one that has not \
             expired, of a public authority or Cloudflare's Origin CA.",
        ),
        527 => ("the connection broke", REACH),
        530 => (
            "the host was not found",
            "See the page's own code: for 1016 make a DNS record of HOMESERVER_URL's host, for 1033 \
             start the tunnel (cloudflared).",
        ),
        _ => return (format!("A proxy answered {status} in the homeserver's place."), REACH),
    };
    (format!("Cloudflare answered {status} in the homeserver's place: {meaning}."), cure)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::StatusCode;

    use super::*;

    fn failed_with(status: u16) -> Cause {
        cause(Intermediary::Failed(StatusCode::from_u16(status).unwrap()))
    }

    #[test]
    fn each_status_of_cloudflares_has_a_meaning_of_its_own() {
        let statuses = [520, 521, 522, 523, 524, 525, 526, 527, 530];
        let found: BTreeSet<_> = statuses.map(|status| failed_with(status).found).into();
        assert_eq!(found.len(), statuses.len());
        assert!(found.iter().all(|found| found.starts_with("Cloudflare answered 5")), "{found:?}");
    }

    #[test]
    fn a_proxys_failure_is_distinguished_from_cloudflares() {
        assert_eq!(failed_with(502).found, "A proxy answered 502 in the homeserver's place.");
        assert_eq!(failed_with(502).cure, REACH);
    }

    #[test]
    fn each_intermediary_that_blocks_the_edge_has_its_own_cure() {
        let keepers = [
            Intermediary::Blocked,
            Intermediary::Challenged,
            Intermediary::RateLimited,
            Intermediary::Login,
            Intermediary::Page,
        ];
        let cures: BTreeSet<_> = keepers.map(|keeper| cause(keeper).cure).into();
        assert_eq!(cures.len(), keepers.len());
        assert!(cause(Intermediary::Login).cure.contains("CF-Access-Client-Id"));
    }

    #[test]
    fn a_missing_answer_is_reported_by_its_cause() {
        assert_eq!(unanswered(OriginError::TimedOut).found, "There was no answer in time.");
        let intercepted = OriginError::Intercepted(Intermediary::Blocked);
        assert_eq!(unanswered(intercepted), cause(Intermediary::Blocked));
    }
}
