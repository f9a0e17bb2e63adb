//! The built Worker, in real workerd, in front of a homeserver stand-in that does what it is told.

mod origin;
mod world;

mod config;
mod deadlines;
mod download;
mod errors;
mod forwarded;
mod headers;
mod hosts;
mod passthrough;
mod paths;
mod representations;
mod storing;
mod uploads;
mod well_known;
