//! A CDN for the media of an unmodified Matrix homeserver, as a Cloudflare Worker.
//!
//! **In scope**: downloads and thumbnails from stored copies under the homeserver's own
//! authorization, uploads streamed through, well-known documents that name the media server.
//! **Out of scope**: judging credentials, making thumbnails, keeping media that the homeserver
//! doesn't have, anything that is not media.
//!
//! Everything that decides is a pure function over heads, stored records and `now`, and runs
//! natively. Everything that touches the runtime is in `shell`, which exists for wasm only. Bodies
//! stay streams of the runtime from door to door: no code here ever holds one, small JSON aside.
//!
//! The rooms stand in order: a file imports from its own room and from those above it, and from no
//! other. `tests/repository/rooms.rs` holds that.

/// HTTP header fields, one RFC each; no Matrix, no configuration, no cache.
pub mod headers;

/// The heads of the client's request and of the reply, and request targets.
pub mod message;

/// The protocol's nouns: identifiers, tokens, media and what is asked of them.
pub mod matrix;

/// The admin's variables and secrets, parsed once.
pub mod config;

/// The origin: what it is sent, what it answers, and whether it is up.
pub mod origin;

/// The errors that the edge itself answers with.
pub mod error;

/// Stored responses: names, records, what may be stored, tiers, and purges.
pub mod cache;

/// Which answers of the origin are the homeserver's permission.
pub mod permission;

/// Which endpoint a request is for.
pub mod route;

/// Leases: for how long a grant counts.
pub mod lease;

/// The endpoints that the origin has a part in, one file each.
pub mod endpoint;

/// What is reported of each request, and counted.
pub mod telemetry;

/// What is for the admin: purges, quarantine, status.
pub mod admin;

/// The runtime: reads heads, calls the rooms above, and moves streams as they decide.
#[cfg(target_arch = "wasm32")]
mod shell;
