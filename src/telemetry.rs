//! What is reported of each request, what is counted, and which words of an error may be logged.

pub mod counts;
pub mod daily;
pub mod event;
pub mod redact;
