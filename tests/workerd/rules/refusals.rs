//! The refused learn nothing: whatever the edge has stored, whoever may not have it gets one and the
//! same answer, and no page of another site can read what the cache did.

use test_support::assertions::assert_cache_status;
use test_support::http::{Answer, Request};

use super::{DOORS, Door, fields, members};
use crate::download::federation::signed;
use crate::support::origin::{Origin, Reply, Then};
use crate::support::world::{
    BODY, World, download, download_path, federation_path, leased, media_domain, same_host, shared,
};

/// What is told of a request that no store has a part in.
const BYPASS: &str = "matrix-media-edge; fwd=bypass;";

/// Claims that an answer has nothing to say of any store.
#[track_caller]
fn assert_silent(answer: &Answer, what: &str) {
    for name in ["cache-status", "server-timing", "age", "etag"] {
        assert_eq!(answer.header(name), None, "{what}: {name}");
    }
}

/// Claims the same refusal of what is stored and of what is not.
#[track_caller]
fn assert_alike(status: u16, [stored, unstored]: &[Answer; 2], what: &str) {
    assert_eq!((stored.status, unstored.status), (status, status), "{what}: {}", stored.text());
    assert_silent(stored, &format!("{what}, stored"));
    assert_silent(unstored, &format!("{what}, not stored"));
    assert_eq!(fields(stored), fields(unstored), "{what}");
    assert_eq!(stored.body, unstored.body, "{what}");
}

/// The answers to one who may not have it: of what is stored, and of what is not.
fn ask_both(world: &World, request: impl Fn(&str) -> Request) -> [Answer; 2] {
    let (stored, unstored) = (world.stored_media(), world.media());
    [stored, unstored].map(|id| request(&id).send(&world.edge.address))
}

#[test]
fn an_unknown_token_learns_nothing() {
    for world in [shared(), leased()] {
        let answers = ask_both(world, |id| download(id, "syt_nobody"));
        assert_alike(401, &answers, "a strange token");
    }
}

#[test]
fn a_reader_without_a_token_learns_nothing() {
    for world in [shared(), leased()] {
        let mut answers = ask_both(world, |id| media_domain("GET", download_path(id)));
        // Such a request goes by every store, and may say so.
        for answer in &mut answers {
            answer.headers.0.retain(|(_, value)| !value.starts_with(BYPASS));
        }
        assert_alike(401, &answers, "no token");
    }
}

#[test]
fn an_unknown_token_learns_nothing_by_head_range_or_validator() {
    for world in [shared(), leased()] {
        let head = |id: &str| media_domain("HEAD", download_path(id)).bearer("syt_nobody");
        assert_alike(401, &ask_both(world, head), "HEAD");
        for (name, value) in [
            ("Range", "bytes=0-9"),
            ("Range", "bytes=999-"),
            ("If-None-Match", "*"),
            ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            let part = |id: &str| download(id, "syt_nobody").header(name, value);
            assert_alike(401, &ask_both(world, part), name);
        }
    }
}

#[test]
fn an_unknown_token_learns_nothing_of_thumbnails() {
    let world = shared();
    let (id, other) = (world.media(), world.media());
    let target = |id: &str| format!("{}?width=32&height=32", Door::Client.thumbnail(id));
    let request = Door::Client.get(world, &target(&id));
    world.store_by(&Door::Client.thumbnail(&id), || request.send(&world.edge.address));
    let answers = [id, other]
        .map(|id| media_domain("GET", target(&id)).bearer("syt_nobody").send(&world.edge.address));
    assert_alike(401, &answers, "a picture");
}

/// Most media of today is at the client door alone.
#[test]
fn a_reader_at_the_legacy_door_learns_nothing_of_the_client_door() {
    for world in [shared(), leased()] {
        let answers = ask_both(world, |id| media_domain("GET", Door::Legacy.download(id)));
        assert_alike(404, &answers, "the open door");
    }
}

#[test]
fn an_unsigned_request_learns_nothing() {
    let world = shared();
    let (stored, unstored) = (world.media(), world.media());
    let request = signed("GET", &federation_path(&stored));
    world.store_by(&federation_path(&stored), || request.send(&world.edge.address));
    let answers = [stored, unstored]
        .map(|id| same_host("GET", federation_path(&id)).send(&world.edge.address));
    assert_alike(401, &answers, "no signature");
}

#[test]
fn a_reader_refused_by_the_homeserver_learns_nothing() {
    for world in [shared(), leased()] {
        for (status, errcode) in [
            (400, "M_INVALID_PARAM"),
            (401, "M_UNKNOWN_TOKEN"),
            (403, "M_FORBIDDEN"),
            (404, "M_NOT_FOUND"),
            (404, "M_UNRECOGNIZED"),
            (410, "M_NOT_FOUND"),
            (429, "M_LIMIT_EXCEEDED"),
            (451, "M_UNKNOWN"),
            (500, "M_UNKNOWN"),
            (502, "M_UNKNOWN"),
            (503, "M_UNKNOWN"),
            (504, "M_NOT_YET_UPLOADED"),
        ] {
            let answers = ask_both(world, |id| {
                let refusal = Reply::error(status, errcode, "As the homeserver says");
                world.origin.reply(&download_path(id), refusal);
                download(id, "syt_nobody")
            });
            assert_alike(status, &answers, errcode);
        }
    }
}

#[test]
fn a_reader_refused_by_an_intermediary_learns_nothing() {
    for world in [shared(), leased()] {
        for status in [401, 403, 404, 429, 431, 502, 503, 504, 520] {
            let answers = ask_both(world, |id| {
                let page = Reply::new(status).header("Content-Type", "text/html").body("<p>No");
                world.origin.reply(&download_path(id), page);
                download(id, "syt_nobody")
            });
            assert!(answers[1].status >= 400, "{}", answers[1].status);
            assert_alike(answers[1].status, &answers, "a page");
        }
    }
}

#[test]
fn a_reader_without_an_answer_learns_nothing() {
    for world in [shared(), leased()] {
        let answers = ask_both(world, |id| {
            world.origin.on(&download_path(id), |call| {
                call.receive()?;
                Ok(Then::Reset)
            });
            download(id, "syt_nobody")
        });
        assert_alike(502, &answers, "a reset");
    }
}

/// Of the pages that this one may pass on, none is a yes.
#[test]
fn a_redirected_reader_learns_nothing() {
    let world = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let answers = ask_both(&world, |id| {
        let redirect = Reply::new(307).header("Location", "https://blobs.example/blob");
        world.origin.reply(&download_path(id), redirect);
        download(id, "syt_nobody")
    });
    assert_alike(307, &answers, "a redirect");
}

#[test]
fn a_reader_redirected_to_missing_media_learns_nothing() {
    let (world, store) = (shared(), Origin::start());
    let answers = ask_both(world, |id| {
        let redirect = Reply::new(307).header("Location", format!("{}/none", store.url()));
        world.origin.reply(&download_path(id), redirect);
        download(id, "syt_nobody")
    });
    assert_alike(502, &answers, "a redirect to nothing");
}

#[test]
fn a_granted_reader_gets_the_cache_status() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let get = || download(&id, &token);
    for (status, request) in [
        (200, get()),
        (206, get().header("Range", "bytes=0-9")),
        (304, get().header("If-None-Match", "*")),
        (416, get().header("Range", "bytes=999-")),
    ] {
        let answer = request.send(&world.edge.address);
        assert_eq!(answer.status, status);
        assert_cache_status(&answer, "fwd=stale; fwd-status=304");
    }
}

/// That says nothing of any store.
#[test]
fn a_refusal_of_what_is_never_stored_has_a_cache_status() {
    let world = shared();
    let config = media_domain("GET", "/_matrix/client/v1/media/config").bearer("syt_nobody");
    let answer = config.send(&world.edge.address);
    assert_eq!((answer.status, answer.header("server-timing")), (401, None));
    assert_cache_status(&answer, "fwd=bypass; fwd-status=401; detail=endpoint");
}

#[test]
fn the_cache_status_is_not_exposed_to_scripts() {
    let world = shared();
    let id = world.legacy_media();
    let mut requests = DOORS.map(|door| door.get(world, &door.download(&id))).to_vec();
    requests.push(download(&id, "syt_nobody"));
    requests.push(download(&id, &world.token()).header("Range", "bytes=0-9"));
    requests.push(media_domain("GET", "/_matrix/client/v1/media/config").bearer(&world.token()));
    requests.push(media_domain("POST", "/_matrix/media/v3/upload").bearer("syt_nobody").body(BODY));
    requests.push(media_domain("OPTIONS", download_path(&id)));
    for request in requests {
        let answer = request.send(&world.edge.address);
        for name in ["Cache-Status", "Server-Timing", "*"] {
            let is_exposed = answer.headers.has_member("access-control-expose-headers", name);
            assert!(!is_exposed, "{request}: {name}");
        }
        assert_eq!(answer.header("timing-allow-origin"), None, "{request}");
    }
}

#[test]
fn the_cache_status_is_not_exposed_by_the_homeservers_headers() {
    let world = shared();
    let reply = super::media(200)
        .header("ETag", "1")
        .header("Content-Type", "image/png")
        .header("Access-Control-Expose-Headers", "Cache-Status, Server-Timing, X-Theirs")
        .header("Timing-Allow-Origin", "*");
    world.origin.reply(&download_path("exposing"), reply.body(BODY));
    let answer = download("exposing", &world.token()).send(&world.edge.address);
    let exposed = members(&answer, "access-control-expose-headers");
    assert!(!exposed.contains(&"Cache-Status") && !exposed.contains(&"Server-Timing"));
    assert_eq!(answer.header("timing-allow-origin"), None);
}
