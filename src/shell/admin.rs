//! What is done for the admin.

pub(crate) mod purge;
pub(crate) mod quarantine;
pub(crate) mod selftest;
pub(crate) mod status;
