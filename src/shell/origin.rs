//! Requests to the origin, and probes of it.

pub(crate) mod fetch;
pub(crate) mod known;
pub(crate) mod outage;
