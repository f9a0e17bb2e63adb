//! A query that can be read in two ways, or that says what the edge doesn't know, is the origin's to
//! read: it goes there as it came, and nothing is stored of it or served for it.

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Answer;

use super::{DOORS, Door, validate};
use crate::download::federation::signed;
use crate::support::origin::{Media, Reply};
use crate::support::world::{
    BODY, World, download, download_path, is_hit, leased, media_domain, shared,
};

const CROP: &str = "width=32&height=32&method=crop";
const SCALE: &str = "width=32&height=32&method=scale";

const UNUSUAL: [&str; 14] = [
    "width=32&height=32&method=crop;width=640",
    "width=32;height=64&height=32&method=crop",
    "width=32&height=32&method=crop;",
    "width=32&height=32&method=crop&width=640",
    "width=32&height=32&method=crop&width=32",
    "height=32&height=640&width=32&method=crop",
    "width=32&height=32&method=crop&method=scale",
    "width=32&height=32&method=crop&animated=true&animated=false",
    "width=32&height=32&method=crop&timeout_ms=1&timeout_ms=2",
    "width=32&height=32&method=CROP",
    "width=32&height=32&method=Scale",
    "width=32&height=32&method=stretch",
    "width=32&height=32&method=",
    "width=32&height=32&method=crop&x=y",
];

const UNUSUAL_OF_FILES: [&str; 6] = [
    "x=y",
    "width=32",
    "timeout_ms=1;timeout_ms=2",
    "timeout_ms=1&timeout_ms=2",
    "allow_remote=true&allow_remote=false",
    "allow_remote=true;allow_remote=false",
];

/// Everywhere where there may be a difference.
fn everywhere() -> impl Iterator<Item = (&'static World, Door)> {
    [shared(), leased()].into_iter().flat_map(|world| DOORS.map(|door| (world, door)))
}

/// Has the edge store a picture, and answer for it as long as that is leased.
fn store(world: &World, door: Door, id: &str, query: &str) {
    let (path, target) = (door.thumbnail(id), format!("{}?{query}", door.thumbnail(id)));
    let request = door.get(world, &target);
    for _ in 0..2 {
        world.store_by(&path, || request.send(&world.edge.address));
    }
}

/// Claims that the origin was asked just this, for the bytes themselves.
#[track_caller]
fn assert_forwarded(world: &World, door: Door, target: &str) -> Answer {
    let path = target.split('?').next().unwrap_or_default();
    world.origin.forget(path);
    let answer = door.get(world, target).send(&world.edge.direct_address);
    let asked = world.origin.asked_once(path);
    assert_eq!(asked.head.target, target);
    assert_eq!(asked.header("if-none-match"), None, "{target}");
    assert!(!is_hit(&answer), "{target}: {answer:?}");
    answer
}

#[test]
fn an_unusual_query_is_forwarded_unchanged_every_time() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        for query in UNUSUAL {
            for _ in 0..2 {
                let target = format!("{}?{query}", door.thumbnail(&id));
                assert_eq!(assert_forwarded(world, door, &target).text(), query, "{door:?}");
            }
        }
    }
}

#[test]
fn an_unusual_query_is_named_in_cache_status() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        for query in UNUSUAL {
            let target = format!("{}?{query}", door.thumbnail(&id));
            let answer = door.get(world, &target).send(&world.edge.address);
            assert_cache_status(&answer, "fwd=bypass; fwd-status=200; detail=unusual");
        }
    }
}

#[test]
fn an_unusual_query_gets_no_stored_response() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        for query in [CROP, SCALE] {
            store(world, door, &id, query);
        }
        for query in UNUSUAL {
            let target = format!("{}?{query}", door.thumbnail(&id));
            assert_eq!(assert_forwarded(world, door, &target).text(), query, "{door:?}");
        }
    }
}

#[test]
fn an_unusual_query_stores_nothing_under_anothers_name() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        for query in UNUSUAL.iter().chain(&UNUSUAL) {
            let target = format!("{}?{query}", door.thumbnail(&id));
            door.get(world, &target).send(&world.edge.address);
        }
        for query in [CROP, SCALE] {
            let target = format!("{}?{query}", door.thumbnail(&id));
            assert_eq!(assert_forwarded(world, door, &target).text(), query, "{door:?}");
        }
    }
}

#[test]
fn an_unusual_query_for_a_file_gets_no_stored_response() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        let path = door.download(&id);
        let request = door.get(world, &path);
        for _ in 0..2 {
            world.store_by(&path, || request.send(&world.edge.address));
        }
        for query in UNUSUAL_OF_FILES {
            let answer = assert_forwarded(world, door, &format!("{path}?{query}"));
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{door:?} {query}");
        }
    }
}

#[test]
fn an_unusual_query_for_a_file_stores_nothing() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        for query in UNUSUAL_OF_FILES.iter().chain(&UNUSUAL_OF_FILES) {
            let target = format!("{}?{query}", door.download(&id));
            door.get(world, &target).send(&world.edge.address);
        }
        assert_forwarded(world, door, &door.download(&id));
    }
}

/// What is signed is never changed, so it must not be read in two ways either.
#[test]
fn an_unusual_query_of_a_server_gets_no_stored_response() {
    let world = shared();
    let id = world.media();
    let path = format!("/_matrix/federation/v1/media/thumbnail/{id}");
    let ask =
        |query: &str| signed("GET", &format!("{path}?{query}")).send(&world.edge.direct_address);
    world.store_by(&path, || ask(CROP));
    for query in [
        "width=32&height=32&method=crop;width=640",
        "width=32&height=32&method=crop&width=640",
        "width=32&height=32&method=CROP",
    ] {
        for _ in 0..2 {
            world.origin.forget(&path);
            assert_eq!(ask(query).status, 200);
            let asked = world.origin.asked_once(&path);
            assert_eq!(asked.head.target, format!("{path}?{query}"));
            assert_eq!(asked.header("if-none-match"), None, "{query}");
        }
    }
}

/// Among them are the origin's own words about a method that it doesn't know.
#[test]
fn a_refusal_of_an_unusual_query_is_relayed() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        store(world, door, &id, SCALE);
        let target = format!("{}?width=32&height=32&method=stretch", door.thumbnail(&id));
        world.origin.reply(&target, Reply::error(400, "M_INVALID_PARAM", "What is stretch?"));
        let answer = assert_forwarded(world, door, &target);
        assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        assert!(answer.text().contains("What is stretch?"), "{}", answer.text());
    }
}

#[test]
fn a_404_to_an_unusual_query_removes_nothing() {
    for world in [shared(), leased()] {
        let (id, token) = (world.stored_media(), world.token());
        let target = format!("{}?x=y", download_path(&id));
        world.origin.reply(&target, Reply::error(404, "M_NOT_FOUND", "Not found"));
        let answer = media_domain("GET", &target).bearer(&token).send(&world.edge.address);
        assert_matrix_error(&answer, 404, "M_NOT_FOUND");
        world.origin.forget(&download_path(&id));
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        let asked = world.origin.asked(&download_path(&id));
        assert!(asked.iter().all(|asked| asked.answered_bytes == 0), "{asked:?}");
    }
}

#[test]
fn a_200_to_an_unusual_query_grants_nothing() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let target = format!("{}?x=y", download_path(&id));
    let answer = media_domain("GET", target).bearer(&token).send(&world.edge.address);
    assert_eq!(answer.status, 200);
    world.assert_asked(&download_path(&id), &download(&id, &token));
}

#[test]
fn a_thumbnail_without_a_method_differs_from_a_scaled_one() {
    for (world, door) in everywhere() {
        for (stored, wanted) in [("width=32&height=32", SCALE), (SCALE, "width=32&height=32")] {
            let id = world.legacy_media();
            store(world, door, &id, stored);
            let target = format!("{}?{wanted}", door.thumbnail(&id));
            assert_eq!(assert_forwarded(world, door, &target).text(), wanted, "{door:?}");
        }
    }
}

#[test]
fn a_thumbnail_without_a_method_has_its_own_entry() {
    for (world, door) in everywhere() {
        let id = world.legacy_media();
        for query in ["width=32&height=32", SCALE, CROP] {
            store(world, door, &id, query);
        }
        for query in ["width=32&height=32", SCALE, CROP] {
            let target = format!("{}?{query}", door.thumbnail(&id));
            let answer = door.get(world, &target).send(&world.edge.address);
            assert_eq!(answer.text(), query, "{door:?}");
        }
    }
}

#[test]
fn a_thumbnail_without_a_method_has_its_own_tag() {
    let world = shared();
    let id = world.origin.homeserver().add(Media::new("image/png", BODY));
    let path = Door::Client.thumbnail(&id);
    let picture = super::media(200).header("Content-Type", "image/png").body(BODY);
    validate(&world.origin, &path, "1", picture);
    let [plain, scaled] = ["width=32&height=32", SCALE].map(|query| {
        let target = format!("{path}?{query}");
        let answer = Door::Client.get(world, &target).send(&world.edge.address);
        answer.header("etag").expect("a tag").to_owned()
    });
    assert_ne!(plain, scaled);
}
