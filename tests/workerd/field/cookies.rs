//! Media that a browser asks for with a cookie in place of a token (MSC4250). The homeserver reads it at
//! the client door's downloads and thumbnails; what it answers is for its one reader.

use test_support::assertions::assert_matrix_error;
use test_support::http::Request;

use crate::download::federation::signed;
use crate::support::origin::{Origin, Reply};
use crate::support::world::{
    BODY, World, download, download_path, federation_path, is_hit, leased, legacy_path,
    media_domain, shared, tier,
};

const COOKIE: &str = "auth=alice";

/// Cookies of Cloudflare's, which browsers send along.
const PLATFORMS: &str =
    "__cf_bm=a.b-1; _cfuvid=c; __cflb=d; cf_clearance=e; CF_Authorization=f.g.h";

/// Has the homeserver know its user by the cookie at this path, as well as by a token.
fn read_cookies(origin: &Origin, path: &str) {
    origin.on(path, |call| {
        let cookies = call.head.headers.get("cookie").unwrap_or_default();
        if !cookies.split("; ").any(|cookie| cookie == COOKIE) {
            return call.reply_by_default();
        }
        let reply = Reply::new(200)
            .header("Content-Type", "image/png")
            .header("Content-Disposition", "inline")
            .header("Cache-Control", "public,max-age=86400,s-maxage=0,proxy-revalidate")
            .header("ETag", "1")
            .header("Set-Cookie", "auth=renewed; HttpOnly");
        call.reply(&reply.body(BODY))
    });
}

fn thumbnail_path(id: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/example.com/{id}")
}

fn with_cookie(method: &str, target: &str, cookie: &str) -> Request {
    media_domain(method, target).header("Cookie", cookie)
}

/// Everywhere where a cookie counts: downloads under a name and not, thumbnails, and with a parameter
/// that the edge doesn't know.
fn targets(id: &str) -> [(String, String); 4] {
    let (download, thumbnail) = (download_path(id), thumbnail_path(id));
    let named = format!("{download}/a.png");
    [
        (download.clone(), download.clone()),
        (named.clone(), named),
        (thumbnail.clone(), format!("{thumbnail}?width=32&height=32&method=crop")),
        (download.clone(), format!("{download}?x=y")),
    ]
}

#[test]
fn a_cookie_in_place_of_a_token_reaches_the_homeserver() {
    for world in [shared(), leased()] {
        let id = world.media();
        for (path, target) in targets(&id) {
            read_cookies(&world.origin, &path);
            for _ in 0..3 {
                world.origin.forget(&path);
                let cookie = format!("{PLATFORMS}; {COOKIE}; theme=dark; __cf_bm=z");
                let answer = with_cookie("GET", &target, &cookie).send(&world.edge.address);
                assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{target}");
                assert!(!is_hit(&answer) && tier(&answer).is_empty(), "{target}: {answer:?}");
                let asked = world.origin.asked_once(&path);
                assert_eq!(asked.head.target, target);
                assert_eq!(asked.header("cookie"), Some("auth=alice; theme=dark"), "{target}");
                assert_eq!(asked.header("if-none-match"), None, "{target}");
            }
        }
    }
}

#[test]
fn an_answer_to_a_cookie_is_for_its_reader_alone() {
    let world = leased();
    let id = world.media();
    let path = download_path(&id);
    read_cookies(&world.origin, &path);
    let answer = with_cookie("GET", &path, COOKIE).send(&world.edge.address);
    assert_eq!(answer.header("cache-control"), Some("private, max-age=86400, no-transform"));
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    // It grants nothing to anyone else, and nothing of it is stored.
    let stranger = media_domain("GET", &path).send(&world.edge.address);
    assert_matrix_error(&stranger, 401, "M_MISSING_TOKEN");
    world.origin.forget(&path);
    let (answer, asked) = world.assert_asked(&path, &download(&id, &world.token()));
    assert_eq!((answer.status, tier(&answer)), (200, ""));
    assert_eq!(asked.header("cookie"), None);
    assert_eq!(asked.answered_bytes, BODY.len(), "it was stored");
}

/// Whatever is stored, a cookie is no credential that the edge could ask about.
#[test]
fn a_cookie_grants_no_stored_response() {
    for world in [shared(), leased()] {
        let id = world.stored_media();
        let path = download_path(&id);
        for cookie in ["auth=mallory", COOKIE] {
            let (answer, asked) = world.assert_asked(&path, &with_cookie("GET", &path, cookie));
            assert_matrix_error(&answer, 401, "M_MISSING_TOKEN");
            assert_eq!(asked.header("cookie"), Some(cookie));
        }
    }
}

#[test]
fn the_platforms_cookies_are_no_credential() {
    let world = shared();
    let id = world.media();
    for (path, target) in targets(&id) {
        read_cookies(&world.origin, &path);
        world.origin.forget(&path);
        let answer = with_cookie("GET", &target, PLATFORMS).send(&world.edge.address);
        assert_matrix_error(&answer, 401, "M_MISSING_TOKEN");
        assert_eq!(world.origin.asked_once(&path).header("cookie"), None, "{target}");
    }
}

#[test]
fn a_cookie_beside_a_token_is_not_forwarded() {
    let world = shared();
    let id = world.media();
    let path = download_path(&id);
    for request in [
        download(&id, &world.token()).header("Cookie", COOKIE),
        with_cookie("GET", &format!("{path}?access_token={}", world.token()), COOKIE),
        with_cookie("GET", &path, COOKIE).header("Authorization", "Basic YTpi"),
        download(&id, &world.token()).header("Cookie", COOKIE),
    ] {
        world.origin.forget(&path);
        request.send(&world.edge.address);
        for asked in world.origin.asked(&path) {
            assert_eq!(asked.header("cookie"), None, "{request}");
        }
    }
}

#[test]
fn a_cookie_reaches_no_other_door_or_endpoint() {
    let world = shared();
    let id = world.legacy_media();
    for request in [
        with_cookie("GET", &legacy_path(&id), COOKIE),
        with_cookie("GET", &format!("{}?x=y", legacy_path(&id)), COOKIE),
        with_cookie("GET", "/_matrix/client/v1/media/config", COOKIE),
        with_cookie("GET", "/_matrix/client/v1/media/preview_url?url=cookies", COOKIE),
        with_cookie("POST", "/_matrix/media/v3/upload?filename=cookies", COOKIE).body(BODY),
        with_cookie("POST", "/_matrix/media/v3/upload?filename=cookies", COOKIE).chunked(BODY),
        with_cookie("DELETE", &download_path(&id), COOKIE),
        signed("GET", &federation_path(&id)).header("Cookie", COOKIE),
        signed("GET", &format!("{}?x=y", federation_path(&id))).header("Cookie", COOKIE),
    ] {
        request.send(&world.edge.address);
    }
    let told = world.origin.records().into_iter().filter(|record| {
        let of_others = [legacy_path(&id), federation_path(&id), "cookies".to_owned()];
        of_others.iter().any(|part| record.head.target.contains(part))
            || record.head.method == "DELETE"
            || record.head.target.ends_with("/config")
    });
    let told: Vec<_> =
        told.filter_map(|record| record.header("cookie").map(str::to_owned)).collect();
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn a_refusal_and_a_redirect_of_a_cookie_are_relayed() {
    let world = shared();
    let id = world.media();
    let path = download_path(&id);
    let refusal = Reply::error(401, "M_UNKNOWN_TOKEN", "The cookie has expired");
    world.origin.reply(&path, refusal);
    let answer = with_cookie("GET", &path, COOKIE).send(&world.edge.address);
    assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
    assert!(answer.text().contains("The cookie has expired"), "{}", answer.text());
    let to = "https://cdn.example.com/a?sig=1";
    world.origin.reply(&path, Reply::new(307).header("Location", to));
    let answer = with_cookie("GET", &path, COOKIE).send(&world.edge.address);
    assert_eq!((answer.status, answer.header("location")), (307, Some(to)));
}

#[test]
fn a_head_and_a_range_with_a_cookie_are_answered_by_the_homeserver() {
    let world: &World = shared();
    let id = world.media();
    let path = download_path(&id);
    read_cookies(&world.origin, &path);
    let head = with_cookie("HEAD", &path, COOKIE).send(&world.edge.address);
    assert_eq!((head.status, head.body.len()), (200, 0));
    world.origin.forget(&path);
    with_cookie("GET", &path, COOKIE).header("Range", "bytes=0-1").send(&world.edge.address);
    let asked = world.origin.asked_once(&path);
    assert_eq!((asked.header("range"), asked.header("cookie")), (Some("bytes=0-1"), Some(COOKIE)));
}
