//! The protocol's nouns: who and what a request names, and the formats that Matrix has for these.

pub mod access_token;
pub mod credential;
pub mod ids;
pub mod json;
pub mod media;
pub mod multipart;
pub mod thumbnail;
pub mod well_known;
