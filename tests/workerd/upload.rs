//! Uploads on their way to the homeserver, and new media that is fetched before anyone asks.

mod upload_bad_input;
mod upload_config;
mod upload_failures;
mod upload_limits;
mod uploads;
mod warm;
mod warm_harmless;
