//! The whole exchange, natively: the real policy between a model of the homeserver, tiers of
//! stores that may lose anything, and a clock that the tests set.

mod scene;

mod exchange;
mod leases;
mod outages;
mod properties;
mod purges;
mod representations;
mod tiers;
mod walls;
mod watched;
