//! How long the homeserver's yes stands: under leases, and while it is down.

mod lease_ends;
mod leases;
mod outage;
mod stale;
