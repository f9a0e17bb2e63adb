//! What people's homeservers, proxies and clients do, as reported in public: each file is about one kind of
//! report, not its sample alone.

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
