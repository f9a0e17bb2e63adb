//! Which headers cross the edge.

use test_support::profile::Profile;

use crate::support::origin::{MEDIA_HEADERS, Reply};
use crate::support::world::{
    BODY, World, download, download_path, media_domain, same_host, shared,
};

/// What a client may claim about itself and nobody may believe.
const FORGED: [(&str, &str); 11] = [
    ("CDN-Loop", "forged"),
    ("CF-IPCountry", "XX"),
    ("CF-Ray", "forged"),
    ("CF-Visitor", "forged"),
    ("Forwarded", "for=198.51.100.66"),
    ("True-Client-IP", "198.51.100.66"),
    ("Via", "1.1 forged"),
    ("X-Forwarded-For", "198.51.100.66"),
    ("X-Forwarded-Host", "forged.example"),
    ("X-Forwarded-Port", "6666"),
    ("X-Real-IP", "198.51.100.66"),
];

/// The address that the platform saw.
const CONNECTING: &str = "203.0.113.7";

const PASSTHROUGH: &str = "/_matrix/client/v3/sync/headers";

#[test]
fn the_origin_gets_the_connecting_address_and_nothing_forged() {
    let world = shared();
    let id = world.media();
    let token = world.token();
    let media = download_path(&id);
    world.origin.reply(PASSTHROUGH, Reply::new(200));
    for path in [media.as_str(), "/_matrix/client/v1/media/config", PASSTHROUGH] {
        world.origin.forget(path);
        let mut request = same_host("GET", path).bearer(&token);
        for (name, value) in FORGED {
            request = request.header(name, value);
        }
        request.header("CF-Connecting-IP", CONNECTING).send(&world.edge.address);
        let asked = world.origin.asked_once(path);
        let told: Vec<_> = asked.head.headers.all("x-forwarded-for").collect();
        // Cloudflare's proxy adds an address of its own behind it.
        let first = told.first().and_then(|told| told.split(", ").next());
        assert_eq!((told.len(), first), (1, Some(CONNECTING)), "{path}");
        for (name, value) in FORGED {
            let is_ours = ["X-Forwarded-For", "CDN-Loop"].contains(&name);
            assert!(is_ours || asked.header(name) != Some(value), "{path}: {name}");
        }
    }
}

#[test]
fn the_origin_gets_https_as_the_scheme_of_an_http_client() {
    let world = shared();
    let id = world.media();
    download(&id, &world.token()).send(&world.edge.address);
    let asked = world.origin.asked_once(&download_path(&id));
    assert_eq!(asked.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_media_request_asks_for_unencoded_bytes() {
    let world = shared();
    let token = world.token();
    for id in [world.media(), world.stored_media()] {
        let request = download(&id, &token).header("Accept-Encoding", "br, zstd");
        request.send(&world.edge.address);
        let asked = world.origin.asked_once(&download_path(&id));
        let expected = match Profile::current() {
            Profile::Plain => "identity",
            // Cloudflare asks for what it can decode itself.
            Profile::Cloudflare => "br, gzip",
        };
        assert_eq!(asked.header("accept-encoding"), Some(expected));
    }
}

#[test]
fn a_question_about_stored_media_has_no_range() {
    let world = shared();
    let id = world.stored_media();
    let request = download(&id, &world.token()).header("Range", "bytes=1-2");
    assert_eq!(request.send(&world.edge.address).status, 206);
    assert_eq!(world.origin.asked_once(&download_path(&id)).header("range"), None);
}

#[test]
fn a_media_request_carries_no_cookie() {
    let world = shared();
    let id = world.media();
    let request = download(&id, &world.token()).header("Cookie", "session=1");
    request.header("X-Anything", "1").send(&world.edge.address);
    let asked = world.origin.asked_once(&download_path(&id));
    assert_eq!((asked.header("cookie"), asked.header("x-anything")), (None, None));
}

#[test]
fn hop_by_hop_headers_are_not_forwarded() {
    let world = shared();
    let id = world.media();
    world.origin.reply(&format!("{PASSTHROUGH}/hop"), Reply::new(200));
    for path in [download_path(&id), format!("{PASSTHROUGH}/hop")] {
        let request = same_host("GET", &path).bearer(&world.token());
        let request = request
            .header("Connection", "keep-alive, x-hop")
            .header("X-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("TE", "trailers")
            .header("Proxy-Authorization", "Basic YTpi");
        request.send(&world.edge.address);
        let asked = world.origin.asked_once(&path);
        for name in ["keep-alive", "te", "proxy-authorization", "x-hop"] {
            assert_eq!(asked.header(name), None, "{path}: {name}");
        }
    }
}

#[test]
fn the_admins_headers_go_to_the_homeserver_over_any_of_the_clients() {
    let world = World::start_with(&[("ORIGIN_HEADERS", r#"{"X-Tunnel":"secret","X-Two":"2"}"#)]);
    let id = world.media();
    for path in [download_path(&id), "/_matrix/client/versions".to_owned()] {
        let request = same_host("GET", &path).bearer(&world.token()).header("X-Tunnel", "forged");
        let answer = request.send(&world.edge.address);
        let asked = world.origin.asked_once(&path);
        assert_eq!(asked.head.headers.all("x-tunnel").collect::<Vec<_>>(), ["secret"], "{path}");
        assert_eq!(asked.header("x-two"), Some("2"));
        assert_eq!(answer.header("x-tunnel"), None);
    }
}

#[test]
fn security_headers_of_the_origin_are_kept() {
    let world = shared();
    let id = world.media();
    for _ in 0..2 {
        let answer = download(&id, &world.token()).send(&world.edge.address);
        for (name, value) in &MEDIA_HEADERS[4..9] {
            let added = if *name == "Cache-Control" { ", no-transform" } else { "" };
            assert_eq!(answer.header(name), Some(format!("{value}{added}").as_str()), "{name}");
        }
        assert_eq!(answer.headers.all("content-security-policy").count(), 1);
        assert_eq!(
            answer.header("x-robots-tag"),
            Some("noindex, nofollow, noarchive, noimageindex")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn missing_security_headers_are_added() {
    let world = shared();
    let id = "bare";
    let reply = Reply::new(200).header("ETag", "\"x\"").header("Content-Type", "text/plain");
    world.origin.reply(&download_path(id), reply.body(BODY));
    let answer = download(id, &world.token()).send(&world.edge.address);
    let csp = answer.header("content-security-policy").expect("a policy");
    assert!(csp.starts_with("sandbox;") && csp.contains("script-src 'none'"), "{csp}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn unlisted_headers_of_the_origin_reach_no_client() {
    let world = shared();
    let id = "talkative";
    let reply = Reply::new(200)
        .header("Content-Type", "image/png")
        .header("Set-Cookie", "a=b")
        .header("X-Powered-By", "something")
        .header("CF-Cache-Status", "HIT")
        .header("Keep-Alive", "timeout=5")
        .body(BODY);
    world.origin.reply(&download_path(id), reply);
    let answer = download(id, &world.token()).send(&world.edge.address);
    for name in ["set-cookie", "x-powered-by", "cf-cache-status", "keep-alive"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn browsers_may_read_what_players_need_and_not_the_cache_status() {
    let world = shared();
    let answer = download(&world.media(), &world.token()).send(&world.edge.address);
    for (name, expected) in [
        ("Content-Disposition", true),
        ("Content-Length", true),
        ("ETag", true),
        ("Cache-Status", false),
        ("Server-Timing", false),
    ] {
        let exposed = answer.header("access-control-expose-headers");
        let is_exposed = answer.headers.has_member("access-control-expose-headers", name);
        assert_eq!(is_exposed, expected, "{name}: {exposed:?}");
    }
}

#[test]
fn the_edges_own_headers_reach_no_client() {
    let world = shared();
    let id = world.stored_media();
    let answer = download(&id, &world.token()).send(&world.edge.address);
    for (name, value) in &answer.headers.0 {
        assert!(!name.to_ascii_lowercase().starts_with("x-matrix-media-edge"), "{name}: {value}");
        assert!(!name.to_ascii_lowercase().starts_with("cf-"), "{name}: {value}");
    }
    assert_eq!(answer.header("age"), None, "the origin has just confirmed it");
}

#[test]
fn the_origins_cache_control_is_passed_on_with_no_transform() {
    let world = shared();
    let id = world.media();
    for _ in 0..3 {
        let answer = media_domain("GET", download_path(&id)).bearer(&world.token());
        let answer = answer.send(&world.edge.address);
        let expected = "public,max-age=86400,s-maxage=0,proxy-revalidate, no-transform";
        assert_eq!(answer.header("cache-control"), Some(expected));
    }
}
