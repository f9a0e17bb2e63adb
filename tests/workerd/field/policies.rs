//! The policy that keeps media from acting as a page, and lets a browser play a video that is opened
//! by itself (matrix-spec 382, element-web 8605).

use test_support::http::Answer;

use super::servers::Door;
use crate::support::origin::Reply;
use crate::support::world::{BODY, World, download_path, media_domain, shared};

/// What <https://spec.matrix.org/v1.16/client-server-api/#serving-inline-content> recommends, with
/// `media-src`, as Synapse and matrix-media-repo send it.
const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
     style-src 'unsafe-inline'; media-src 'self'; object-src 'self';";

#[track_caller]
fn assert_playable(answer: &Answer, what: &str) {
    assert_eq!(answer.header("content-security-policy"), Some(POLICY), "{what}");
    assert_eq!(answer.headers.all("content-security-policy").count(), 1, "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
}

#[test]
fn a_video_of_a_homeserver_without_a_policy_plays_at_every_door_of_clients() {
    // It ignores conditions, which others must not hear of.
    let world = World::start();
    for door in [Door::Client, Door::Legacy] {
        let id = world.legacy_media();
        let video = Reply::new(200)
            .header("Content-Type", "video/mp4")
            .header("Content-Disposition", "inline")
            .body(BODY);
        let forwarded = format!("{}?unknown=1", door.path(&id));
        world.origin.reply(&forwarded, video.clone());
        world.origin.reply(&door.path(&id), video);
        for n in 0..3 {
            let answer = door.get(&world, &id).send(&world.edge.address);
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
            assert_playable(&answer, &format!("{door:?}, read {n}"));
        }
        let part = door.get(&world, &id).header("Range", "bytes=0-9").send(&world.edge.address);
        assert_eq!(part.status, 206);
        assert_playable(&part, &format!("{door:?}, a part"));
        let answer = media_domain("GET", &forwarded).bearer(&world.token());
        let answer = answer.send(&world.edge.address);
        assert_eq!(answer.status, 200);
        assert_playable(&answer, &format!("{door:?}, never stored"));
    }
}

#[test]
fn an_error_is_no_page_either() {
    let world = shared();
    let path = download_path("nowhere");
    let answer = media_domain("GET", path).bearer(&world.token()).send(&world.edge.address);
    assert_eq!(answer.status, 404);
    assert_playable(&answer, "an error");
}
