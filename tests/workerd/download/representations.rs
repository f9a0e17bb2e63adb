//! HEAD, ranges, entity tags and thumbnails: other ways to ask for the same stored bytes.

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Answer;

use crate::support::world::{BODY, World, download, download_path, media_domain, shared};

fn head(world: &World, id: &str, token: &str) -> Answer {
    media_domain("HEAD", download_path(id)).bearer(token).send(&world.edge.address)
}

#[test]
fn a_head_has_the_headers_of_a_get() {
    let world = shared();
    let token = world.token();
    for id in [world.media(), world.stored_media()] {
        let answer = head(world, &id, &token);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        let get = download(&id, &token).send(&world.edge.address);
        for name in ["content-length", "content-type", "content-disposition", "etag"] {
            assert!(get.header(name).is_some(), "{name}");
            assert_eq!(answer.header(name), get.header(name), "{name}");
        }
    }
}

#[test]
fn a_head_stores_nothing() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    head(world, &id, &token);
    world.origin.forget(&download_path(&id));
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!(answer.body, BODY);
    assert_eq!(world.origin.asked_once(&download_path(&id)).header("if-none-match"), None);
}

#[test]
fn a_head_of_stored_media_needs_the_origins_grant() {
    let world = shared();
    let id = world.stored_media();
    assert_eq!(head(world, &id, "syt_nobody").status, 401);
    world.origin.homeserver().quarantine(&id);
    assert_eq!(head(world, &id, &world.token()).status, 404);
}

/// An answer to a range is the whole, or exactly that range.
#[track_caller]
fn assert_right(answer: &Answer, range: std::ops::Range<usize>) {
    match answer.status {
        200 => assert_eq!(answer.body, BODY),
        206 => {
            assert_eq!(answer.body, &BODY[range.clone()]);
            let expected = format!("bytes {}-{}/{}", range.start, range.end - 1, BODY.len());
            assert_eq!(answer.header("content-range"), Some(expected.as_str()));
        }
        status => panic!("{status}: {}", answer.text()),
    }
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
}

#[test]
fn a_range_is_never_answered_with_other_bytes() {
    let world = shared();
    let token = world.token();
    for id in [world.media(), world.stored_media()] {
        for (field, range) in
            [("bytes=0-9", 0..10), ("bytes=250-", 250..256), ("bytes=-6", 250..256)]
        {
            let request = download(&id, &token).header("Range", field);
            assert_right(&request.send(&world.edge.address), range);
        }
    }
}

#[test]
fn a_first_request_for_a_range_stores_the_whole() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    download(&id, &token).header("Range", "bytes=0-9").send(&world.edge.address);
    // A homeserver that is not known yet may have been asked for the part before.
    let asked = world.origin.asked(&download_path(&id)).pop().expect("it is asked");
    assert_eq!(asked.header("range"), None, "the origin is asked for the whole");
    world.store(&id);
    assert_eq!(download(&id, &token).send(&world.edge.address).body, BODY);
}

#[test]
fn clients_get_entity_tags_that_are_valid_and_their_own() {
    let world = shared();
    let token = world.token();
    let tag = |id: &str| {
        let answer = download(id, &token).send(&world.edge.address);
        answer.header("etag").unwrap_or_default().to_owned()
    };
    let (one, other) = (world.stored_media(), world.stored_media());
    let (one, other) = (tag(&one), tag(&other));
    assert!(one.len() > 2 && one.starts_with('"') && one.ends_with('"'), "{one}");
    assert_ne!(one, other);
}

#[test]
fn a_matching_if_none_match_is_a_304_only_with_the_origins_grant() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let full = download(&id, &token).send(&world.edge.address);
    let tag = full.header("etag").expect("a tag").to_owned();
    for field in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        world.origin.forget(&download_path(&id));
        let conditional = |token: &str| {
            download(&id, token).header("If-None-Match", &field).send(&world.edge.address)
        };
        let answer = conditional(&token);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{field}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()), "{field}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
        let asked = world.origin.asked_once(&download_path(&id));
        assert_eq!(asked.header("if-none-match"), Some("1"), "{field}");
        assert_matrix_error(&conditional("syt_nobody"), 401, "M_UNKNOWN_TOKEN");
    }
}

#[test]
fn a_client_with_other_bytes_gets_the_current_ones() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    for field in ["\"other\"", "1", "\"1\"", ""] {
        let request = download(&id, &token).header("If-None-Match", field);
        let answer = request.send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{field}");
    }
}

#[test]
fn a_clients_condition_does_not_reach_the_origin_on_a_miss() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let request = download(&id, &token).header("If-None-Match", "1");
    let answer = request.header("If-Modified-Since", "Mon, 01 Jan 2035 00:00:00 GMT");
    let answer = answer.send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    let asked = world.origin.asked_once(&download_path(&id));
    assert_eq!((asked.header("if-none-match"), asked.header("if-modified-since")), (None, None));
}

/// The stand-in's thumbnails are made of their query.
fn thumbnail(world: &World, id: &str, query: &str) -> Answer {
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}?{query}");
    media_domain("GET", path).bearer(&world.token()).send(&world.edge.address)
}

#[test]
fn every_thumbnail_has_its_own_entry() {
    let world = shared();
    let id = world.stored_media();
    let queries = [
        "width=32&height=32&method=crop",
        "width=32&height=32&method=scale",
        "width=32&height=64&method=crop",
        "width=64&height=32&method=crop",
        "width=32&height=32&method=crop&animated=true",
        "width=32&height=32&method=crop&animated=false",
    ];
    for _ in 0..2 {
        for query in queries {
            let answer = thumbnail(world, &id, query);
            assert_eq!((answer.status, answer.text().as_str()), (200, query));
        }
    }
    assert_eq!(download(&id, &world.token()).send(&world.edge.address).body, BODY);
}

#[test]
fn order_and_spelling_of_a_query_do_not_split_the_cache() {
    let world = shared();
    let id = world.media();
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    let first = "width=32&height=32&method=crop";
    world.store_by(&path, || thumbnail(world, &id, first));
    for query in [
        "method=crop&height=32&width=32",
        "width=32&height=32&method=crop&timeout_ms=20000",
        "width=%332&height=32&method=crop&&",
    ] {
        let answer = thumbnail(world, &id, query);
        assert_cache_status(&answer, "fwd=stale; fwd-status=304");
        assert_eq!(answer.text(), first);
        let target = world.origin.asked(&path).pop().expect("the origin is asked").head.target;
        assert_eq!(target, format!("{path}?{first}"), "one spelling for all");
    }
}

#[test]
fn an_unusual_query_is_forwarded_unchanged_and_gets_no_stored_response() {
    let world = shared();
    let id = world.media();
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    let first = "width=32&height=32&method=crop";
    world.store_by(&path, || thumbnail(world, &id, first));
    for query in [
        "width=32&height=32&method=crop&width=640",
        "width=%332&height=32&method=crop&&x=y",
        "width=32&height=32&method=crop;",
    ] {
        world.origin.forget(&path);
        let answer = thumbnail(world, &id, query);
        assert_cache_status(&answer, "fwd=bypass; fwd-status=200; detail=unusual");
        assert_eq!(answer.text(), query);
        assert_eq!(world.origin.asked_once(&path).head.target, format!("{path}?{query}"));
    }
}

#[test]
fn invalid_parameters_are_forwarded() {
    let world = shared();
    let id = world.media();
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    world.store_by(&path, || thumbnail(world, &id, "width=32&height=32"));
    for query in
        ["", "width=32", "width=-1&height=32", "width=a&height=32", "width=32&height=32&animated=1"]
    {
        world.origin.forget(&path);
        thumbnail(world, &id, query);
        assert_eq!(world.origin.asked_once(&path).header("if-none-match"), None, "{query}");
    }
}
