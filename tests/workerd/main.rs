//! The built Worker, in real workerd, in front of a homeserver stand-in that does what it is told.

mod support;

mod admin;
mod download;
mod faults;
mod field;
mod lease;
mod leaving;
mod network;
mod passthrough;
mod permission;
mod rules;
mod security;
mod store;
mod upload;
