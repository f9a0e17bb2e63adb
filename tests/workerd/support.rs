//! A stand-in for the homeserver and an edge before it: what the tests share.

pub(crate) mod origin;
pub(crate) mod patched;
pub(crate) mod world;
