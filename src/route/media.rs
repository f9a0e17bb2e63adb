//! The endpoints of media: which one a path names, and what it asks for.

use std::borrow::Cow;

use http::Method;

use super::{BypassReason, Endpoint, Route, UploadTo};
use crate::config::Config;
use crate::matrix::ids::{MediaId, Mxc, ServerName};
use crate::matrix::media::{Door, MediaRequest, QueryClass, Representation, is_redirect_parameter};
use crate::matrix::thumbnail::ThumbnailSpec;
use crate::message::target::{Target, decode_segment};

/// Splits a path under one of the media prefixes into its door and the rest.
pub(super) fn media_path(path: &str) -> Option<(Door, &str)> {
    const PREFIXES: [(&str, Door); 6] = [
        ("/_matrix/client/v1/media/", Door::Client),
        ("/_matrix/federation/v1/media/", Door::Federation),
        ("/_matrix/client/unstable/org.matrix.msc3916/media/", Door::Other),
        ("/_matrix/federation/unstable/org.matrix.msc3916/media/", Door::Other),
        ("/_matrix/federation/unstable/org.matrix.msc3916.v2/media/", Door::Other),
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

pub(super) fn media_route(
    method: &Method,
    door: Door,
    endpoint: &str,
    target: &Target,
    config: &Config,
) -> Route {
    let forward = |reason| Route::Forward(Endpoint { door, reason });
    let is_stored_kind = matches!(door, Door::Client | Door::Legacy | Door::Federation);
    if !is_stored_kind || !(endpoint.starts_with("download/") || endpoint.starts_with("thumbnail/"))
    {
        return if let Some(to) = upload_to(method, target.path()) {
            Route::Upload(to)
        } else if method == Method::GET && is_limits(door, endpoint) {
            Route::Limits(door)
        } else {
            forward(BypassReason::Endpoint)
        };
    }
    if method != Method::GET && method != Method::HEAD {
        return forward(BypassReason::Method);
    }
    let query = target.query();
    if query.pairs().any(|(name, _)| name == "admin_unsafely_bypass_quarantine") {
        return forward(BypassReason::QuarantineBypass);
    }
    media_request(door, endpoint, target, config)
        .filter(|_| query.has_one_reading())
        .map_or_else(|| forward(BypassReason::Unusual), Route::Media)
}

/// Returns where an upload goes: `POST /_matrix/media/*/upload` and `PUT
/// /_matrix/media/*/upload/{serverName}/{mediaId}`, the latter under its unstable name too. `None`
/// for any other request.
fn upload_to(method: &Method, path: &str) -> Option<UploadTo> {
    let (version, endpoint) = path.strip_prefix("/_matrix/media/")?.split_once('/')?;
    let endpoint = match version {
        "r0" | "v1" | "v3" => endpoint,
        "unstable" => endpoint.strip_prefix("fi.mau.msc2246/")?,
        _ => return None,
    };
    let id = endpoint.strip_prefix("upload")?;
    match (method, id.strip_prefix('/')) {
        (&Method::POST, None) if id.is_empty() => Some(UploadTo::New),
        (&Method::PUT, Some(id)) => Some(UploadTo::Id(mxc(id))),
        _ => None,
    }
}

/// Reads the raw path segments `{serverName}/{mediaId}`.
fn mxc(path: &str) -> Option<Mxc> {
    let (server_name, media_id) = path.split_once('/')?;
    let server_name = ServerName::parse(&decode_segment(server_name)?)?;
    Some(Mxc { server_name, media_id: MediaId::parse(&decode_segment(media_id)?)? })
}

/// Returns whether the endpoint is `config`, under any of its names.
fn is_limits(door: Door, endpoint: &str) -> bool {
    match door {
        Door::Client => endpoint == "config",
        Door::Other => matches!(endpoint, "config" | "r0/config" | "v1/config" | "v3/config"),
        Door::Legacy | Door::Federation => false,
    }
}

/// Parses what is asked for. Returns `None` where an identifier or parameter is outside the
/// grammar.
fn media_request(
    door: Door,
    endpoint: &str,
    target: &Target,
    config: &Config,
) -> Option<MediaRequest> {
    let mut segments = endpoint.split('/');
    let representation = match segments.next()? {
        "download" => Representation::Content,
        _ => Representation::Thumbnail(ThumbnailSpec::parse(target.query())?),
    };
    let server_name = match door {
        // Servers ask only for media of the edge's own server.
        Door::Federation => config.server_name.clone(),
        Door::Client | Door::Legacy | Door::Other => {
            ServerName::parse(&decode_segment(segments.next()?)?)?
        }
    };
    let media_id = MediaId::parse(&decode_segment(segments.next()?)?)?;
    let file_name = match (segments.next(), representation, door) {
        (None, ..) => None,
        // Homeservers disagree on names of thumbnails, and servers give none: theirs to answer.
        (Some(_), Representation::Thumbnail(_), _) | (Some(_), _, Door::Federation) => return None,
        (Some(segment), Representation::Content, _) => Some(decode_segment(segment)?.into_owned()),
    };
    if segments.next().is_some() {
        return None;
    }
    let path = target.path();
    let origin_path = match door {
        Door::Federation => path.to_owned(),
        Door::Client | Door::Legacy | Door::Other => {
            let kind = representation.endpoint();
            let prefix = &path[..path.len() - endpoint.len()];
            format!("{prefix}{kind}/{server_name}/{}", media_id.as_str())
        }
    };
    Some(MediaRequest {
        door,
        mxc: Mxc { server_name, media_id },
        representation,
        file_name: file_name.filter(|name| !name.is_empty()),
        origin_path,
        query_class: query_class(door, representation, target)?,
    })
}

/// Returns the class of a query; `None` if it has a parameter that the edge doesn't know.
fn query_class(door: Door, representation: Representation, target: &Target) -> Option<QueryClass> {
    let is_legacy = door == Door::Legacy;
    let is_thumbnail = matches!(representation, Representation::Thumbnail(_));
    let class_of = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        let is_canonical = match &*name {
            "timeout_ms" => !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()),
            "access_token" => door == Door::Client,
            "allow_remote" => is_legacy && value == "true",
            // The client door has dropped it, and matrix-js-sdk sends it there all the same.
            _ if is_redirect_parameter(&name) => value == "true" || is_legacy && value == "false",
            "user_id" | "device_id" | "org.matrix.msc3202.device_id" => false,
            "width" | "height" | "method" | "animated" if is_thumbnail => true,
            _ => return None,
        };
        Some(if is_canonical { QueryClass::Canonical } else { QueryClass::PerRequest })
    };
    target
        .query()
        .pairs()
        .try_fold(QueryClass::Canonical, |class, pair| Some(class.max(class_of(pair)?)))
}
