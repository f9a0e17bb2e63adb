//! How long the edge waits for an origin: longer than Synapse may hold a request (60 s, by
//! `timeout_ms`), and without an end for uploads.
//!
//! All in one test, which takes 93 s. Tests start in the order of their names, and this one had
//! better be first.

use std::thread;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::time::now;

use crate::origin::Reply;
use crate::world::{BODY, World, download, download_path, media_domain};

#[test]
fn is_a_504_after_its_time_but_not_within_it_nor_for_uploads() {
    let world = World::start();
    let token = world.token();
    let (id, stored) = (world.media(), world.stored_media());
    for id in [&id, &stored] {
        world.origin.on(&download_path(id), |call| call.wait_for_end());
    }
    let slow = world.media();
    world.origin.on(&download_path(&slow), |call| {
        thread::sleep(Duration::from_secs(62));
        call.reply_by_default()
    });
    let upload = "/_matrix/media/v3/upload";
    world.origin.on(upload, |call| {
        call.receive()?;
        thread::sleep(Duration::from_secs(93));
        call.reply(&Reply::new(200).body("{}"))
    });
    thread::scope(|scope| {
        for id in [&id, &stored] {
            scope.spawn(|| {
                let asked = now();
                let answer = download(id, &token).send(&world.edge.address);
                assert_matrix_error(&answer, 504, "M_UNKNOWN");
                assert!(asked.elapsed() > Duration::from_secs(61), "{:?}", asked.elapsed());
                assert!(asked.elapsed() < Duration::from_secs(100), "{:?}", asked.elapsed());
            });
        }
        scope.spawn(|| {
            let answer = download(&slow, &token).send(&world.edge.address);
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "it came within its time");
        });
        scope.spawn(|| {
            let request = media_domain("POST", upload).bearer(&token).body(BODY);
            let answer = request.send(&world.edge.address);
            assert_eq!(answer.status, 200, "an upload takes what it takes");
        });
    });
}
