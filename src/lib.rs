//! A CDN for the media of an unmodified Matrix homeserver, as a Cloudflare Worker.
//!
//! **In scope**: downloads and thumbnails from stored copies under the homeserver's own
//! authorization, uploads streamed through, well-known documents that name the media server.
//! **Out of scope**: judging credentials, making thumbnails, keeping media that the homeserver
//! doesn't have, anything that is not media.
//!
//! Everything that decides is a pure function over heads, stored records and `now`, and runs
//! natively. Everything that touches the runtime is in `edge`, which exists for wasm only. Bodies
//! stay streams of the runtime from door to door: no code here ever holds one, small JSON aside.
//!
//! The modules stand in order: each uses those of the groups before it and of its own.

pub mod access_token;
pub mod base_url;
pub mod ids;
pub mod json;
pub mod target;

pub mod cache_status;
pub mod headers;
pub mod lease_policy;
pub mod request;

pub mod config;
pub mod matrix_error;

pub mod route;
pub mod thumbnail;

pub mod admin;
pub mod cache_control;
pub mod cache_key;
pub mod conditional;
pub mod credentials;
pub mod lease;
pub mod lru;
pub mod multipart;
pub mod outage;
pub mod permission;
pub mod purge;
pub mod quarantine;
pub mod range;
pub mod redirect;
pub mod storability;
pub mod stored;
pub mod tier;

pub mod content_disposition;
pub mod event;
pub mod forwarding;
pub mod tally;

pub mod exchange;
pub mod forward;
pub mod status;
pub mod upload;
pub mod well_known;

#[cfg(target_arch = "wasm32")]
mod edge;
