//! What an admin sets, sees and removes: variables, the status, numbers, purges.

mod config;
mod numbers;
pub(crate) mod purge;
mod quarantine;
mod selftest;
mod status;
mod status_checks;
