//! Thumbnails: equal asks share one stored picture, whatever they look like, and an ask that the
//! origin would refuse is refused by the origin.

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::{Answer, Request};

use crate::support::origin::Reply;
use crate::support::world::{World, leased, media_domain, same_host, shared};

fn path(id: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/example.com/{id}")
}

fn thumbnail(world: &World, id: &str, query: &str) -> Request {
    media_domain("GET", format!("{}?{query}", path(id))).bearer(&world.token())
}

/// Has the edge store the thumbnail of this query; the stand-in's consists of it.
fn store(world: &World, id: &str, query: &str) {
    world.store_by(&path(id), || {
        let answer = thumbnail(world, id, query).send(&world.edge.address);
        assert_eq!(answer.text(), query);
        answer
    });
}

#[track_caller]
fn assert_from_store(world: &World, answer: &Answer, id: &str, stored: &str) {
    assert_cache_status(answer, "fwd=stale; fwd-status=304");
    assert_eq!(answer.text(), stored);
    assert_eq!(world.origin.asked_once(&path(id)).answered_bytes, 0);
    world.origin.forget(&path(id));
}

#[test]
fn equal_requests_share_one_thumbnail() {
    let world = shared();
    let id = world.media();
    let stored = "width=96&height=64&method=crop";
    store(world, &id, stored);
    for query in [
        "height=64&width=96&method=crop",
        "width=0096&height=64&method=crop",
        "w%69dth=9%36&height=64&method=cr%6Fp",
        "&&width=96&&height=64&method=crop&",
        "width=96&height=64&method=crop&timeout_ms=1",
    ] {
        let answer = thumbnail(world, &id, query).send(&world.edge.address);
        assert_from_store(world, &answer, &id, stored);
        let same_host = same_host("GET", format!("{}?{query}", path(&id))).bearer(&world.token());
        assert_from_store(world, &same_host.send(&world.edge.address), &id, stored);
    }
}

/// Homeservers differ in which of two they take, and in what they make of a method.
#[test]
fn an_ambiguous_query_is_forwarded() {
    let world = shared();
    let id = world.media();
    store(world, &id, "width=96&height=96&method=scale&animated=false");
    store(world, &id, "width=96&height=96&method=crop&animated=false");
    for query in [
        "width=96&width=1&height=96&method=scale&animated=false",
        "width=1&width=96&height=96&method=scale&animated=false",
        "width=96&height=96&height=2&method=scale&animated=false",
        "width=96&height=96&method=scale&method=crop&animated=false",
        "width=96&height=96&method=scale&animated=false&animated=true",
        "width=96&height=96&method=CROP&animated=false",
        "width=96&height=96&method=crop&animated=false&noise=1&noise=2",
    ] {
        for _ in 0..2 {
            world.origin.forget(&path(&id));
            let answer = thumbnail(world, &id, query).send(&world.edge.address);
            assert_cache_status(&answer, "fwd=bypass; fwd-status=200; detail=unusual");
            assert_eq!(answer.text(), query, "as it came");
            assert_eq!(world.origin.asked_once(&path(&id)).header("if-none-match"), None);
        }
    }
}

/// Homeservers differ in what they take for the default.
#[test]
fn a_query_without_a_method_has_its_own_thumbnail() {
    let world = shared();
    let id = world.media();
    let untold = "width=96&height=96";
    store(world, &id, untold);
    for method in ["scale", "crop"] {
        let told = format!("{untold}&method={method}");
        let answer = thumbnail(world, &id, &told).send(&world.edge.address);
        assert_eq!(answer.text(), told, "another picture");
        store(world, &id, &told);
    }
    let answer = thumbnail(world, &id, untold).send(&world.edge.address);
    assert_from_store(world, &answer, &id, untold);
}

#[test]
fn invalid_values_are_refused_by_the_origin() {
    let world = shared();
    let id = world.media();
    let good = "width=32&height=32&method=crop";
    store(world, &id, good);
    for query in [
        "",
        "width=32",
        "height=32",
        "width=&height=32",
        "width=-1&height=32",
        "width=+32&height=32",
        "width=3.2e1&height=32",
        "width=%EF%BC%93%EF%BC%92&height=32",
        "width=99999999999999999999&height=32",
        "width=32&height=32&method=stretch",
        "width=32&height=32&method=",
        "width=32&height=32&animated=yes",
        "Width=32&Height=32",
    ] {
        let target = format!("{}?{query}", path(&id));
        let refusal = Reply::error(400, "M_INVALID_PARAM", "Query parameter can't be read");
        world.origin.reply(&target, refusal);
        world.origin.forget(&path(&id));
        let answer = thumbnail(world, &id, query).send(&world.edge.address);
        assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        assert_eq!(world.origin.asked_once(&target).header("if-none-match"), None, "{query}");
    }
    let answer = thumbnail(world, &id, good).send(&world.edge.address);
    assert_eq!(answer.text(), good, "nothing of it has hurt what is stored");
}

#[test]
fn a_thumbnail_that_cannot_be_made_is_not_stored() {
    let world = shared();
    let id = world.media();
    let query = "width=32&height=32";
    let target = format!("{}?{query}", path(&id));
    world.origin.reply(&target, Reply::error(400, "M_UNKNOWN", "Cannot generate thumbnails"));
    for _ in 0..2 {
        world.origin.forget(&target);
        let answer = thumbnail(world, &id, query).send(&world.edge.address);
        assert_matrix_error(&answer, 400, "M_UNKNOWN");
        assert_eq!(world.origin.asked_once(&target).header("if-none-match"), None);
    }
}

#[test]
fn the_doors_share_thumbnails_and_no_permission() {
    let world = shared();
    let (open, shut) = (world.legacy_media(), world.media());
    let query = "width=32&height=32&method=crop";
    for id in [&open, &shut] {
        store(world, id, query);
        let legacy = format!("/_matrix/media/v3/thumbnail/example.com/{id}");
        let answer = media_domain("GET", format!("{legacy}?{query}")).send(&world.edge.address);
        let asked = world.origin.asked_once(&legacy);
        assert_eq!(asked.header("if-none-match"), Some("1"));
        if id == &open {
            assert_eq!((answer.status, answer.text().as_str()), (200, query));
            assert_eq!(asked.answered_bytes, 0);
        } else {
            assert_matrix_error(&answer, 404, "M_NOT_FOUND");
        }
    }
}

/// One media is one for all its pictures: what confirms it confirms them.
#[test]
fn a_leased_thumbnail_costs_the_origin_nothing() {
    let world = leased();
    let (id, query) = (world.media(), "width=32&height=32&method=crop");
    store(world, &id, query);
    let request = thumbnail(world, &id, query);
    request.send(&world.edge.address);
    let answer = world.assert_unasked(&path(&id), &request);
    assert_eq!(answer.text(), query);
}
