//! Clients that people use, none of them changed, through the edge in front of a real Synapse.
//!
//! Each is a program that plays the same *story* in four *settings* and prints what it saw: the edge
//! asks about every request or keeps leases, and media is moved on the homeserver's own host or on
//! the media domain. In the story alice uploads, bob reads, and bob logs out.
//!
//! - `js-sdk`: matrix-js-sdk in Chromium, with what Element Web adds to it.
//! - `mautrix`: the library of the Python bridges.
//! - `matrix-sdk`: what Element X is built on. It compiles for minutes, so `make clients` alone runs
//!   it, and names the program in `MATRIX_SDK_CLIENT`.

mod browser;
mod story;
mod told;
mod world;
