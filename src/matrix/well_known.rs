//! The well-known documents that name servers, and the members that name the media server (MSC3859).

/// The member that names the media server, as it is to be once MSC3859 is accepted.
pub const STABLE_FIELD: &str = "m.media_server";

/// The member that names it until then.
pub const UNSTABLE_FIELD: &str = "com.beeper.msc3859.m.media_server";

/// A well-known document that names servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `/.well-known/matrix/client`
    Client,
    /// `/.well-known/matrix/server`
    Server,
}

impl Document {
    /// The path that it has on every host.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Client => "/.well-known/matrix/client",
            Self::Server => "/.well-known/matrix/server",
        }
    }
}
