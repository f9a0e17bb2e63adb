//! The endpoints that the origin has a part in: what it is asked, and what its answer comes to.
//! Decisions only; the doers are in `shell::endpoint`, by the same names.

pub mod download;
pub mod forward;
pub mod upload;
pub mod well_known;
