//! What the homeserver answers itself, on which host, and what pages of other sites may read.

mod cross_origin;
mod errors;
mod forwarded;
mod hosts;
mod own_origin;
mod untouched;
mod well_known;
mod well_known_copies;
