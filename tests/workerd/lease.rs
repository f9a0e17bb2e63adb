//! How long a grant of the homeserver counts: under leases, and while the homeserver is down.

mod lease_ends;
mod leases;
mod outage;
mod stale;
mod watched;
