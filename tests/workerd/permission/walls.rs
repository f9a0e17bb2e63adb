//! A 200 without the homeserver's mark: a wall's page, a page of maintenance, a proxy's. HTML is told
//! to nobody, anything else to who asked alone; it is no yes.

use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::edge::{BucketKind, Layout};
use test_support::time::wait_for;

use super::{DATE, DOORS, Door, PAGE, assert_relayed, come_back, file, page, pages, serve_file};
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, leased, legacy_download, legacy_path, shared,
};

/// Long enough for a store that should not happen.
const A_MOMENT: Duration = Duration::from_millis(300);

/// Has this origin answer at a path of new media, and claims that it is relayed to who asks, and stored
/// for nobody.
#[track_caller]
fn assert_only_relayed(world: &World, door: Door, what: &str, reply: &Reply) {
    let id = world.legacy_media();
    world.origin.reply(&door.path(&id), reply.clone());
    for _ in 0..3 {
        let answer = door.get_unleased(world, &id).send(&world.edge.address);
        assert_relayed(&answer, reply, &format!("{door:?}, {what}"));
    }
    come_back(world, &door.path(&id));
    door.assert_unstored(world, &id, what);
}

#[test]
fn a_page_in_place_of_a_file_is_not_stored() {
    for (what, page) in pages() {
        for door in DOORS {
            assert_only_relayed(shared(), door, what, &page);
        }
    }
}

#[test]
fn a_page_in_place_of_a_file_is_not_stored_with_leases() {
    for (what, page) in pages() {
        for door in DOORS {
            assert_only_relayed(leased(), door, what, &page);
        }
    }
}

#[test]
fn bytes_with_neither_a_validator_nor_a_disposition_are_not_stored() {
    let reply = Reply::new(200).header("Content-Type", "image/png").body(PAGE);
    for world in [shared(), leased()] {
        for door in DOORS {
            assert_only_relayed(world, door, "unmarked", &reply);
        }
    }
}

#[test]
fn a_federation_answer_without_an_envelope_is_not_stored() {
    let tagged = |type_: &str| page(type_).header("ETag", "1");
    for (what, reply) in [
        ("a file", file(BODY, &[("ETag", "1")])),
        ("another multipart", tagged("multipart/form-data; boundary=b")),
        ("an envelope without a boundary", tagged("multipart/mixed")),
        ("octets", tagged("application/octet-stream")),
    ] {
        for world in [shared(), leased()] {
            assert_only_relayed(world, Door::Federation, what, &reply);
        }
    }
}

#[test]
fn a_file_of_an_older_homeserver_is_recognized_by_its_validator_and_type() {
    let world = shared();
    for (name, value) in [("ETag", "\"1\""), ("Last-Modified", DATE)] {
        let path = download_path(&format!("older{name}"));
        let reply = Reply::new(200).header("Content-Type", "image/png").header(name, value);
        let reply = reply.body(BODY);
        world.origin.on(&path, move |call| {
            let is_known = ["if-none-match", "if-modified-since"]
                .into_iter()
                .any(|condition| call.head.headers.get(condition).is_some());
            if is_known { call.reply(&Reply::new(304)) } else { call.reply(&reply) }
        });
        let request = crate::support::world::media_domain("GET", &path);
        world.store_by(&path, || request.clone().bearer(&world.token()).send(&world.edge.address));
    }
}

#[test]
fn a_file_of_any_type_is_recognized_by_its_disposition() {
    let world = shared();
    for (id, type_) in
        [("aPage", "text/html"), ("aText", "text/plain"), ("json", "application/json")]
    {
        let path = download_path(id);
        let reply = file(PAGE.as_bytes(), &[("Content-Type", type_), ("ETag", "1")]);
        world.origin.on(&path, move |call| match call.head.headers.get("if-none-match") {
            Some(_) => call.reply(&Reply::new(304)),
            None => call.reply(&reply),
        });
        world.store_by(&path, || download(id, &world.token()).send(&world.edge.address));
    }
}

#[test]
fn a_page_removes_no_good_copy() {
    for world in [shared(), leased()] {
        for door in DOORS {
            for (what, page) in pages() {
                let id = door.stored(world);
                world.origin.reply(&door.path(&id), page.clone());
                let answer = door.get_unleased(world, &id).send(&world.edge.address);
                assert_relayed(&answer, &page, what);
                sleep(Duration::from_millis(50));
                come_back(world, &door.path(&id));
                door.assert_stored(world, &id, what);
            }
        }
    }
}

#[test]
fn a_page_removes_no_good_copy_from_the_bucket() {
    let world = World::start_as(Layout { bucket: BucketKind::R2, ..Layout::default() }, &[]);
    let keys = |id: &str| {
        let mut keys = world.edge.stores.keys();
        keys.retain(|key| key.contains(id));
        keys
    };
    for (what, page) in pages() {
        let id = world.stored_media();
        wait_for("the bucket has it", PATIENCE, || (keys(&id).len() == 1).then_some(()));
        world.origin.reply(&download_path(&id), page);
        download(&id, &world.token()).send(&world.edge.address);
        sleep(A_MOMENT);
        assert_eq!(keys(&id).len(), 1, "{what}: it is gone");
    }
}

#[test]
fn a_page_replaces_no_media_validated_by_date() {
    let world = shared();
    for (n, (what, page)) in pages().into_iter().enumerate() {
        let id = format!("datedBehindAWall{n}");
        let path = download_path(&id);
        serve_file(world, &path, Some(("Last-Modified", DATE)));
        world.store_by(&path, || download(&id, &world.token()).send(&world.edge.address));
        world.origin.reply(&path, page);
        download(&id, "syt_nobody").send(&world.edge.address);
        sleep(Duration::from_millis(50));
        serve_file(world, &path, Some(("Last-Modified", DATE)));
        let (answer, asked) = world.assert_asked(&path, &download(&id, &world.token()));
        assert_eq!(asked.header("if-modified-since"), Some(DATE), "{what}: it is gone");
        assert_eq!((asked.answered_bytes, &answer.body[..]), (0, BODY), "{what}");
    }
}

#[test]
fn a_page_replaces_no_leased_media() {
    let world = leased();
    for (what, page) in pages() {
        let (id, token) = (world.stored_media(), world.token());
        download(&id, &token).send(&world.edge.address);
        world.origin.reply(&download_path(&id), page);
        download(&id, "syt_nobody").send(&world.edge.address);
        sleep(Duration::from_millis(50));
        let answer = world.assert_unasked(&download_path(&id), &download(&id, &token));
        assert_eq!(&answer.body[..], BODY, "{what}");
    }
}

#[test]
fn a_page_grants_a_garbage_token_no_lease() {
    let world = leased();
    let id = world.stored_media();
    download(&id, &world.token()).send(&world.edge.address);
    for (n, (what, page)) in pages().into_iter().enumerate() {
        let (garbage, walled) = (format!("syt_garbage{n}"), world.media());
        world.origin.reply(&download_path(&walled), page);
        download(&walled, &garbage).send(&world.edge.address);
        let answer = download(&id, &garbage).send(&world.edge.address);
        assert_eq!(answer.status, 401, "{what}: it got {} bytes", answer.body.len());
    }
}

/// The renewal in the background, for a reader whose lease is about to end.
#[test]
fn a_page_renews_no_lease() {
    let world = World::start_with(&[("LEASE_SECONDS", "4")]);
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    download(&id, &token).send(&world.edge.address);
    world.assert_unasked(&path, &download(&id, &token));
    world.origin.reply(&path, page("text/html").header("ETag", "\"page\""));
    wait_for("the lease is to be renewed", PATIENCE, || {
        download(&id, &token).send(&world.edge.address);
        sleep(Duration::from_millis(100));
        (!world.origin.asked(&path).is_empty()).then_some(())
    });
    sleep(Duration::from_millis(1500));
    come_back(&world, &path);
    let (answer, asked) = world.assert_asked(&path, &download(&id, &token));
    assert_eq!(asked.header("if-none-match"), Some("1"), "it is gone");
    assert_eq!(&answer.body[..], BODY);
}

#[test]
fn a_page_about_stored_media_grants_a_garbage_token_no_lease() {
    let world = leased();
    for (n, (what, page)) in pages().into_iter().enumerate() {
        let (garbage, id) = (format!("syt_garbageToo{n}"), world.stored_media());
        world.origin.reply(&download_path(&id), page);
        download(&id, &garbage).send(&world.edge.address);
        come_back(world, &download_path(&id));
        let answer = download(&id, &garbage).send(&world.edge.address);
        assert_eq!(answer.status, 401, "{what}: it got {} bytes", answer.body.len());
    }
}

#[test]
fn a_page_at_the_legacy_door_grants_nothing() {
    let world = leased();
    for (what, page) in pages() {
        let id = world.stored_media();
        world.origin.reply(&legacy_path(&id), page);
        legacy_download(&id).send(&world.edge.address);
        sleep(Duration::from_millis(50));
        come_back(world, &legacy_path(&id));
        let answer = legacy_download(&id).send(&world.edge.address);
        assert_eq!(answer.status, 404, "{what}: it got {} bytes", answer.body.len());
    }
}

/// A tag that any proxy lets through.
const TAG: (&str, &str) = ("ETag", "\"tag\"");

#[test]
fn a_file_with_another_kind_of_validator_replaces_nothing() {
    for world in [shared(), leased()] {
        for door in [Door::Client, Door::Legacy] {
            let id = world.legacy_media();
            let path = door.path(&id);
            let ask = || door.get_unleased(world, &id).send(&world.edge.address);
            serve_file(world, &path, Some(TAG));
            world.store_by(&path, ask);
            world.origin.reply(&path, file(b"another", &[("Last-Modified", DATE)]));
            assert_eq!(ask().text(), "another");
            sleep(Duration::from_millis(50));
            serve_file(world, &path, Some(TAG));
            world.origin.forget(&path);
            door.assert_served(&ask());
            let asked = world.origin.asked_once(&path);
            assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some(TAG.1), 0));
        }
    }
}

#[test]
fn a_file_with_another_kind_of_validator_grants_no_lease() {
    let world = leased();
    let (id, token) = (world.media(), "syt_otherKind");
    let path = download_path(&id);
    serve_file(world, &path, Some(TAG));
    world.store_by(&path, || download(&id, &world.token()).send(&world.edge.address));
    world.origin.reply(&path, file(b"another", &[("Last-Modified", DATE)]));
    download(&id, token).send(&world.edge.address);
    come_back(world, &path);
    let answer = download(&id, token).send(&world.edge.address);
    assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_page_with_a_disposition_replaces_no_picture() {
    for world in [shared(), leased()] {
        for door in [Door::Client, Door::Legacy] {
            for type_ in ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"] {
                let id = door.stored(world);
                let headers = [("Content-Type", type_), ("ETag", "1")];
                world.origin.reply(&door.path(&id), file(PAGE.as_bytes(), &headers));
                let answer = door.get_unleased(world, &id).send(&world.edge.address);
                assert_eq!((answer.status, answer.text().as_str()), (200, PAGE));
                sleep(Duration::from_millis(50));
                come_back(world, &door.path(&id));
                door.assert_stored(world, &id, type_);
            }
        }
    }
}

#[test]
fn a_new_version_with_the_mark_replaces_the_old_one() {
    let world = shared();
    let id = world.stored_media();
    let path = download_path(&id);
    let new = file(b"the new version", &[("ETag", "\"2\"")]);
    world.origin.on(&path, move |call| match call.head.headers.get("if-none-match") {
        Some("\"2\"") => call.reply(&Reply::new(304)),
        _ => call.reply(&new),
    });
    world.store_by(&path, || download(&id, &world.token()).send(&world.edge.address));
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!(answer.text(), "the new version");
}
