//! What is told of each request, and what is counted.

pub mod daily;
pub mod event;
