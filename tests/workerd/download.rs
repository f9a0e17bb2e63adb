//! Downloads and thumbnails at every door: what is served, and what the origin is asked.

pub(crate) mod federation;
mod headers;
mod hits_and_misses;
mod legacy;
mod names;
mod paths;
mod ranges;
mod redirects;
mod representations;
mod storing;
mod thumbnails;
mod validators;
