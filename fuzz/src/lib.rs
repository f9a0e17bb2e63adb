//! What must hold whatever strangers send.
//!
//! A *target* takes any bytes, has the core read them, and panics where a claim about the outcome
//! doesn't hold: libFuzzer calls it (`make fuzz`), and so do the tests, with what libFuzzer has
//! found to be of interest (`corpus/`). Claims are held against other people's readers where there
//! are any: serde_json's, the URL standard's.

mod exchange;
mod input;
mod json;
mod random;

mod cache_control;
mod conditional;
mod config;
mod credentials;
mod disposition;
mod event;
mod json_reader;
mod lease;
mod multipart;
mod names;
mod permission;
mod purge;
mod quarantine;
mod range;
mod redirect;
mod route;
mod status;
mod stored;
mod thumbnail;
mod upload;
mod well_known;

/// The model of the whole, which the tests of the policy play too. They draw what happens from
/// seeds; here the input says it (see [`random`]).
#[path = "../../tests/policy"]
#[expect(dead_code, reason = "the examples of tests/policy use more of it")]
mod policy {
    pub(crate) mod ask;
    pub(crate) mod draw;
    pub(crate) mod edge;
    pub(crate) mod flight;
    pub(crate) mod homeserver;
    pub(crate) mod lease_store;
    pub(crate) mod oracle;
    pub(crate) mod probes;
    pub(crate) mod proxy;
    pub(crate) mod purged;
    pub(crate) mod record;
    pub(crate) mod scenario;
    pub(crate) mod store;
    pub(crate) mod world;
}

use policy::{
    ask, draw, edge, flight, homeserver, lease_store, oracle, probes, proxy, purged, record,
    scenario, store, world,
};

/// Reads any bytes; panics where a claim doesn't hold.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 22] = [
    ("cache_control", cache_control::target),
    ("conditional", conditional::target),
    ("config", config::target),
    ("credentials", credentials::target),
    ("disposition", disposition::target),
    ("event", event::target),
    ("exchange", exchange::target),
    ("json", json_reader::target),
    ("lease", lease::target),
    ("multipart", multipart::target),
    ("names", names::target),
    ("permission", permission::target),
    ("purge", purge::target),
    ("quarantine", quarantine::target),
    ("range", range::target),
    ("redirect", redirect::target),
    ("route", route::target),
    ("status", status::target),
    ("stored", stored::target),
    ("thumbnail", thumbnail::target),
    ("upload", upload::target),
    ("well_known", well_known::target),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
