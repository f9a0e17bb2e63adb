//! Parameters that the edge doesn't know may select other bytes, as `animated` did before it was
//! specified: such a request meets no stored response, whatever else it says.

use test_support::http::{Answer, Request};

use crate::download::federation::signed;
use crate::support::origin::{Media, Origin, Record, Reply};
use crate::support::world::{
    BODY, World, content_key, download_path, federation_path, is_hit, leased, legacy_path,
    media_domain, shared, tier, wait_until_stored,
};

/// Other bytes than are stored.
const OTHER: &[u8] = b"another picture";

/// What no edge of today knows, in names or in how they are written.
const QUERIES: [&str; 9] = [
    "org.matrix.msc2705.animated=true",
    "Width=32",
    "WIDTH=32&x",
    "timeout_ms=5&blurhash=true",
    "%61%62=c",
    "timeout%5fms=1&timeout_ms=1",
    "timeout_ms=1;timeout_ms=2",
    "=",
    "a[]=b",
];

/// Each door's download, and how its reader asks.
fn doors(world: &World, id: &str) -> [(String, Request); 4] {
    let token = world.token();
    let named = format!("{}/name.png", download_path(id));
    let at = |path: &str| media_domain("GET", path);
    [
        (download_path(id), at(&download_path(id)).bearer(&token)),
        (named.clone(), at(&named).bearer(&token)),
        (legacy_path(id), at(&legacy_path(id))),
        (federation_path(id), signed("GET", &federation_path(id))),
    ]
}

/// A request of one who may have it, with this query.
fn ask(world: &World, path: &str, method: &str, query: &str) -> Request {
    let target = format!("{path}?{query}");
    if path.contains("/federation/") {
        signed(method, &target)
    } else if path.contains("/client/") {
        media_domain(method, target).bearer(&world.token())
    } else {
        media_domain(method, target)
    }
}

/// Has the homeserver send other bytes for this target.
fn serve_other(origin: &Origin, target: &str) {
    let reply = Reply::new(200).header("Content-Type", "image/png").header("ETag", "\"other\"");
    origin.reply(target, reply.header("Content-Disposition", "inline").body(OTHER));
}

/// Media that is stored for every door.
fn stored(world: &World) -> String {
    let media = Media { is_legacy: true, ..Media::new("image/png", BODY) };
    let id = world.origin.homeserver().add(media);
    for (_, request) in doors(world, &id) {
        wait_until_stored(&request, &world.edge.address);
    }
    id
}

/// Claims that the homeserver alone answered, to what the reader asked.
#[track_caller]
fn assert_forwarded(world: &World, request: &Request, target: &str) -> (Answer, Record) {
    world.origin.forget(target);
    let answer = request.send(&world.edge.address);
    assert!(!is_hit(&answer) && tier(&answer).is_empty(), "{target}: {answer:?}");
    let asked = world.origin.asked_once(target);
    assert_eq!(asked.head.target, target);
    (answer, asked)
}

#[test]
fn a_request_with_an_unknown_parameter_gets_no_stored_response() {
    for world in [shared(), leased()] {
        let id = stored(world);
        for query in QUERIES {
            for (path, _) in doors(world, &id) {
                let target = format!("{path}?{query}");
                serve_other(&world.origin, &target);
                for _ in 0..2 {
                    let request = ask(world, &path, "GET", query);
                    let (answer, asked) = assert_forwarded(world, &request, &target);
                    assert_eq!((answer.status, &answer.body[..]), (200, OTHER), "{target}");
                    assert_eq!(asked.header("if-none-match"), None, "{target}");
                }
            }
        }
        // And none of it is stored in the place of what was there.
        for (path, request) in doors(world, &id) {
            let answer = request.send(&world.edge.address);
            assert!(!tier(&answer).is_empty(), "{path}: {answer:?}");
            let has_body = answer.body.windows(BODY.len()).any(|bytes| bytes == BODY);
            assert!(has_body, "{path}: {}", answer.text());
        }
    }
}

#[test]
fn a_readers_own_condition_is_answered_by_the_homeserver() {
    let world = shared();
    let id = stored(world);
    let query = "org.matrix.msc2705.animated=false";
    for (path, request) in doors(world, &id) {
        let target = format!("{path}?{query}");
        world.origin.reply(&target, Reply::new(304).header("ETag", "\"other\""));
        let stored_tag = request.send(&world.edge.address).header("etag").map(str::to_owned);
        let tags = ["\"other\"".to_owned(), "*".to_owned()];
        for tag in tags.into_iter().chain(stored_tag) {
            let request = ask(world, &path, "GET", query).header("If-None-Match", &tag);
            let (answer, asked) = assert_forwarded(world, &request, &target);
            assert_eq!(asked.header("if-none-match"), Some(tag.as_str()), "{path}");
            assert_eq!((answer.status, answer.header("etag")), (304, Some("\"other\"")), "{path}");
        }
    }
}

#[test]
fn a_head_with_an_unknown_parameter_is_about_the_other_bytes() {
    let world = shared();
    let id = stored(world);
    for (path, _) in doors(world, &id) {
        let target = format!("{path}?x=y");
        serve_other(&world.origin, &target);
        let (answer, asked) = assert_forwarded(world, &ask(world, &path, "HEAD", "x=y"), &target);
        assert_eq!(asked.head.method, "HEAD", "{path}");
        assert_eq!(answer.header("content-length"), Some("15"), "{path}");
    }
}

#[test]
fn a_range_with_an_unknown_parameter_gets_no_stored_bytes() {
    let world = shared();
    let id = stored(world);
    for (path, _) in doors(world, &id) {
        let target = format!("{path}?x=range");
        let part = Reply::new(206).header("Content-Range", "bytes 1-2/15").body("no");
        world.origin.reply(&target, part);
        let request = ask(world, &path, "GET", "x=range").header("Range", "bytes=1-2");
        let (answer, asked) = assert_forwarded(world, &request, &target);
        assert_eq!(asked.header("range"), Some("bytes=1-2"), "{path}");
        assert_eq!((answer.status, answer.text().as_str()), (206, "no"), "{path}");
    }
}

#[test]
fn a_redirect_for_an_unknown_parameter_is_its_readers_to_follow() {
    let world = shared();
    let id = stored(world);
    let to = "https://cdn.example.com/animated.gif?sig=1";
    for (path, _) in doors(world, &id) {
        let target = format!("{path}?animated.webp");
        world.origin.reply(&target, Reply::new(307).header("Location", to));
        let request = ask(world, &path, "GET", "animated.webp");
        let (answer, _) = assert_forwarded(world, &request, &target);
        assert_eq!((answer.status, answer.header("location")), (307, Some(to)), "{path}");
    }
}

#[test]
fn a_first_request_with_an_unknown_parameter_stores_nothing() {
    let world = shared();
    let media = Media { is_legacy: true, ..Media::new("image/png", BODY) };
    let id = world.origin.homeserver().add(media);
    for (path, _) in doors(world, &id) {
        let target = format!("{path}?first");
        serve_other(&world.origin, &target);
        assert_forwarded(world, &ask(world, &path, "GET", "first"), &target);
    }
    for (path, request) in doors(world, &id) {
        let answer = request.send(&world.edge.address);
        let has_body = answer.body.windows(BODY.len()).any(|bytes| bytes == BODY);
        assert!(has_body, "{path}: {}", answer.text());
    }
    // What is asked for without it is.
    crate::support::world::wait_for_entry(
        &world.edge,
        crate::support::world::MEDIA_HOST,
        &content_key(&id),
    );
}
