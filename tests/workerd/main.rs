//! The built Worker, in real workerd, in front of a homeserver stand-in that does what it is told.

mod origin;
mod world;

mod a_slow_origin;
mod config;
mod download;
mod errors;
mod federation;
mod forwarded;
mod headers;
mod herd;
mod hostile;
mod hosts;
mod lease_ends;
mod leases;
mod legacy;
mod memory;
mod names;
mod passthrough;
mod paths;
mod ranges;
mod redirects;
mod representations;
mod stale;
mod storing;
mod thumbnails;
mod upload_bad_input;
mod upload_config;
mod upload_failures;
mod upload_limits;
mod uploads;
mod validators;
mod warm;
mod warm_harmless;
mod well_known;
