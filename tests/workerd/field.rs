//! Behaviour that was reported in public of homeservers, proxies and clients, one kind of report a
//! file: each file covers its kind, not the reported sample alone.

mod chunked;
mod conformance;
mod cookies;
mod documents;
mod errors;
mod freshening;
mod heads;
mod hosts;
mod locations;
mod names;
mod parameters;
mod policies;
mod ranges;
mod servers;
mod sizes;
mod transforms;
mod tunnel;
mod vary;
