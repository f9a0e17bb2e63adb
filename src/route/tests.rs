use http::{HeaderMap, HeaderValue};

use super::route as route_of;
use super::*;
use crate::config::tests::config;
use crate::matrix::media::{QueryClass, Representation};

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

fn admitted(target: &str, passed: &'static str) -> Result<Route, Rejection> {
    let head = RequestHead {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "example.com".to_owned(),
        target: Target::new(target),
        headers: HeaderMap::from_iter([(LOOP, HeaderValue::from_static(passed))]),
    };
    admit(&head, &config(&[]).unwrap())
}

#[test]
fn a_request_that_passed_this_edge_before_is_refused() {
    for passed in ["example.com", "example.org, example.com"] {
        assert!(matches!(admitted("/", passed), Err(Rejection::Loop)), "{passed}");
    }
    assert!(admitted("/", "example.org").is_ok());
}

#[test]
fn a_signed_target_is_unchanged_or_refused() {
    let signed = "/_matrix/federation/v1/media/download/abc?é";
    assert!(matches!(admitted(signed, ""), Err(Rejection::UnfaithfulTarget)));
    assert!(admitted("/_matrix/client/v1/media/download/example.com/abc?é", "").is_ok());
    let folded = "/_matrix/client/v1/media/../abc";
    assert!(matches!(admitted(folded, ""), Err(Rejection::UnfaithfulTarget)));
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
    assert_eq!(named.origin_path, "/_matrix/client/v1/media/download/example.com/abc");
    assert_eq!(media("/_matrix/client/v1/media/download/example.com/abc/").file_name, None);
}

#[test]
fn targets_outside_the_grammar_are_forwarded() {
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
fn an_admins_view_of_quarantined_media_bypasses_the_cache() {
    let target =
        "/_matrix/client/v1/media/download/example.com/abc?admin_unsafely_bypass_quarantine=true";
    assert_eq!(reason(target), BypassReason::QuarantineBypass);
}

#[test]
fn other_media_endpoints_are_forwarded() {
    for target in [
        "/_matrix/client/v1/media/preview_url?url=x",
        "/_matrix/media/v9/download/a/b",
        "/_matrix/client/unstable/org.matrix.msc3916/media/download/a/b",
        "/_matrix/federation/unstable/org.matrix.msc3916.v2/media/download/b",
        "/_matrix/federation/v1/media/config",
    ] {
        assert_eq!(reason(target), BypassReason::Endpoint, "{target}");
    }
}

#[test]
fn uploads_and_limits_are_recognized_at_every_path() {
    let id = |id| UploadTo::Id(Mxc::parse(id));
    for (method, path, route) in [
        ("POST", "/_matrix/media/r0/upload", Route::Upload(UploadTo::New)),
        ("POST", "/_matrix/media/v3/upload?filename=a", Route::Upload(UploadTo::New)),
        (
            "PUT",
            "/_matrix/media/v3/upload/example.com/%61bc",
            Route::Upload(id("mxc://example.com/abc")),
        ),
        (
            "PUT",
            "/_matrix/media/unstable/fi.mau.msc2246/upload/example.com/abc",
            Route::Upload(id("mxc://example.com/abc")),
        ),
        ("PUT", "/_matrix/media/v3/upload/example.com/a.b", Route::Upload(UploadTo::Id(None))),
        ("GET", "/_matrix/client/v1/media/config", Route::Limits(Door::Client)),
        ("GET", "/_matrix/media/v3/config", Route::Limits(Door::Other)),
    ] {
        assert_eq!(routed(method, "media.example.com", path), route, "{method} {path}");
    }
    for (method, path) in [
        ("POST", "/_matrix/media/v1/create"),
        ("POST", "/_matrix/media/v3/upload/"),
        ("POST", "/_matrix/media/v3/uploads"),
        ("PUT", "/_matrix/media/v3/upload"),
        ("GET", "/_matrix/media/v3/upload"),
        ("HEAD", "/_matrix/client/v1/media/config"),
        ("POST", "/_matrix/client/v1/media/upload"),
    ] {
        let route = routed(method, "media.example.com", path);
        assert!(matches!(route, Route::Forward(_)), "{method} {path}: {route:?}");
    }
}

#[test]
fn servers_ask_for_media_of_this_server() {
    let request = media("/_matrix/federation/v1/media/download/abc?timeout_ms=20000");
    assert_eq!(request.door, Door::Federation);
    assert_eq!(request.mxc.server_name.as_str(), "example.com");
    assert_eq!(
        reason("/_matrix/federation/v1/media/download/example.com/abc"),
        BypassReason::Unusual
    );
}

#[test]
fn the_three_legacy_versions_are_one_door() {
    for version in ["r0", "v1", "v3"] {
        let request = media(&format!("/_matrix/media/{version}/download/example.com/abc/n"));
        assert_eq!((request.door, request.mxc.media_id.as_str()), (Door::Legacy, "abc"));
    }
}

#[test]
fn a_query_with_known_parameters_is_canonical() {
    let client =
        |query| media(&format!("/_matrix/client/v1/media/download/a/b?{query}")).query_class;
    let legacy = |query| media(&format!("/_matrix/media/v3/download/a/b?{query}")).query_class;
    for query in ["", "timeout_ms=20000", "access_token=x", "allow_redirect=true"] {
        assert_eq!(client(query), QueryClass::Canonical, "{query}");
    }
    for query in [
        "timeout_ms=x",
        "timeout_ms=",
        "user_id=@a:b",
        "allow_remote=true",
        "allow_redirect=false",
        "device_id=D",
    ] {
        assert_eq!(client(query), QueryClass::PerRequest, "{query}");
    }
    for query in ["allow_remote=true&allow_redirect=true", "com.beeper.msc3860.allow_redirect=true"]
    {
        assert_eq!(legacy(query), QueryClass::Canonical, "{query}");
    }
    for query in ["allow_remote=false", "allow_redirect=1", "access_token=x"] {
        assert_eq!(legacy(query), QueryClass::PerRequest, "{query}");
    }
}

#[test]
fn the_media_domain_serves_media_alone() {
    for target in [
        "/index.html",
        "/_edge/other",
        "/_matrix/client/versions",
        "/.well-known/matrix/client",
        "//_matrix/media/v3/config",
    ] {
        assert_eq!(got(target), Route::Unrecognized, "{target}");
    }
}

#[test]
fn admin_pages_are_on_the_media_domain_and_not_on_other_hosts() {
    for (target, route) in [
        ("/", Route::Status(StatusForm::Page)),
        ("/_edge/", Route::Status(StatusForm::Page)),
        ("/_edge/status", Route::Status(StatusForm::Json)),
        ("/_edge/purge", Route::Purge),
        ("/_edge/selftest", Route::SelfTest),
    ] {
        assert_eq!(got(target), route, "{target}");
        let elsewhere = routed("GET", "matrix.example.com", target);
        assert!(matches!(elsewhere, Route::Passthrough(_)), "{target}: {elsewhere:?}");
    }
}

#[test]
fn other_paths_on_other_hosts_pass_through() {
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
    assert_eq!(at("example.com", "/.well-known/matrix/server"), Route::WellKnown(Document::Server));
}

#[test]
fn preflights_are_answered_where_the_path_is_the_edges() {
    let preflight = |host, target| routed("OPTIONS", host, target);
    assert_eq!(preflight("matrix.example.com", "/_matrix/media/v3/upload"), Route::Preflight);
    assert_eq!(preflight("example.com", "/.well-known/matrix/client"), Route::Preflight);
    assert_eq!(preflight("media.example.com", "/anything"), Route::Preflight);
    assert_eq!(
        preflight("matrix.example.com", "/_matrix/client/v3/sync"),
        Route::Passthrough(Upstream::Homeserver)
    );
}

#[test]
fn an_ambiguous_query_or_unknown_parameter_bypasses_the_cache() {
    for query in [
        "x=y",
        "width=1",
        "=",
        "user_id=@a:b&x=y&timeout_ms=1",
        "Timeout_ms=1",
        "timeout_ms=1;x=y",
        "timeout_ms=1;",
        "timeout_ms=1&timeout_ms=1",
        "allow_redirect=true&allow%5Fredirect=true",
    ] {
        let target = format!("/_matrix/client/v1/media/download/a/b?{query}");
        assert_eq!(reason(&target), BypassReason::Unusual, "{query}");
    }
    for query in ["width=1&height=1&method=CROP", "width=1&width=2&height=1", "width=1;height=1"] {
        let target = format!("/_matrix/media/v3/thumbnail/a/b?{query}");
        assert_eq!(reason(&target), BypassReason::Unusual, "{query}");
    }
}

#[test]
fn a_path_is_asked_for_in_one_spelling() {
    for (target, expected) in [
        (
            "/_matrix/client/v1/media/download/ex%61mple.com/%61bc/x",
            "/_matrix/client/v1/media/download/example.com/abc",
        ),
        (
            "/_matrix/media/r0/thumbnail/example.com/%61bc?width=1&height=1",
            "/_matrix/media/r0/thumbnail/example.com/abc",
        ),
        (
            "/_matrix/federation/v1/media/download/%61bc",
            "/_matrix/federation/v1/media/download/%61bc",
        ),
    ] {
        assert_eq!(media(target).origin_path, expected);
    }
}

#[test]
fn paths_that_lead_out_of_the_media_paths_are_refused() {
    for target in [
        "/_matrix/media/v3/download/..%2f..%2f..%2f_synapse/admin",
        "/_matrix/client/v1/media/download/example.com/..%5Cabc",
        "/_matrix/federation/v1/media/%252e%252e%252fx",
        "/_matrix/media/v3/..%2fupload",
    ] {
        assert!(matches!(admitted(target, ""), Err(Rejection::UnfaithfulTarget)), "{target}");
    }
    let refused_by_the_origin = "/_matrix/client/v1/media/download/mxc:%2F%2Fhs1%2Fabc/a";
    assert!(admitted(refused_by_the_origin, "").is_ok());
}

#[test]
fn documents_come_first_on_the_host_of_the_server_name() {
    let vars = [("MEDIA_URL", "https://example.com")];
    let config = config(&vars).unwrap();
    let route = |path: &str| {
        let target = Target::new(path);
        route_of(&Method::GET, "example.com", &target, &config)
    };
    assert_eq!(route("/.well-known/matrix/client"), Route::WellKnown(Document::Client));
    assert_eq!(route("/anything"), Route::Unrecognized);
}

/// Where a request goes before a homeserver that clients know as `matrix.example.com`.
fn routed_before_own_origin(media_url: &str, host: &str, target: &str) -> Route {
    let vars = [("PUBLIC_URL", "https://matrix.example.com"), ("MEDIA_URL", media_url)];
    route_of(&Method::GET, host, &Target::new(target), &config(&vars).unwrap())
}

#[test]
fn the_public_host_is_the_homeservers_and_has_the_edges_own_pages() {
    for media_url in ["https://matrix.example.com", "https://media.example.com"] {
        let at = |target| routed_before_own_origin(media_url, "matrix.example.com", target);
        assert_eq!(at("/_edge/status"), Route::Status(StatusForm::Json));
        assert_eq!(at("/_edge/purge"), Route::Purge);
        assert_eq!(at("/.well-known/matrix/client"), Route::WellKnown(Document::Client));
        for target in ["/", "/_matrix/client/versions"] {
            assert_eq!(at(target), Route::Passthrough(Upstream::Homeserver), "{media_url}{target}");
        }
    }
}

#[test]
fn the_origins_host_has_no_pages_of_the_edge_where_clients_know_another() {
    let at = |target| {
        routed_before_own_origin("https://matrix.example.com", "origin.example.com", target)
    };
    for target in ["/_edge/status", "/_edge/purge"] {
        assert_eq!(at(target), Route::Passthrough(Upstream::Homeserver), "{target}");
    }
}

#[test]
fn a_public_host_with_the_documents_is_no_website() {
    let vars = [
        ("PUBLIC_URL", "https://matrix.example.com"),
        ("WELL_KNOWN_URL", "https://matrix.example.com"),
    ];
    let config = config(&vars).unwrap();
    let at = |target| route_of(&Method::GET, "matrix.example.com", &Target::new(target), &config);
    assert_eq!(at("/_matrix/client/versions"), Route::Passthrough(Upstream::Homeserver));
    assert_eq!(at("/.well-known/matrix/support"), Route::Passthrough(Upstream::WellKnown));
}
