//! The well-known documents that name servers, and the members that name the media server (MSC3859).

use serde::{Deserialize, Serialize};

use crate::matrix::json::{self, Object};

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
    /// Returns the path that the document has on every host.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Client => "/.well-known/matrix/client",
            Self::Server => "/.well-known/matrix/server",
        }
    }

    /// Returns the homeserver that a document names: its base URL for clients, its host and port for
    /// servers. `None` if the text is no JSON object, or lacks that member.
    pub fn homeserver(self, text: &str) -> Option<String> {
        match self {
            Self::Client => {
                let ClientDocument { homeserver: Object(named) } = json::object(text)?;
                Some(named.base_url)
            }
            Self::Server => json::object(text).map(|ServerDocument { server }| server),
        }
    }
}

/// What documents for clients have about a server.
#[derive(Debug, Deserialize, Serialize)]
pub struct ServerInformation {
    /// Its base URL.
    pub base_url: String,
}

/// What every document for clients has.
/// <https://spec.matrix.org/v1.15/client-server-api/#getwell-knownmatrixclient>
#[derive(Debug, Deserialize, Serialize)]
pub struct ClientDocument {
    /// The homeserver.
    #[serde(rename = "m.homeserver")]
    pub homeserver: Object<ServerInformation>,
}

/// What every document for servers has.
/// <https://spec.matrix.org/v1.15/server-server-api/#getwell-knownmatrixserver>
#[derive(Debug, Deserialize, Serialize)]
pub struct ServerDocument {
    /// The homeserver's host and port.
    #[serde(rename = "m.server")]
    pub server: String,
}
