//! The origin: what it is sent, where it redirects to, and whether it is up.

pub mod forwarding;
pub mod outage;
pub mod redirect;
