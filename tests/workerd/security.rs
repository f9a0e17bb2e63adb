//! What attackers try: malformed input, smuggling, poisoning, secrets in logs, media that acts as a
//! page, panics.

mod attacks;
mod embedding;
mod malformed_input;
pub(crate) mod panics;
mod poisoning;
mod secrets;
mod smuggling;
