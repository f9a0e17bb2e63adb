//! How long the homeserver's yes stands: under leases, and while it is down.

mod an_outage;
mod lease_ends;
mod leases;
mod stale;
