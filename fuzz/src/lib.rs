//! What must hold whatever strangers send.
//!
//! A *target* takes any bytes, has the core read them, and panics where a claim about the outcome
//! doesn't hold: libFuzzer calls it (`make fuzz`), and so do the tests, with what libFuzzer has
//! found to be of interest (`corpus/`). Claims are held against other people's readers where there
//! are any: serde_json's, the URL standard's.

mod exchange;
mod input;
mod json;

mod cache_control;
mod conditional;
mod config;
mod credentials;
mod disposition;
mod event;
mod freshening;
mod json_reader;
mod lease;
mod multipart;
mod names;
mod permission;
mod purge;
mod quarantine;
mod range;
mod redact;
mod redirect;
mod route;
mod status;
mod stored;
mod thumbnail;
mod upload;
mod vary;
mod well_known;

/// Reads any bytes; panics where a claim doesn't hold.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 25] = [
    ("cache_control", cache_control::target),
    ("conditional", conditional::target),
    ("config", config::target),
    ("credentials", credentials::target),
    ("disposition", disposition::target),
    ("event", event::target),
    ("exchange", exchange::target),
    ("freshening", freshening::target),
    ("json", json_reader::target),
    ("lease", lease::target),
    ("multipart", multipart::target),
    ("names", names::target),
    ("permission", permission::target),
    ("purge", purge::target),
    ("quarantine", quarantine::target),
    ("range", range::target),
    ("redact", redact::target),
    ("redirect", redirect::target),
    ("route", route::target),
    ("status", status::target),
    ("stored", stored::target),
    ("thumbnail", thumbnail::target),
    ("upload", upload::target),
    ("vary", vary::target),
    ("well_known", well_known::target),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
