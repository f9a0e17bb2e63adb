//! What one reader sends changes nothing that another gets, and what one reader gets is nobody
//! else's: cache poisoning and cache deception.

use test_support::assertions::assert_matrix_error;

use crate::support::origin::{Call, Reply, Then};
use crate::support::world::{
    BODY, MEDIA_HOST, World, content_key, download, download_path, leased, legacy_download,
    legacy_path, media_domain, same_host, shared,
};

/// What some servers and proxies go by, and no reader may decide for others.
const DECIDING: [(&str, &str); 20] = [
    ("Cookie", "evil"),
    ("Forwarded", "host=evil"),
    ("Front-End-Https", "evil"),
    ("True-Client-IP", "evil"),
    ("Via", "evil"),
    ("X-Forwarded-For", "evil"),
    ("X-Forwarded-Host", "evil"),
    ("X-Forwarded-Port", "evil"),
    ("X-Forwarded-Prefix", "evil"),
    ("X-Forwarded-Proto", "evil"),
    ("X-Forwarded-Scheme", "evil"),
    ("X-Forwarded-Server", "evil"),
    ("X-HTTP-Method-Override", "evil"),
    ("X-Host", "evil"),
    ("X-Method-Override", "evil"),
    ("X-Original-URL", "evil"),
    ("X-Real-IP", "evil"),
    ("X-Rewrite-URL", "evil"),
    ("X-Edge-Meta", "evil"),
    ("X-Anything", "evil"),
];

/// Has the origin write whatever it hears of that into what it sends.
fn echo(world: &World, path: &str) {
    world.origin.on(path, |call| {
        let heard: Vec<_> =
            call.head.headers.0.iter().filter(|(_, value)| value.contains("evil")).collect();
        let body = format!("{heard:?}");
        if call.head.headers.get("if-none-match").is_some() {
            return call.reply(&Reply::new(304).header("ETag", "1"));
        }
        let reply = Reply::new(200).header("ETag", "1").header("Content-Disposition", "inline");
        call.reply(&reply.header("Content-Type", &body).body(&body))
    });
}

#[test]
fn a_readers_headers_do_not_change_what_others_get() {
    let world = shared();
    let (id, token) = ("poisonedByHeaders", world.token());
    echo(world, &download_path(id));
    let evil = DECIDING.iter().fold(download(id, &token), |r, (name, value)| r.header(name, value));
    world.store_by(&download_path(id), || evil.send(&world.edge.address));
    let answer = download(id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("[]", Some("[]")));
}

/// A homeserver may know parameters that the edge doesn't, and send other bytes for them.
#[test]
fn an_answer_to_an_unknown_parameter_is_not_stored() {
    let world = shared();
    for (id, path, query) in [
        ("poisonedByQuery", download_path("poisonedByQuery"), ""),
        (
            "poisonedByNoise",
            "/_matrix/client/v1/media/thumbnail/example.com/poisonedByNoise".to_owned(),
            "width=32&height=32",
        ),
    ] {
        world.origin.on(&path, |call| {
            let is_evil = call.head.target.contains("evil");
            if !is_evil && call.head.headers.get("if-none-match").is_some() {
                return call.reply(&Reply::new(304).header("ETag", "1"));
            }
            let body = if is_evil { "evil" } else { "good" };
            let reply = Reply::new(200).header("ETag", "1").header("Content-Disposition", "inline");
            call.reply(&reply.body(body))
        });
        let get = |query: &str| {
            let request = media_domain("GET", format!("{path}?{query}")).bearer(&world.token());
            request.send(&world.edge.address)
        };
        for evil in ["evil=1", "animated.evil", "%65vil", "timeout_ms=1&org.example.evil=true"] {
            for _ in 0..2 {
                let answer = get(&format!("{query}&{evil}"));
                assert_eq!(answer.text(), if evil.contains('%') { "good" } else { "evil" });
                let status = answer.header("cache-status").unwrap_or_default();
                assert!(status.ends_with("detail=unusual"), "{id}: {status}");
            }
        }
        assert_eq!(get(query).text(), "good", "{id}");
        world.store_by(&path, || get(query));
        assert_eq!(get(&format!("{query}&evil=1")).text(), "evil", "{id}");
        let answer = get(query);
        assert_eq!(answer.text(), "good", "{id}: what is stored is the same as before");
        assert!(answer.header("cache-status").unwrap_or_default().contains("304"), "{id}");
    }
}

/// matrix-js-sdk sends it to the client door, which always redirects where there is need to.
#[test]
fn allow_redirect_does_not_prevent_a_hit() {
    let world = leased();
    let (id, token) = (world.media(), world.token());
    let path = download_path(&id);
    let request = media_domain("GET", format!("{path}?allow_redirect=true")).bearer(&token);
    world.store(&id);
    request.send(&world.edge.address);
    world.assert_unasked(&path, &request);
}

/// Whatever the path ends in, and whatever the origin allows caches to do.
#[test]
fn an_answer_at_a_path_that_looks_like_a_file_is_not_stored() {
    let world = shared();
    let id = world.media();
    for path in [
        "/_matrix/client/v3/account/whoami/x.png".to_owned(),
        "/_matrix/client/v3/sync;x.css".to_owned(),
        "/_matrix/client/v3/sync%2Fx.js".to_owned(),
        "/_matrix/client/v3/x.png".to_owned(),
        "/_matrix/client/v1/media/config/x.png".to_owned(),
        "/_matrix/client/v1/media/config;x.png".to_owned(),
        "/_matrix/client/v1/media/config%00.png".to_owned(),
        "/_matrix/client/v1/media/preview_url/x.png".to_owned(),
        format!("{};x.png", download_path(&id)),
        format!("{}%2Fx.png", download_path(&id)),
        format!("{}%3Fx.png", download_path(&id)),
        format!("{}.png", download_path(&id)),
        format!("{}/x.png/more", download_path(&id)),
        "/_matrix/media/v3/config/x.png".to_owned(),
    ] {
        world.origin.on(&path, |call| {
            let token = call.head.headers.get("authorization").unwrap_or_default().to_owned();
            let reply = Reply::new(200).header("ETag", "1").header("Content-Type", "image/png");
            let reply = reply.header("Content-Disposition", "inline");
            call.reply(&reply.header("Cache-Control", "public, max-age=600").body(token))
        });
        for _ in 0..3 {
            let token = world.token();
            let request = same_host("GET", &path).bearer(&token);
            let answer = request.send(&world.edge.direct_address);
            assert_eq!(answer.text(), format!("Bearer {token}"), "{path}");
        }
        let asked = world.origin.asked(&path);
        assert_eq!(asked.len(), 3, "{path}");
        assert!(asked.iter().all(|asked| asked.header("if-none-match").is_none()), "{path}");
    }
}

/// Nor is it asked for: what the homeserver makes of it is nobody's to find out.
#[test]
fn a_path_with_dot_segments_that_looks_like_a_file_is_refused() {
    let world = shared();
    for path in [
        "/_matrix/client/v1/media/download/..%2f..%2fconfig/x.png",
        "/_matrix/client/v1/media/download/example.com/..%2f..%2fconfig",
    ] {
        let request = same_host("GET", path).bearer(&world.token());
        let answer = request.send(&world.edge.direct_address);
        assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        assert!(world.origin.asked(path).is_empty(), "{path}");
    }
}

#[test]
fn cache_keys_are_not_reachable_as_urls() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    let path = format!("/_edge/cache/{}", content_key(&id));
    for request in [
        media_domain("GET", &path),
        same_host("GET", &path),
        media_domain("GET", format!("/{}", content_key(&id))),
        media_domain("GET", format!("https://{MEDIA_HOST}{path}")),
    ] {
        for request in [request.clone(), request.bearer(&token)] {
            let answer = request.send(&world.edge.direct_address);
            assert!(answer.status >= 400 && answer.body != BODY, "{request}: {}", answer.status);
        }
    }
}

#[test]
fn media_cannot_act_as_a_page_of_its_host() {
    let world = shared();
    for type_ in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", ""] {
        let id = format!("page{}", type_.len());
        let thumbnail = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
        let legacy = legacy_path(&id);
        for path in [&download_path(&id), &legacy, &thumbnail] {
            world.origin.on(path, move |call| bare(call, type_));
        }
        let token = world.token();
        let picture = format!("{thumbnail}?width=1&height=1");
        for request in [
            download(&id, &token),
            download(&id, &token).header("Range", "bytes=1-2"),
            media_domain("GET", format!("{}/page.html", download_path(&id))).bearer(&token),
            legacy_download(&id),
            media_domain("GET", picture).bearer(&token),
        ] {
            for _ in 0..3 {
                let answer = request.send(&world.edge.address);
                assert!(matches!(answer.status, 200 | 206), "{request}: {}", answer.status);
                let policy = answer.header("content-security-policy").unwrap_or_default();
                assert!(policy.starts_with("sandbox;"), "{request}: {policy}");
                assert!(policy.contains("script-src 'none'"), "{request}: {policy}");
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{request}");
            }
        }
    }
}

/// Bytes without anything that would keep a browser from running them.
fn bare(call: &mut Call<'_>, type_: &str) -> std::io::Result<Then> {
    let reply = Reply::new(200).header("ETag", "1").header("Content-Type", type_);
    let reply = reply.header("Content-Disposition", "inline");
    if call.head.headers.get("if-none-match").is_some() {
        return call.reply(&Reply::new(304).header("ETag", "1"));
    }
    call.reply(&reply.body("<script>alert(1)</script>"))
}
