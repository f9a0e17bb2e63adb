//! What the answers to the probes mean.

use http::{Method, StatusCode};
use serde_json::value::RawValue;

use super::causes::{Cause, REACH, WALL, cause, unanswered};
use super::probes::{Answer, Probe, ProbeResponse};
use super::{Check, Finding, addresses};
use crate::cache::purge_list::Stamp;
use crate::config::{Config, WellKnownFields};
use crate::headers::CF_MITIGATED;
use crate::lease::standing::LIST_COUNTS_SECS;
use crate::matrix::json;
use crate::matrix::well_known::{Document, STABLE_FIELD, ServerInformation, UNSTABLE_FIELD};
use crate::origin::OriginAnswer;
use crate::origin::intermediary::Intermediary;

/// From which version on the specification has authenticated media: v1.11.
const AUTHENTICATED_MEDIA_SINCE: u32 = 11;

/// How far two clocks may be apart, in seconds.
const MAX_SKEW_SECS: u64 = 30;

/// What to do where the edge asks itself.
pub const LOOPS: &str = "HOMESERVER_URL must be the address of the homeserver behind the edge, not one \
     that a route of the edge covers: PUBLIC_URL is for the one that clients use.";
const PUBLISHED: &str = "Let the document name PUBLIC_URL. If clients are to use the address that it \
     names, write that into PUBLIC_URL.";
const OLD: &str = "Upgrade the homeserver: media is open to anyone without authenticated media, \
     and the edge's client endpoints stay unused.";
const FIELD: &str = "Route the host's /.well-known/matrix/* to this Worker if clients are to learn \
     of the media domain. Inside its own zone a Worker is skipped: look from outside with curl.";
const UNREAD_LIST: &str = "Until it is read, MEDIA_LEASE_SECONDS has no effect and the homeserver is \
     asked about each media after LEASE_SECONDS. See that wrangler.toml has crons = [\"* * * * *\"] \
     under [triggers], that MEDIA_BUCKET is bound, and in the Worker's log what the last run reported.";
const CORS: &str = "Send Access-Control-Allow-Origin: * with the document and with every redirect \
     to it, or web clients can't read it.";

/// Evaluates the answer to a probe.
pub fn evaluate_probe(
    probe: Probe,
    answer: &Answer,
    config: &Config,
    now_unix_secs: u64,
) -> Vec<Finding> {
    match probe {
        Probe::Versions => {
            let mut findings = vec![homeserver(answer), bot_wall(answer)];
            if let Ok(heard) = answer {
                findings.push(authenticated_media(heard));
                findings.push(clock(heard, now_unix_secs));
            }
            findings
        }
        Probe::Keys => vec![federation(answer)],
        Probe::Media => vec![anonymous_reads(answer)],
        Probe::WellKnown(document) => vec![well_known(document, answer, config)],
    }
}

/// Evaluates how far the homeserver's list of quarantined media has been followed, as this isolate
/// knows it; `None` where no grant stands by that list.
pub fn evaluate_quarantine_list(
    config: &Config,
    stamp: Option<Stamp>,
    now_unix_secs: u64,
) -> Option<Finding> {
    let check = Check::QuarantineList;
    if config.lease.media_lease_secs == 0 {
        return None;
    }
    let Some(stamp) = stamp else {
        return Some(Finding::error(check, "It has not been read to its end yet.", UNREAD_LIST));
    };
    let secs = now_unix_secs.saturating_sub(stamp.complete_unix_secs);
    let found = format!("It was read {secs} s ago.");
    Some(if secs < LIST_COUNTS_SECS {
        Finding::ok(check, found)
    } else {
        Finding::error(check, found, UNREAD_LIST)
    })
}

/// Evaluates what this isolate has seen of redirects: `refused` is the host that media was redirected
/// to last and that `ORIGIN_REDIRECT_HOSTS` doesn't name.
pub fn evaluate_redirects(refused: Option<&str>) -> Finding {
    match refused {
        None => Finding::ok(Check::Redirects, "None was refused."),
        Some(host) => Finding::error(
            Check::Redirects,
            format!("The homeserver redirects media to {host}, which is not followed."),
            "Add this host to ORIGIN_REDIRECT_HOSTS if your homeserver keeps media there; if not, \
             see what stands in front of it.",
        ),
    }
}

/// After how long a cache that gives back what is cached is said to be slow, in milliseconds.
const SLOW_POP_MS: u64 = 1_000;

/// What switches the Cache API off.
pub const NO_CACHE: &str = "See that nothing switches the cache off: Cloudflare Access before the Worker, \
    Development Mode of the zone, a Cache Rule that bypasses the cache for the media domain, or a \
    Worker on workers.dev instead of a custom domain or a route.";

/// Evaluates what the tiers have shown: after how many milliseconds the data centre's cache gave back
/// what was put in, and whether the bucket took what was written.
pub fn evaluate_tiers(config: &Config, pop: Option<u64>, bucket: Option<bool>) -> Vec<Finding> {
    let mib = config.memory_cache_bytes / (1024 * 1024);
    vec![
        addresses::evaluate_addresses(config),
        match mib {
            _ if config.excess_memory_cache_mib.is_some() => Finding::warning(
                Check::Memory,
                format!("It holds up to {mib} MiB an isolate, less than MEMORY_CACHE_MIB says."),
                "Set MEMORY_CACHE_MIB to at most 40: an isolate has 128 MB for everything.",
            ),
            0 => Finding::ok(Check::Memory, "It is turned off."),
            mib => Finding::ok(Check::Memory, format!("It holds up to {mib} MiB an isolate.")),
        },
        match pop {
            Some(ms) if ms < SLOW_POP_MS => {
                Finding::ok(Check::Pop, "It gives back what is cached.")
            }
            Some(ms) => Finding::ok(
                Check::Pop,
                format!("It gives back what is cached, after {ms} ms: what is new may come twice."),
            ),
            None => Finding::error(Check::Pop, "It gave nothing back.", NO_CACHE),
        },
        match bucket {
            None => Finding::ok(Check::Bucket, "None is bound, which is all right."),
            Some(true) => Finding::ok(Check::Bucket, "It can be written."),
            Some(false) => Finding::error(
                Check::Bucket,
                "It could not be written.",
                "See in the Worker's log what it said, and that MEDIA_BUCKET names a bucket.",
            ),
        },
    ]
}

fn homeserver(answer: &Answer) -> Finding {
    let check = Check::Homeserver;
    match answer {
        Ok(heard) if leads_back(heard) => leading_back(check),
        Ok(heard) if heard.head.status == StatusCode::OK && is_object(heard) => {
            Finding::ok(check, format!("It answers in {} ms.", heard.waited_ms))
        }
        answer => error_instead(check, answer),
    }
}

fn bot_wall(answer: &Answer) -> Finding {
    let check = Check::BotWall;
    match answer {
        Ok(heard) if intermediary(heard).is_some() => error_instead(check, answer),
        Ok(_) => Finding::ok(check, "The edge's requests are let through."),
        Err(_) => Finding::warning(check, "The homeserver gave no answer.", REACH),
    }
}

fn authenticated_media(heard: &ProbeResponse) -> Finding {
    let check = Check::AuthenticatedMedia;
    let versions = json::member(&heard.body, "versions")
        .and_then(|versions| json::value::<Vec<&RawValue>>(versions.get()));
    let minor = |version: &RawValue| {
        json::value::<String>(version.get())?.strip_prefix("v1.")?.parse::<u32>().ok()
    };
    let newest = versions.unwrap_or_default().into_iter().filter_map(minor).max();
    let is_unstable = json::member(&heard.body, "unstable_features")
        .and_then(|features| json::member(features.get(), "org.matrix.msc3916.stable"))
        .is_some_and(|feature| feature.get() == "true");
    match newest {
        Some(newest) if newest >= AUTHENTICATED_MEDIA_SINCE => {
            Finding::ok(check, format!("The homeserver speaks v1.{newest}."))
        }
        _ if is_unstable => Finding::ok(check, "The homeserver announces it."),
        _ => Finding::error(check, "The homeserver doesn't announce it.", OLD),
    }
}

fn clock(heard: &ProbeResponse, now_unix_secs: u64) -> Finding {
    let check = Check::Clock;
    match heard.date_unix_secs.map(|date| date.abs_diff(now_unix_secs)) {
        Some(skew) if skew <= MAX_SKEW_SECS => {
            Finding::ok(check, "Edge and homeserver agree on the time.")
        }
        Some(skew) => Finding::error(
            check,
            format!("The homeserver's clock is {skew} s away from the edge's."),
            "Keep the homeserver's clock right (NTP): federation depends on it.",
        ),
        None => Finding::warning(
            check,
            "The homeserver doesn't say what time it is.",
            "Let its Date header through.",
        ),
    }
}

fn federation(answer: &Answer) -> Finding {
    let check = Check::Federation;
    match answer {
        Ok(heard) if is_challenged(heard) => {
            Finding::error(check, "Requests for the server's keys are challenged.", WALL)
        }
        Ok(heard) if heard.head.status == StatusCode::OK && is_object(heard) => {
            Finding::ok(check, "Other servers can read this server's keys.")
        }
        Ok(heard) if heard.head.status == StatusCode::NOT_FOUND => Finding::warning(
            check,
            "The homeserver has no keys at HOMESERVER_URL.",
            "Right if it doesn't federate, or does so on another port.",
        ),
        answer => error_instead(check, answer),
    }
}

fn anonymous_reads(answer: &Answer) -> Finding {
    let check = Check::AnonymousReads;
    match answer {
        // A route may cover the origin's media and nothing else of it.
        Ok(heard) if leads_back(heard) => leading_back(check),
        Ok(heard) if heard.head.status == StatusCode::UNAUTHORIZED => {
            Finding::ok(check, "The homeserver refuses media without a token.")
        }
        Ok(heard) if heard.head.status == StatusCode::NOT_FOUND => {
            Finding::warning(check, "It says 404 and doesn't ask for a token.", OLD)
        }
        Ok(heard) if heard.head.status.is_success() => Finding::error(
            check,
            "Media that doesn't exist was served to a stranger.",
            "Something before the homeserver answers in its place: see what HOMESERVER_URL leads to.",
        ),
        answer => error_instead(check, answer),
    }
}

fn well_known(document: Document, answer: &Answer, config: &Config) -> Finding {
    let check = match document {
        Document::Client => Check::WellKnownClient,
        Document::Server => Check::WellKnownServer,
    };
    let Ok(heard) = answer else {
        return Finding::error(check, instead(answer).found, "See that WELL_KNOWN_URL is right.");
    };
    if heard.head.status == StatusCode::NOT_FOUND {
        return Finding::warning(check, "There is no document.", FIELD);
    }
    if heard.head.status != StatusCode::OK || !is_object(heard) {
        let cure = "Clients take this for a failure of login: serve a JSON object, or a 404.";
        return Finding::error(check, instead(answer).found, cure);
    }
    if addresses::is_publishing(document, &heard.body, config) {
        return Finding::error(check, "It names HOMESERVER_URL, not PUBLIC_URL.", PUBLISHED);
    }
    if document == Document::Client && !heard.is_for_browsers {
        return Finding::error(check, "Web clients are not allowed to read it.", CORS);
    }
    let names: &[&str] = match config.well_known_fields {
        WellKnownFields::Both => &[STABLE_FIELD, UNSTABLE_FIELD],
        WellKnownFields::Stable => &[STABLE_FIELD],
        WellKnownFields::Unstable => &[UNSTABLE_FIELD],
    };
    let announced: Option<Vec<_>> =
        names.iter().map(|name| json::member(&heard.body, name)).collect();
    let is_ours = |value: &str| match document {
        Document::Client => json::object(value)
            .is_some_and(|ServerInformation { base_url }| base_url == config.media.to_string()),
        Document::Server => json::value::<String>(value)
            .is_some_and(|server| server == config.media.host_and_port()),
    };
    match announced {
        Some(values) if values.iter().all(|value| is_ours(value.get())) => {
            Finding::ok(check, "It names this media domain.")
        }
        Some(_) => Finding::warning(
            check,
            "It names another media server.",
            "Remove the field from the document if it should name this one.",
        ),
        None => Finding::warning(check, "It names no media server.", FIELD),
    }
}

/// Returns whether the edge itself has answered: a request that has passed it before.
fn leads_back(heard: &ProbeResponse) -> bool {
    heard.head.status == StatusCode::LOOP_DETECTED
}

fn leading_back(check: Check) -> Finding {
    Finding::error(check, "HOMESERVER_URL leads back to the edge.", LOOPS)
}

/// Returns who answered in the homeserver's place; `None` if the homeserver did.
fn intermediary(heard: &ProbeResponse) -> Option<Intermediary> {
    let answer = OriginAnswer { head: heard.head.clone(), text: Some(heard.body.clone()) };
    Intermediary::of(&answer, &Method::GET)
}

/// Returns whether Cloudflare asked for proof of a human.
fn is_challenged(heard: &ProbeResponse) -> bool {
    heard.head.headers.contains_key(&CF_MITIGATED)
}

fn is_object(heard: &ProbeResponse) -> bool {
    json::members(&heard.body).is_some()
}

/// Returns what came instead of what was expected, and how to fix it.
fn instead(answer: &Answer) -> Cause {
    match answer {
        Err(error) => unanswered(*error),
        Ok(heard) => match intermediary(heard) {
            Some(intermediary) => cause(intermediary),
            None if heard.head.status == StatusCode::OK => {
                Cause { found: "The answer is not a JSON object.".to_owned(), cure: REACH }
            }
            None => {
                let status = heard.head.status.as_u16();
                Cause { found: format!("The answer was {status}."), cure: REACH }
            }
        },
    }
}

/// Returns the finding that something else came than what was expected.
fn error_instead(check: Check, answer: &Answer) -> Finding {
    let Cause { found, cure } = instead(answer);
    Finding::error(check, found, cure)
}

#[cfg(test)]
mod tests;
