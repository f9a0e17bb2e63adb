//! What people's homeservers, proxies and clients really do, as they have reported it: each file is
//! about one kind of thing.

mod conformance;
mod errors;
mod freshening;
mod heads;
mod names;
mod policies;
mod ranges;
mod servers;
mod sizes;
mod transforms;
mod vary;
