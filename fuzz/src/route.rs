//! Targets and routes: what is admitted is asked of the origin as the client wrote it, and media is
//! named by what any reader of URLs finds in its path.

use http::{HeaderMap, Method};
use matrix_media_edge::cache::key::{CacheKey, Subject};
use matrix_media_edge::error::Rejection;
use matrix_media_edge::matrix::ids::Mxc;
use matrix_media_edge::matrix::media::{Door, MediaRequest, Representation};
use matrix_media_edge::message::RequestHead;
use matrix_media_edge::message::target::{Fidelity, Target};
use matrix_media_edge::route::{Route, UploadTo, Upstream, admit};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::input::{self, CONFIG, MEDIA_DOMAIN, PUBLIC_HOST, get, texts};

/// The input's lines: method, host, target, and another target.
pub(crate) fn target(input: &[u8]) {
    let Some([method, host, target, other]) = texts(input) else { return };
    let head = head(method, host, target);
    let raw = head.target.as_str();
    assert_eq!(format!("{}{}", head.target.path(), &raw[head.target.path().len()..]), raw);
    fidelity(&head.target);
    let route = match admit(&head, &CONFIG) {
        Ok(route) => route,
        Err(Rejection::UnfaithfulTarget) => {
            return assert_ne!(head.target.fidelity(), Fidelity::Exact);
        }
        Err(other) => panic!("{other:?}"),
    };
    assert!(route != Route::Preflight || head.method == Method::OPTIONS);
    // On any port, and with the dot of the root or without.
    let named = head.authority.split(':').next().unwrap_or_default();
    let is_at = |host: &str| named.strip_suffix('.').unwrap_or(named).eq_ignore_ascii_case(host);
    if is_at(MEDIA_DOMAIN) {
        assert!(!matches!(route, Route::Passthrough(_)), "media and nothing else");
    } else {
        let of_any_host = ["/_matrix/", "/.well-known/matrix/"];
        let of_public_host: &[_] = if is_at(PUBLIC_HOST) { &["/_edge"] } else { &[] };
        let mut own = of_any_host.iter().chain(of_public_host);
        let is_passed = matches!(route, Route::Passthrough(_));
        assert!(is_passed || own.any(|own| raw.starts_with(own)), "a route that is too broad");
    }
    match route {
        Route::Media(media) => {
            assert!(head.is_read(), "{}", head.method);
            assert!(head.target.query().has_one_reading(), "two readings are no reading");
            is_no_way_out(&head.target);
            asks_what_is_known(&head.target, &media);
            named_by_its_path(&head.target, &media);
            the_same_without_its_name(&head, &media);
            alone_under_its_key(&media, other);
        }
        Route::Upload(UploadTo::Id(Some(mxc))) => {
            assert!(head.target.path().starts_with("/_matrix/media/"));
            assert_eq!(
                Mxc::parse(&format!("mxc://{}/{}", mxc.server_name, mxc.media_id.as_str())),
                Some(mxc)
            );
        }
        Route::Passthrough(Upstream::WellKnown) => {
            assert!(raw.starts_with("/.well-known/") || is_at("example.com"));
        }
        _ => {}
    }
}

fn head(method: &str, host: &str, target: &str) -> RequestHead {
    RequestHead {
        method: Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET),
        authority: if host.is_empty() { MEDIA_DOMAIN.to_owned() } else { host.to_owned() },
        ..get(target, HeaderMap::new())
    }
}

/// What `fetch` makes of it, by the URL standard.
fn fidelity(target: &Target) {
    let url = Url::parse(&format!("https://origin.example.com{}", target.as_str()));
    let url = url.expect("a target never spoils a URL");
    let fetched = &url[Position::BeforePath..Position::AfterQuery];
    let decoded = |text: &str| -> Vec<Vec<u8>> {
        text.split(['/', '?']).map(|part| percent_decode_str(part).collect()).collect()
    };
    match target.fidelity() {
        Fidelity::Exact => assert_eq!(fetched, target.as_str()),
        Fidelity::Equivalent => assert_eq!(decoded(fetched), decoded(target.as_str())),
        Fidelity::Changed => {}
    }
}

fn named_by_its_path(target: &Target, media: &MediaRequest) {
    let prefixes: &[&str] = match media.door {
        Door::Client => &["/_matrix/client/v1/media/"],
        Door::Legacy => &["/_matrix/media/r0/", "/_matrix/media/v1/", "/_matrix/media/v3/"],
        Door::Federation => &["/_matrix/federation/v1/media/"],
        Door::Other => panic!("nothing behind this door is stored"),
    };
    let rest = prefixes.iter().find_map(|prefix| target.path().strip_prefix(prefix));
    let segments: Vec<_> = rest.expect("a path of media").split('/').collect();
    let is_thumbnail = matches!(media.representation, Representation::Thumbnail(_));
    assert_eq!(segments[0], if is_thumbnail { "thumbnail" } else { "download" });
    let (server_name, names) = match media.door {
        Door::Federation => (CONFIG.server_name.to_string(), &segments[1..]),
        Door::Client | Door::Legacy | Door::Other => (decoded(segments[1]), &segments[2..]),
    };
    let file_name = names.get(1).map(|name| decoded(name));
    assert_eq!(media.mxc.server_name.as_str(), server_name);
    assert_eq!(media.mxc.media_id.as_str(), decoded(names[0]));
    assert_eq!(media.file_name, file_name.filter(|name| !name.is_empty()));
    assert!(names.len() <= 2);
}

/// Whoever decodes its path, once or twice, finds no segment that leads out of it.
fn is_no_way_out(target: &Target) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    for path in [decode(target.path()), decode(&decode(target.path()))] {
        assert!(!path.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")), "{path}");
    }
}

/// A parameter that the edge doesn't know may select other bytes than are stored.
fn asks_what_is_known(target: &Target, media: &MediaRequest) {
    let url = Url::parse(&format!("https://origin.example.com{}", target.as_str()));
    let of_both = [
        "access_token",
        "allow_redirect",
        "allow_remote",
        "com.beeper.msc3860.allow_redirect",
        "device_id",
        "org.matrix.msc3202.device_id",
        "timeout_ms",
        "user_id",
    ];
    let of_thumbnails = ["animated", "height", "method", "width"];
    let is_thumbnail = matches!(media.representation, Representation::Thumbnail(_));
    for (name, _) in url.expect("a target never spoils a URL").query_pairs() {
        let is_known = of_both.contains(&&*name) || is_thumbnail && of_thumbnails.contains(&&*name);
        assert!(is_known, "{name}");
    }
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8().expect("UTF-8").into_owned()
}

fn the_same_without_its_name(head: &RequestHead, media: &MediaRequest) {
    let query = &head.target.as_str()[head.target.path().len()..];
    let unnamed = Target::new(&format!("{}{query}", media.origin_path));
    let route = admit(&RequestHead { target: unnamed, ..head.clone() }, &CONFIG);
    assert_eq!(route, Ok(Route::Media(MediaRequest { file_name: None, ..media.clone() })));
}

fn alone_under_its_key(media: &MediaRequest, other: &str) {
    let Ok(Route::Media(other)) = admit(&get(other, HeaderMap::new()), &CONFIG) else { return };
    let other_id = other.mxc.media_id.clone();
    let is_for_servers = |media: &MediaRequest| media.door == Door::Federation;
    let is_same = media.mxc == other.mxc
        && media.representation == other.representation
        && is_for_servers(media) == is_for_servers(&other);
    let (key, other) = (key(media), key(&other));
    assert_eq!(key == other, is_same);
    let shares = !is_same && key.name() == other.name();
    assert_eq!(key.shares_name_with(&other.to_string()), shares);
    assert!(!shares || media.mxc.media_id == other_id, "only of one media");
}

fn key(media: &MediaRequest) -> CacheKey {
    input::key(match media.door {
        Door::Federation => Subject::Federation(&media.mxc.media_id, media.representation),
        Door::Client | Door::Legacy | Door::Other => {
            Subject::Media(&media.mxc, media.representation)
        }
    })
}
