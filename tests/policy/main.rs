//! The whole exchange, natively: the real policy between a model of the homeserver, a cache that
//! may lose anything, and a clock that the tests set.

mod ask;
mod homeserver;
mod oracle;
mod random;
mod scenario;
mod scene;
mod store;
mod world;

mod exchange;
mod leases;
mod properties;
mod representations;
