//! The whole exchange, natively: the real policy between a model of the homeserver, tiers of stores
//! that may lose anything, and a clock that is set.
//!
//! `tests/policy` plays examples and sequences that are drawn from seeds, the fuzz target `exchange`
//! plays what its input says; [`oracle`] judges every answer.

#![expect(missing_docs, reason = "what a name says is not said twice")]

pub mod ask;
pub mod draw;
pub mod edge;
pub mod flight;
pub mod homeserver;
pub mod lease_store;
pub mod oracle;
pub mod probes;
pub mod proxy;
pub mod purged;
pub mod random;
pub mod record;
pub mod scenario;
pub mod store;
pub mod world;
