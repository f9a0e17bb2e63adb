//! Which door a request knocks at, told from its method, host and raw path.
//!
//! Paths are matched raw and their segments decoded once, as Synapse does: only the exact paths of
//! the specification are the edge's. What this module can't place is left to the origin.

mod media;

use http::Method;

use self::media::{media_path, media_route};
use crate::config::Config;
use crate::error::Rejection;
use crate::headers::LOOP;
use crate::matrix::ids::Mxc;
use crate::matrix::media::{Door, MediaRequest};
use crate::matrix::well_known::Document;
use crate::message::RequestHead;
use crate::message::target::{Fidelity, Target};

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// A CORS preflight, answered here.
    Preflight,
    /// One of the two documents that the edge adds to.
    WellKnown(Document),
    /// Media whose stored response may be looked up.
    Media(MediaRequest),
    /// The status of the edge, in this form.
    Status(StatusForm),
    /// The admin's request to purge.
    Purge,
    /// The admin's request to run the self-test.
    SelfTest,
    /// An upload, to this place.
    Upload(UploadTo),
    /// The limits of uploads (`config`), asked at this door.
    Limits(Door),
    /// A media endpoint that is the origin's to answer, every time.
    Forward(Endpoint),
    /// Not the edge's to answer: streamed through.
    Passthrough(Upstream),
    /// Not media, on the domain that serves nothing else.
    Unrecognized,
}

impl Route {
    /// Returns the word for the log.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::WellKnown(_) => "well-known",
            Self::Media(_) => "media",
            Self::Status(_) => "status",
            Self::Purge => "purge",
            Self::SelfTest => "self-test",
            Self::Upload(_) => "upload",
            Self::Limits(_) => "limits",
            Self::Forward(_) => "forward",
            Self::Passthrough(_) => "passthrough",
            Self::Unrecognized => "unrecognized",
        }
    }

    /// Returns the door; `None` for a route that is not of media.
    pub const fn door(&self) -> Option<Door> {
        match self {
            Self::Media(media) => Some(media.door),
            Self::Limits(door) => Some(*door),
            Self::Forward(endpoint) => Some(endpoint.door),
            Self::Upload(_) => Some(Door::Other),
            Self::Preflight
            | Self::WellKnown(_)
            | Self::Status(_)
            | Self::Purge
            | Self::SelfTest
            | Self::Passthrough(_)
            | Self::Unrecognized => None,
        }
    }
}

/// Who answers requests that pass through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// `HOMESERVER_URL`
    Homeserver,
    /// `WELL_KNOWN_URL`
    WellKnown,
}

/// In which form the status is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusForm {
    /// As a page for people.
    Page,
    /// As JSON.
    Json,
}

/// Where an upload goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadTo {
    /// To an ID that the origin makes up.
    New,
    /// To an ID made before (MSC2246); `None` if the ID is outside the grammar.
    Id(Option<Mxc>),
}

/// A forwarded media endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The door that it came to.
    pub door: Door,
    /// Why the cache is not consulted.
    pub reason: BypassReason,
}

/// Why a request under the media paths goes to the origin without a look at the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassReason {
    /// An upload.
    Upload,
    /// An endpoint that answers each user by itself, or that the edge doesn't know.
    Endpoint,
    /// A method other than GET and HEAD.
    Method,
    /// An identifier or parameter outside the grammar, which the origin judges.
    Unusual,
    /// An admin looks at quarantined media.
    QuarantineBypass,
    /// The request carries no credential that could be asked about, or more than one.
    Credential,
}

impl BypassReason {
    /// Returns the word for `Cache-Status` and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Endpoint => "endpoint",
            Self::Method => "method",
            Self::Unusual => "unusual",
            Self::QuarantineBypass => "quarantine-bypass",
            Self::Credential => "credential",
        }
    }
}

/// Returns the route of a request.
///
/// # Errors
/// [`Rejection::Loop`] for a request that this edge has sent; [`Rejection::UnfaithfulTarget`] for a
/// target that would not reach the origin unchanged.
pub fn admit(head: &RequestHead, config: &Config) -> Result<Route, Rejection> {
    let is_loop = head.headers.get_all(LOOP).iter().any(|value| {
        value.to_str().is_ok_and(|names| {
            names.split(',').any(|name| name.trim() == config.server_name.as_str())
        })
    });
    if is_loop {
        return Err(Rejection::Loop);
    }
    let route = route(&head.method, &head.authority, &head.target, config);
    let is_signed = head.target.path().starts_with("/_matrix/federation/");
    // Below the media paths no other path of the homeserver may be reached, whichever server
    // decodes first. Only the file name of a download may have dot segments: it is not sent to the
    // origin.
    let can_lead_out =
        !matches!(route, Route::Media(_)) && media_path(head.target.path()).is_some();
    match head.target.fidelity() {
        Fidelity::Changed => Err(Rejection::UnfaithfulTarget),
        _ if can_lead_out && head.target.has_hidden_dot_segment() => {
            Err(Rejection::UnfaithfulTarget)
        }
        Fidelity::Equivalent if is_signed => Err(Rejection::UnfaithfulTarget),
        Fidelity::Exact | Fidelity::Equivalent => Ok(route),
    }
}

fn route(method: &Method, authority: &str, target: &Target, config: &Config) -> Route {
    let path = target.path();
    let is_media_domain = config.is_media_domain(authority);
    if let Some((door, endpoint)) = media_path(path) {
        return if method == Method::OPTIONS {
            Route::Preflight
        } else {
            media_route(method, door, endpoint, target, config)
        };
    }
    if (config.media.is_at(authority) || config.public.is_at(authority))
        && let Some(route) = admin_route(path)
    {
        return if method == Method::OPTIONS { Route::Preflight } else { route };
    }
    if is_media_domain && path == "/" && method != Method::OPTIONS {
        return Route::Status(StatusForm::Page);
    }
    let document = match path {
        "/.well-known/matrix/client" => Some(Document::Client),
        "/.well-known/matrix/server" => Some(Document::Server),
        _ => None,
    };
    // The media domain may be the host of the server name, and so of the documents.
    let document = document.filter(|_| !is_media_domain || config.has_documents_at(authority));
    match document {
        _ if method == Method::OPTIONS && (is_media_domain || document.is_some()) => {
            Route::Preflight
        }
        Some(document) => Route::WellKnown(document),
        None if is_media_domain => Route::Unrecognized,
        None => Route::Passthrough(upstream_of(authority, path, config)),
    }
}

/// Returns the route of the edge's own paths, on the media domain and on the homeserver's public
/// host; `None` for any other path.
fn admin_route(path: &str) -> Option<Route> {
    match path {
        "/_edge" | "/_edge/" => Some(Route::Status(StatusForm::Page)),
        "/_edge/status" => Some(Route::Status(StatusForm::Json)),
        "/_edge/purge" => Some(Route::Purge),
        "/_edge/selftest" => Some(Route::SelfTest),
        _ => None,
    }
}

/// Returns who answers a request that passes through: a website and a homeserver on two hosts may
/// both have a route to the edge.
fn upstream_of(authority: &str, path: &str, config: &Config) -> Upstream {
    let is_website = config.well_known.is_at(authority) && !config.public.is_at(authority);
    if is_website || path.starts_with("/.well-known/") {
        Upstream::WellKnown
    } else {
        Upstream::Homeserver
    }
}

#[cfg(test)]
mod tests;
