//! What is told of each request, what is counted, and what of an error may be told.

pub mod counts;
pub mod daily;
pub mod event;
pub mod redact;
