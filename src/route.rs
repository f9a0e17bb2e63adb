//! Which door a request knocks at, told from its method, host and raw path.
//!
//! Paths are matched raw and their segments decoded once, as Synapse does: nothing but the exact
//! paths of the specification is ours. What this module can't place is left to the origin.

use http::Method;

use crate::config::Config;
use crate::headers::LOOP;
use crate::ids::{MediaId, Mxc, ServerName};
use crate::matrix_error::Rejection;
use crate::request::RequestHead;
use crate::target::{Fidelity, Target, decode_segment};
use crate::thumbnail::ThumbnailSpec;

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// A CORS preflight, answered here.
    Preflight,
    /// One of the two documents that we add to.
    WellKnown(Document),
    /// Media whose stored response may be looked up.
    Media(MediaRequest),
    /// A media endpoint that is the origin's to answer, every time.
    Forward(Endpoint),
    /// None of our business: streamed through.
    Passthrough(Upstream),
    /// Not media, on the domain that serves nothing else.
    Unrecognized,
}

/// A well-known document that names servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `/.well-known/matrix/client`
    Client,
    /// `/.well-known/matrix/server`
    Server,
}

/// Who answers what is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// `HOMESERVER_URL`
    Homeserver,
    /// `WELL_KNOWN_URL`
    WellKnown,
}

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

/// A download or thumbnail that we know how to name.
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
    /// The raw path without that name.
    pub unnamed_path: String,
}

/// The file itself or a picture of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    /// The bytes as uploaded.
    Content,
    /// A thumbnail.
    Thumbnail(ThumbnailSpec),
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
    /// An upload or the making of a media ID.
    Upload,
    /// An endpoint that answers each user by itself, or that we don't know.
    Endpoint,
    /// A method other than GET and HEAD.
    Method,
    /// An identifier or parameter outside the grammar, which the origin judges.
    Unusual,
    /// An admin looks at quarantined media.
    QuarantineBypass,
    /// Federation media, each answer of which is made for one server.
    Federation,
    /// Frozen, unauthenticated media.
    Legacy,
    /// The request carries no credential that could be asked about, or more than one.
    Credential,
}

impl BypassReason {
    /// The word for `Cache-Status` and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Endpoint => "endpoint",
            Self::Method => "method",
            Self::Unusual => "unusual",
            Self::QuarantineBypass => "quarantine-bypass",
            Self::Federation => "federation",
            Self::Legacy => "legacy",
            Self::Credential => "credential",
        }
    }
}

/// Names the route of a request, or says why it goes nowhere.
///
/// # Errors
/// A request that has been here before, and a target that would not reach the origin unchanged.
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
    let is_signed = matches!(route, Route::Forward(Endpoint { door: Door::Federation, .. }));
    match head.target.fidelity() {
        Fidelity::Changed => Err(Rejection::UnfaithfulTarget),
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
            media_route(method, door, endpoint, target)
        };
    }
    if is_media_domain {
        return if method == Method::OPTIONS { Route::Preflight } else { Route::Unrecognized };
    }
    let document = match path {
        "/.well-known/matrix/client" => Document::Client,
        "/.well-known/matrix/server" => Document::Server,
        _ => return Route::Passthrough(upstream_of(authority, path, config)),
    };
    if method == Method::OPTIONS { Route::Preflight } else { Route::WellKnown(document) }
}

/// A website and a homeserver on two hosts may both have a route to us.
fn upstream_of(authority: &str, path: &str, config: &Config) -> Upstream {
    let is_website = config.well_known.is_at(authority) && !config.homeserver.is_at(authority);
    if is_website || path.starts_with("/.well-known/") {
        Upstream::WellKnown
    } else {
        Upstream::Homeserver
    }
}

/// Splits a path under one of the media prefixes into its door and the rest.
fn media_path(path: &str) -> Option<(Door, &str)> {
    const PREFIXES: [(&str, Door); 6] = [
        ("/_matrix/client/v1/media/", Door::Client),
        ("/_matrix/federation/v1/media/", Door::Federation),
        ("/_matrix/client/unstable/org.matrix.msc3916/media/", Door::Other),
        ("/_matrix/federation/unstable/org.matrix.msc3916/media/", Door::Federation),
        ("/_matrix/federation/unstable/org.matrix.msc3916.v2/media/", Door::Federation),
        ("/_matrix/media/", Door::Other),
    ];
    let (prefix, door) = PREFIXES.iter().find(|(prefix, _)| path.starts_with(prefix))?;
    let rest = &path[prefix.len()..];
    if *prefix == "/_matrix/media/"
        && let Some((version, endpoint)) = rest.split_once('/')
        && matches!(version, "r0" | "v1" | "v3")
        && (endpoint.starts_with("download/") || endpoint.starts_with("thumbnail/"))
    {
        return Some((Door::Legacy, endpoint));
    }
    Some((*door, rest))
}

fn media_route(method: &Method, door: Door, endpoint: &str, target: &Target) -> Route {
    let forward = |reason| Route::Forward(Endpoint { door, reason });
    let is_stored_kind = matches!(door, Door::Client | Door::Legacy | Door::Federation);
    if !is_stored_kind || !(endpoint.starts_with("download/") || endpoint.starts_with("thumbnail/"))
    {
        let is_upload = method == Method::POST || method == Method::PUT;
        return forward(if is_upload { BypassReason::Upload } else { BypassReason::Endpoint });
    }
    if method != Method::GET && method != Method::HEAD {
        return forward(BypassReason::Method);
    }
    if target.query().pairs().any(|(name, _)| name == "admin_unsafely_bypass_quarantine") {
        return forward(BypassReason::QuarantineBypass);
    }
    match door {
        Door::Federation => return forward(BypassReason::Federation),
        Door::Legacy => return forward(BypassReason::Legacy),
        Door::Client | Door::Other => {}
    }
    media_request(door, endpoint, target)
        .map_or_else(|| forward(BypassReason::Unusual), Route::Media)
}

/// Reads what is asked for, or nothing where an identifier or parameter is outside the grammar.
fn media_request(door: Door, endpoint: &str, target: &Target) -> Option<MediaRequest> {
    let mut segments = endpoint.split('/');
    let representation = match segments.next()? {
        "download" => Representation::Content,
        _ => Representation::Thumbnail(ThumbnailSpec::parse(target.query())?),
    };
    let server_name = ServerName::parse(&decode_segment(segments.next()?)?)?;
    let media_id = MediaId::parse(&decode_segment(segments.next()?)?)?;
    let (file_name, name_len) = match (segments.next(), representation) {
        (None, _) => (None, 0),
        // Homeservers disagree on names of thumbnails: theirs to answer.
        (Some(_), Representation::Thumbnail(_)) => return None,
        (Some(segment), Representation::Content) => {
            (Some(decode_segment(segment)?.into_owned()), "/".len() + segment.len())
        }
    };
    if segments.next().is_some() {
        return None;
    }
    let path = target.path();
    Some(MediaRequest {
        door,
        mxc: Mxc { server_name, media_id },
        representation,
        file_name: file_name.filter(|name| !name.is_empty()),
        unnamed_path: path[..path.len() - name_len].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn routed(method: &str, host: &str, target: &str) -> Route {
        let method = method.parse().unwrap();
        route(&method, host, &Target::new(target), &config(&[]).unwrap())
    }

    fn got(target: &str) -> Route {
        routed("GET", "media.example.com", target)
    }

    fn media(target: &str) -> MediaRequest {
        match got(target) {
            Route::Media(media) => media,
            other => panic!("{target}: {other:?}"),
        }
    }

    fn reason(target: &str) -> BypassReason {
        match got(target) {
            Route::Forward(endpoint) => endpoint.reason,
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn client_downloads_name_their_media_once_decoded() {
        let plain = media("/_matrix/client/v1/media/download/example.com/abc");
        let escaped = media("/_matrix/client/v1/media/download/ex%61mple.com/%61bc");
        assert_eq!(plain.mxc, escaped.mxc);
        assert_eq!(plain.mxc.media_id.as_str(), "abc");
        assert_eq!(plain.representation, Representation::Content);
    }

    #[test]
    fn file_names_are_decoded_and_may_be_empty() {
        let named = media("/_matrix/client/v1/media/download/example.com/abc/a%2Fb%20%C3%A9");
        assert_eq!(named.file_name.as_deref(), Some("a/b é"));
        assert_eq!(named.unnamed_path, "/_matrix/client/v1/media/download/example.com/abc");
        assert_eq!(media("/_matrix/client/v1/media/download/example.com/abc/").file_name, None);
    }

    #[test]
    fn what_is_outside_the_grammar_is_the_origins_to_judge() {
        for target in [
            "/_matrix/client/v1/media/download/example.com/a%2Fb",
            "/_matrix/client/v1/media/download/example.com/a%00b",
            "/_matrix/client/v1/media/download/bad_server/abc",
            "/_matrix/client/v1/media/download/example.com/abc/%ff",
            "/_matrix/client/v1/media/download/example.com/abc/a/b",
            "/_matrix/client/v1/media/download/example.com",
            "/_matrix/client/v1/media/download/mxc:%2F%2Fhs1%2Fabc/x",
            "/_matrix/client/v1/media/thumbnail/example.com/abc",
            "/_matrix/client/v1/media/thumbnail/example.com/abc/x?width=1&height=1",
        ] {
            assert_eq!(reason(target), BypassReason::Unusual, "{target}");
        }
    }

    #[test]
    fn an_admins_look_at_quarantined_media_never_meets_the_cache() {
        let target = "/_matrix/client/v1/media/download/example.com/abc?admin_unsafely_bypass_quarantine=true";
        assert_eq!(reason(target), BypassReason::QuarantineBypass);
    }

    #[test]
    fn other_media_endpoints_are_forwarded() {
        for target in [
            "/_matrix/client/v1/media/config",
            "/_matrix/client/v1/media/preview_url?url=x",
            "/_matrix/media/v3/config",
            "/_matrix/media/v9/download/a/b",
            "/_matrix/client/unstable/org.matrix.msc3916/media/download/a/b",
        ] {
            assert_eq!(reason(target), BypassReason::Endpoint, "{target}");
        }
    }

    #[test]
    fn nothing_but_media_is_on_the_media_domain() {
        for target in [
            "/",
            "/_matrix/client/versions",
            "/.well-known/matrix/client",
            "//_matrix/media/v3/config",
        ] {
            assert_eq!(got(target), Route::Unrecognized, "{target}");
        }
    }

    #[test]
    fn elsewhere_the_rest_passes_through() {
        let at = |host, target| routed("GET", host, target);
        assert_eq!(
            at("matrix.example.com", "/_matrix/client/versions"),
            Route::Passthrough(Upstream::Homeserver)
        );
        assert_eq!(
            at("matrix.example.com", "/.well-known/matrix/support"),
            Route::Passthrough(Upstream::WellKnown)
        );
        assert_eq!(at("example.com", "/index.html"), Route::Passthrough(Upstream::WellKnown));
        assert_eq!(
            at("example.com", "/.well-known/matrix/server"),
            Route::WellKnown(Document::Server)
        );
    }

    #[test]
    fn preflights_are_ours_where_the_path_is() {
        let preflight = |host, target| routed("OPTIONS", host, target);
        assert_eq!(preflight("matrix.example.com", "/_matrix/media/v3/upload"), Route::Preflight);
        assert_eq!(preflight("example.com", "/.well-known/matrix/client"), Route::Preflight);
        assert_eq!(preflight("media.example.com", "/anything"), Route::Preflight);
        assert_eq!(
            preflight("matrix.example.com", "/_matrix/client/v3/sync"),
            Route::Passthrough(Upstream::Homeserver)
        );
    }
}
