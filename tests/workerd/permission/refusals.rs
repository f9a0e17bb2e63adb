//! A no that removes or ends something is the homeserver's: a Matrix error, and about what it says.
//! A proxy's page, whatever its status, changes nothing for anyone.

use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::edge::{BucketKind, Layout};
use test_support::time::wait_for;

use super::{
    DOORS, Door, PAGE, come_back, legacy_thumbnail, legacy_thumbnail_path, thumbnail,
    thumbnail_path,
};
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, is_hit, leased, legacy_download, legacy_path,
    media_domain, shared,
};

const GONE: [(u16, &str); 3] =
    [(404, "M_NOT_FOUND"), (410, "M_UNKNOWN"), (451, "M_UNAVAILABLE_FOR_LEGAL_REASONS")];

/// Answers of this status that are no words of a homeserver about the media, and their names.
fn no_words(status: u16) -> Vec<(&'static str, Reply)> {
    let reply =
        |type_: &str, body: &str| Reply::new(status).header("Content-Type", type_).body(body);
    let json = |body: &str| reply("application/json", body);
    let long = format!(r#"{{"errcode":"M_NOT_FOUND","error":"{}"}}"#, "x".repeat(1 << 16));
    vec![
        ("HTML", reply("text/html", PAGE)),
        ("text", reply("text/plain", "404 page not found\n")),
        ("nothing", Reply::new(status)),
        ("another's JSON", json(r#"{"error":"Not found","status":404}"#)),
        ("JSON that breaks off", json(r#"{"errcode":"M_NOT_FOUND""#)),
        ("a list", json(r#"["errcode","M_NOT_FOUND"]"#)),
        ("a number for a code", json(r#"{"errcode":404,"error":"Not found"}"#)),
        ("a code within", json(r#"{"a":{"errcode":"M_NOT_FOUND"}}"#)),
        ("more than an error", json(&long)),
    ]
}

/// The one that is a homeserver's own word, though not about the media.
const UNKNOWN_ENDPOINT: &str = "an endpoint that is unknown";

/// The same of those statuses that say that something is gone.
fn no_words_of_what_is_gone() -> Vec<(String, Reply)> {
    let of_status = |status: u16| {
        let unknown = Reply::error(status, "M_UNRECOGNIZED", "Unrecognized request");
        let mut replies = no_words(status);
        replies.push((UNKNOWN_ENDPOINT, unknown));
        replies.into_iter().map(move |(what, reply)| (format!("{status}, {what}"), reply))
    };
    GONE.iter().flat_map(|(status, _)| of_status(*status)).collect()
}

fn moment() {
    sleep(Duration::from_millis(50));
}

#[test]
fn a_proxys_404_removes_nothing() {
    for door in DOORS {
        for (what, reply) in no_words_of_what_is_gone() {
            let world = shared();
            let id = door.stored(world);
            world.origin.reply(&door.path(&id), reply.clone());
            let answer = door.get_unleased(world, &id).send(&world.edge.address);
            if what.ends_with(UNKNOWN_ENDPOINT) {
                assert!(answer.body == reply.bytes(), "{door:?}, {what}: it is relayed");
            } else {
                assert_matrix_error(&answer, 502, "M_UNKNOWN");
            }
            moment();
            come_back(world, &door.path(&id));
            door.assert_stored(world, &id, &what);
        }
    }
}

#[test]
fn a_proxys_404_removes_nothing_from_the_bucket() {
    let world = World::start_as(Layout { bucket: BucketKind::R2, ..Layout::default() }, &[]);
    let count = |id: &str| world.edge.stores.keys().iter().filter(|key| key.contains(id)).count();
    for (what, reply) in no_words(404) {
        let id = world.stored_media();
        wait_for("the bucket has it", PATIENCE, || (count(&id) == 1).then_some(()));
        world.origin.reply(&download_path(&id), reply);
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        sleep(Duration::from_millis(300));
        assert_eq!(count(&id), 1, "{what}: it is gone");
    }
}

#[test]
fn a_proxys_404_ends_no_lease() {
    let world = leased();
    for (what, reply) in no_words_of_what_is_gone() {
        let (id, token) = (world.stored_media(), world.token());
        download(&id, &token).send(&world.edge.address);
        world.assert_unasked(&download_path(&id), &download(&id, &token));
        world.origin.reply(&download_path(&id), reply);
        download(&id, &world.token()).send(&world.edge.address);
        world.origin.forget(&download_path(&id));
        let answer = download(&id, &token).send(&world.edge.address);
        assert!(is_hit(&answer) && answer.body == BODY, "{what}: {answer:?}");
    }
}

#[test]
fn a_proxys_404_ends_no_lease_at_the_legacy_door() {
    let world = leased();
    for (what, reply) in no_words_of_what_is_gone() {
        let id = Door::Legacy.stored(world);
        legacy_download(&id).send(&world.edge.address);
        world.assert_unasked(&legacy_path(&id), &legacy_download(&id));
        world.origin.reply(&legacy_thumbnail_path(&id), reply);
        legacy_thumbnail(&id, 32).send(&world.edge.address);
        let answer = legacy_download(&id).send(&world.edge.address);
        assert!(is_hit(&answer) && answer.body == BODY, "{what}: {answer:?}");
    }
}

#[test]
fn a_proxys_401_or_403_ends_no_tokens_lease() {
    let world = leased();
    let (id, walled) = (world.stored_media(), world.media());
    for status in [401, 403] {
        for (what, reply) in no_words(status) {
            let token = world.token();
            download(&id, &token).send(&world.edge.address);
            world.assert_unasked(&download_path(&id), &download(&id, &token));
            world.origin.reply(&download_path(&walled), reply);
            let refused = download(&walled, &token).send(&world.edge.address);
            assert_matrix_error(&refused, 502, "M_UNKNOWN");
            let answer = download(&id, &token).send(&world.edge.address);
            assert!(is_hit(&answer), "{status}, {what}: {answer:?}");
        }
    }
}

#[test]
fn other_refusals_remove_nothing() {
    let world = shared();
    for door in DOORS {
        for (status, errcode) in [
            (400, "M_UNKNOWN"),
            (401, "M_UNKNOWN_TOKEN"),
            (402, "M_UNKNOWN"),
            (403, "M_FORBIDDEN"),
            (405, "M_UNRECOGNIZED"),
            (413, "M_TOO_LARGE"),
            (429, "M_LIMIT_EXCEEDED"),
            (431, "M_UNKNOWN"),
        ] {
            let id = door.stored(world);
            world.origin.reply(&door.path(&id), Reply::error(status, errcode, "No"));
            let answer = door.get_unleased(world, &id).send(&world.edge.address);
            assert_eq!((answer.status, answer.errcode().as_str()), (status, errcode));
            moment();
            come_back(world, &door.path(&id));
            door.assert_stored(world, &id, errcode);
        }
    }
}

#[test]
fn a_matrix_error_for_removed_media_removes_it() {
    for world in [shared(), leased()] {
        for door in [Door::Client, Door::Federation] {
            for (status, errcode) in GONE {
                let id = door.stored(world);
                world.origin.reply(&door.path(&id), Reply::error(status, errcode, "Gone"));
                let answer = door.get_unleased(world, &id).send(&world.edge.address);
                assert_eq!((answer.status, answer.errcode().as_str()), (status, errcode));
                moment();
                come_back(world, &door.path(&id));
                door.assert_unstored(world, &id, &status.to_string());
            }
        }
    }
}

#[test]
fn a_matrix_error_for_removed_media_ends_its_lease() {
    let world = leased();
    for (status, errcode) in GONE {
        let (id, token) = (world.stored_media(), world.token());
        download(&id, &token).send(&world.edge.address);
        world.assert_unasked(&download_path(&id), &download(&id, &token));
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "Gone"));
        download(&id, &world.token()).send(&world.edge.address);
        let (answer, _) = world.assert_asked(&download_path(&id), &download(&id, &token));
        assert_matrix_error(&answer, status, errcode);
    }
}

#[test]
fn a_refusal_at_the_legacy_door_ends_the_medias_lease() {
    let world = leased();
    let refusals = [(401, "M_MISSING_TOKEN"), (403, "M_FORBIDDEN")];
    for (status, errcode) in refusals.into_iter().chain(GONE) {
        let id = Door::Legacy.stored(world);
        legacy_download(&id).send(&world.edge.address);
        world.assert_unasked(&legacy_path(&id), &legacy_download(&id));
        let refused = Reply::error(status, errcode, "No");
        world.origin.reply(&legacy_thumbnail_path(&id), refused);
        legacy_thumbnail(&id, 32).send(&world.edge.address);
        world.origin.forget(&legacy_path(&id));
        let answer = legacy_download(&id).send(&world.edge.address);
        assert!(!is_hit(&answer), "{status}: {answer:?}");
    }
}

#[test]
fn a_refusal_at_the_legacy_door_removes_nothing() {
    for world in [shared(), leased()] {
        for (status, errcode) in GONE {
            let id = Door::Client.stored(world);
            world.origin.reply(&legacy_path(&id), Reply::error(status, errcode, "Not here"));
            assert_eq!(legacy_download(&id).send(&world.edge.address).status, status);
            moment();
            Door::Client.assert_stored(world, &id, errcode);
        }
    }
}

fn start_with_pairs() -> World {
    World::start_with(&[("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")])
}

#[test]
fn a_404_for_a_pair_does_not_remove_the_file() {
    let world = start_with_pairs();
    for (status, errcode) in GONE {
        let id = world.stored_media();
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "Not for you"));
        assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, status);
        moment();
        come_back(&world, &download_path(&id));
        Door::Client.assert_stored(&world, &id, errcode);
    }
}

#[test]
fn a_404_for_a_pair_ends_no_other_pairs_lease() {
    let world = start_with_pairs();
    for (status, errcode) in GONE {
        let (id, token) = (world.stored_media(), world.token());
        download(&id, &token).send(&world.edge.address);
        world.assert_unasked(&download_path(&id), &download(&id, &token));
        world.origin.reply(&download_path(&id), Reply::error(status, errcode, "Not for you"));
        assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, status);
        moment();
        let answer = download(&id, &token).send(&world.edge.address);
        assert!(is_hit(&answer) && answer.body == BODY, "{status}: {answer:?}");
    }
}

#[test]
fn a_404_for_a_pairs_thumbnail_ends_its_lease_of_the_file() {
    let world = start_with_pairs();
    for (status, errcode) in GONE {
        let (id, token) = (world.stored_media(), world.token());
        download(&id, &token).send(&world.edge.address);
        world.assert_unasked(&download_path(&id), &download(&id, &token));
        let gone = Reply::error(status, errcode, "Not for you");
        world.origin.reply(&thumbnail_path(&id), gone);
        thumbnail(&id, 32, &token).send(&world.edge.address);
        let answer = download(&id, &token).send(&world.edge.address);
        assert!(!is_hit(&answer), "{status}: {answer:?}");
    }
}

#[test]
fn a_404_to_a_non_canonical_query_removes_nothing() {
    let world = shared();
    for query in ["user_id=@b:example.com", "device_id=D", "timeout_ms=x"] {
        let id = world.stored_media();
        let path = download_path(&id);
        world.origin.reply(&path, Reply::error(404, "M_NOT_FOUND", "Not for them"));
        let request = media_domain("GET", format!("{path}?{query}")).bearer(&world.token());
        assert_eq!(request.send(&world.edge.address).status, 404);
        moment();
        come_back(world, &path);
        Door::Client.assert_stored(world, &id, query);
    }
}

#[test]
fn a_404_to_a_non_canonical_query_ends_no_lease() {
    let world = leased();
    for query in ["user_id=@b:example.com", "device_id=D", "timeout_ms=x"] {
        let (id, token) = (world.stored_media(), world.token());
        let path = download_path(&id);
        download(&id, &token).send(&world.edge.address);
        world.origin.reply(&path, Reply::error(404, "M_NOT_FOUND", "Not for them"));
        let request = media_domain("GET", format!("{path}?{query}")).bearer(&world.token());
        assert_eq!(request.send(&world.edge.address).status, 404);
        moment();
        let answer = world.assert_unasked(&path, &download(&id, &token));
        assert_eq!(&answer.body[..], BODY, "{query}");
    }
}
