//! Media: the doors that it is asked for at, and what is asked of it.

use crate::matrix::ids::Mxc;
use crate::matrix::thumbnail::ThumbnailSpec;

/// A way in, with its own kind of permission. Permissions are never shared between doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `/_matrix/client/v1/media`, opened by an access token (MSC3916).
    Client,
    /// `/_matrix/media/*/{download,thumbnail}`, open to anyone for what it still serves.
    Legacy,
    /// `/_matrix/federation/v1/media`, opened by a signature over method and target.
    Federation,
    /// Uploads, `config`, `preview_url` and whatever else lives under the media paths.
    Other,
}

impl Door {
    /// Returns the word for keys and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Legacy => "legacy",
            Self::Federation => "federation",
            Self::Other => "other",
        }
    }
}

/// A download or thumbnail that the edge can name by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRequest {
    /// The door that it came to.
    pub door: Door,
    /// The media.
    pub mxc: Mxc,
    /// Which bytes of it.
    pub representation: Representation,
    /// The name that the path gives to the download, decoded.
    pub file_name: Option<String>,
    /// The path that the origin is asked for: without that name, and in one spelling for all
    /// requests; at the federation door, where the path is signed, as it came.
    pub origin_path: String,
    /// How the query bears on the answer.
    pub query_class: QueryClass,
}

/// The file itself or a picture of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// The bytes as uploaded.
    Content,
    /// A thumbnail.
    Thumbnail(ThumbnailSpec),
}

impl Representation {
    /// Returns the kind of media that it is.
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Content => MediaKind::Content,
            Self::Thumbnail(_) => MediaKind::Thumbnail,
        }
    }

    /// Returns the segment of a path that asks for the representation.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::Content => "download",
            Self::Thumbnail(_) => "thumbnail",
        }
    }
}

/// What a grant is about: a homeserver that grants the one may refuse the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// The file itself.
    Content,
    /// Its thumbnails.
    Thumbnail,
}

impl MediaKind {
    /// Returns the word for keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Thumbnail => "thumbnail",
        }
    }

    /// Parses a word of keys. Returns `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Content, Self::Thumbnail].into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns the other kind.
    pub const fn other(self) -> Self {
        match self {
            Self::Content => Self::Thumbnail,
            Self::Thumbnail => Self::Content,
        }
    }
}

/// Whether the homeserver's answer depends on more than media, door and credential: the parameter of
/// the highest class decides. A query with a parameter that the edge doesn't know, and so maybe one
/// that changes the bytes, has no class, and is never answered from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueryClass {
    /// All of its parameters are known and well-formed: a grant for one such request counts for all.
    Canonical,
    /// It has a parameter that changes who asks (`user_id`), that forbids an answer
    /// (`allow_remote=false`), or that the origin may refuse: a grant or refusal counts for its own
    /// request alone. The bytes are those of every other request.
    PerRequest,
}

/// Returns whether a parameter invites or forbids redirects (MSC3860).
pub fn is_redirect_parameter(name: &str) -> bool {
    matches!(name, "allow_redirect" | "com.beeper.msc3860.allow_redirect")
}
