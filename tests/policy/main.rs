//! The whole exchange, natively: the real policy between a model of the homeserver, tiers of
//! stores that may lose anything, and a clock that the tests set.

mod ask;
mod draw;
mod edge;
mod homeserver;
mod lease_store;
mod oracle;
mod probes;
mod proxy;
mod purged;
mod random;
mod record;
mod scenario;
mod scene;
mod store;
mod world;

mod exchange;
mod flight;
mod leases;
mod outages;
mod properties;
mod purges;
mod representations;
mod tiers;
mod walls;
