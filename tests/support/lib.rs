//! What the test suites share.
//!
//! [`http`] is a client over plain sockets: it sends a request byte for byte as the test wrote it,
//! and tells a whole answer from one that broke off. [`process`] starts servers and makes sure that
//! they end. [`edge`] is the built Worker in workerd, in the network that [`profile`] says,
//! [`stores`] what it has stored, [`proxy`] and [`cloudflare`] what stands there for the platform,
//! [`synapse`] a real homeserver, [`nginx`] what may stand before that, [`signature`] what other
//! homeservers sign with.

pub mod assertions;
pub mod cloudflare;
pub mod edge;
pub mod http;
pub mod nginx;
pub mod noise;
pub mod process;
pub mod profile;
pub mod proxy;
pub mod script;
pub mod signature;
pub mod stores;
pub mod synapse;
pub mod time;
pub mod wire;

/// The repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
