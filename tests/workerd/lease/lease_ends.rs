//! How leases end: by a refusal at once, by time, and not at all while they are used and renewed.

use std::thread::{self, sleep};
use std::time::Duration;

use test_support::assertions::assert_matrix_error;

use crate::lease::leases::{assert_served, ttl};
use crate::support::origin::Reply;
use crate::support::world::{
    World, download, download_path, is_hit, leased, legacy_download, legacy_path, media_domain,
};

#[test]
fn a_refusal_ends_the_tokens_lease_at_once() {
    let world = leased();
    let (stored, strange) = (world.stored_media(), world.media());
    for (status, errcode) in [(401, "M_UNKNOWN_TOKEN"), (403, "M_FORBIDDEN")] {
        let token = world.token();
        download(&stored, &token).send(&world.edge.address);
        world.assert_unasked(&download_path(&stored), &download(&stored, &token));
        world.origin.reply(&download_path(&strange), Reply::error(status, errcode, "No"));
        assert_eq!(download(&strange, &token).send(&world.edge.address).status, status);
        world.assert_asked(&download_path(&stored), &download(&stored, &token));
    }
}

#[test]
fn a_refusal_at_the_legacy_door_does_not_revoke_a_token() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    for status in [401, 403] {
        let refused = Reply::error(status, "M_FORBIDDEN", "No");
        world.origin.reply(&legacy_path(&id), refused);
        let answer = legacy_download(&id).bearer(&token).send(&world.edge.address);
        assert_eq!(answer.status, status);
        world.assert_unasked(&download_path(&id), &download(&id, &token));
    }
}

/// A question that no lease answers tells that the media is gone.
#[test]
fn a_404_ends_the_medias_lease_at_once_at_its_own_door() {
    let world = leased();
    let id = world.legacy_media();
    world.store(&id);
    let token = world.token();
    download(&id, &token).send(&world.edge.address);
    legacy_download(&id).send(&world.edge.address);
    world.assert_unasked(&download_path(&id), &download(&id, &token));
    world.assert_unasked(&legacy_path(&id), &legacy_download(&id));

    // Only the open door has shut.
    let thumbnail = format!("/_matrix/media/v3/thumbnail/example.com/{id}");
    for path in [&legacy_path(&id), &thumbnail] {
        world.origin.reply(path, Reply::error(404, "M_NOT_FOUND", "Not found"));
    }
    let request = media_domain("GET", format!("{thumbnail}?width=32&height=32"));
    assert_eq!(request.send(&world.edge.address).status, 404);
    let (answer, _) = world.assert_asked(&legacy_path(&id), &legacy_download(&id));
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
    assert_served(&world.assert_unasked(&download_path(&id), &download(&id, &token)));

    world.origin.homeserver().quarantine(&id);
    assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, 404);
    let (answer, _) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
}

#[test]
fn a_404_of_a_file_ends_the_lease_of_its_thumbnails_too() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let path = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    let thumbnail = media_domain("GET", format!("{path}?width=32&height=32")).bearer(&token);
    world.store_by(&path, || thumbnail.send(&world.edge.address));
    world.assert_unasked(&path, &thumbnail);
    world.origin.homeserver().quarantine(&id);
    assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, 404);
    let (answer, _) = world.assert_asked(&path, &thumbnail);
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
}

/// One world and one wait for all that ends with a lease.
#[test]
fn the_origin_decides_again_when_a_lease_ends() {
    let world = World::start_with(&[("LEASE_SECONDS", "3")]);
    let token = world.token();
    let [kept, quarantined, revoked] = [(); 3].map(|()| world.stored_media());
    let (leaver, legacy) = (world.token(), world.legacy_media());
    world.store_by(&legacy_path(&legacy), || legacy_download(&legacy).send(&world.edge.address));
    sleep(Duration::from_secs(3));

    download(&kept, &token).send(&world.edge.address);
    download(&quarantined, &token).send(&world.edge.address);
    download(&revoked, &leaver).send(&world.edge.address);
    legacy_download(&legacy).send(&world.edge.address);
    world.origin.homeserver().log_out(&leaver);
    for id in [&quarantined, &legacy] {
        world.origin.homeserver().quarantine(id);
    }
    // The price of a lease, which the admin has agreed to.
    assert_served(
        &world.assert_unasked(&download_path(&quarantined), &download(&quarantined, &token)),
    );
    assert_served(&world.assert_unasked(&download_path(&revoked), &download(&revoked, &leaver)));
    assert_served(&world.assert_unasked(&legacy_path(&legacy), &legacy_download(&legacy)));

    let before = world.origin.records().len();
    sleep(Duration::from_millis(3100));
    assert_eq!(world.origin.records().len(), before, "the origin was asked for nobody");
    let (answer, _) = world.assert_asked(&download_path(&revoked), &download(&revoked, &leaver));
    assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
    let request = download(&quarantined, &token);
    let (answer, _) = world.assert_asked(&download_path(&quarantined), &request);
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
    let (answer, _) = world.assert_asked(&legacy_path(&legacy), &legacy_download(&legacy));
    assert_matrix_error(&answer, 404, "M_NOT_FOUND");
    assert_served(&world.assert_asked(&download_path(&kept), &download(&kept, &token)).0);
    assert_served(&world.assert_unasked(&download_path(&kept), &download(&kept, &token)));
}

#[test]
fn an_old_lease_is_renewed_once_in_the_background() {
    let world = World::start_with(&[("LEASE_SECONDS", "8")]);
    let (id, token) = (world.stored_media(), world.token());
    let (path, request) = (download_path(&id), download(&id, &token));
    // Its last quarter begins after six seconds, and the clock counts whole ones.
    request.send(&world.edge.address);
    let ttl_now = ttl(&world.assert_unasked(&path, &request));
    sleep(Duration::from_secs(ttl_now - 2) + Duration::from_millis(200));

    world.origin.forget(&path);
    // Slow enough that all of them find it old.
    world.origin.on(&path, |call| {
        sleep(Duration::from_millis(300));
        call.reply_by_default()
    });
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = request.send(&world.edge.address);
                assert_served(&answer);
                assert!(is_hit(&answer) && ttl(&answer) <= 2, "{answer:?}");
            });
        }
    });
    sleep(Duration::from_millis(600));
    let asked = world.origin.asked_once(&path);
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {token}").as_str()));

    let answer = world.assert_unasked(&path, &request);
    assert!(ttl(&answer) >= 7, "it is a new lease: {answer:?}");
    sleep(Duration::from_millis(2500));
    assert_served(&world.assert_unasked(&path, &request));
}
