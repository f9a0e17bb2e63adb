//! What attackers try, and what must reach nobody: others' bytes, secrets, pages that act.

mod attacks;
mod embedding;
mod malformed_input;
pub(crate) mod panics;
mod poisoning;
mod secrets;
mod smuggling;
