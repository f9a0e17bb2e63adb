//! What the Worker runs on: the local runtime as it is, or as Cloudflare's network differs from it.

use std::env;
use std::sync::LazyLock;

/// Names the profile; [`Profile::Cloudflare`] if it is not set.
const VARIABLE: &str = "EDGE_PROFILE";

/// What stands around the Worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Stand-ins that do what Cloudflare's network does.
    Cloudflare,
    /// The local runtime's own.
    Plain,
}

/// The profile of all tests of a process.
pub static PROFILE: LazyLock<Profile> = LazyLock::new(|| match env::var(VARIABLE).as_deref() {
    Ok("cloudflare") | Err(_) => Profile::Cloudflare,
    Ok("plain") => Profile::Plain,
    Ok(other) => panic!("{VARIABLE} is `{other}`: it is `cloudflare` or `plain`"),
});
