//! The networks that tests run in.

use std::env;
use std::sync::LazyLock;

/// The environment variable that chooses one.
const VARIABLE: &str = "EDGE_PROFILE";

/// What stands around the Worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Stand-ins of what Cloudflare's network does (`tests/support/cloudflare`).
    Cloudflare,
    /// The local runtime alone, kinder than any network.
    Plain,
}

impl Profile {
    /// Returns the one that `EDGE_PROFILE` names: `cloudflare` (the default) or `plain`.
    ///
    /// # Panics
    /// When it names another.
    pub fn current() -> Self {
        static CURRENT: LazyLock<Profile> = LazyLock::new(|| match env::var(VARIABLE).as_deref() {
            Ok("cloudflare") | Err(_) => Profile::Cloudflare,
            Ok("plain") => Profile::Plain,
            Ok(other) => panic!("{VARIABLE} is '{other}': it may be cloudflare or plain"),
        });
        *CURRENT
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Plain => "plain",
        }
    }
}
