//! Uploads on their way to the homeserver, and the prefetch of new media.

mod upload_bad_input;
mod upload_config;
mod upload_failures;
mod upload_limits;
mod uploads;
mod warm;
mod warm_harmless;
