//! What is forwarded to the homeserver or passes through untouched, on which host, and what other
//! sites may read of it.

mod cross_origin;
mod errors;
mod forwarded;
mod hosts;
mod own_origin;
mod untouched;
mod well_known;
mod well_known_copies;
