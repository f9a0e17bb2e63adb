//! The built Worker, in real workerd, in front of a homeserver stand-in that does what it is told.

mod origin;
mod world;

mod download;
mod forwarded;
mod headers;
mod passthrough;
mod representations;
mod storing;
mod uploads;
