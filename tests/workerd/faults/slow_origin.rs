//! How long the edge waits for an origin that does answer: longer than Synapse may hold a request
//! (60 s, by `timeout_ms`), and without an end for uploads.
//!
//! All in one test, which takes 93 s. Tests start in the order of their names, and this one must
//! not be among the last.

use std::thread;
use std::time::Duration;

use crate::support::origin::Reply;
use crate::support::world::{BODY, World, download, download_path, media_domain};

#[test]
fn slow_downloads_and_uploads_are_waited_for() {
    let world = World::start();
    let token = world.token();
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
