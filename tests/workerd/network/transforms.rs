//! What the network adds to, takes from and does to bodies and fields.

use super::proxied;
use crate::download::federation::{assert_envelope, signed};
use crate::faults::gzip::gzip;
use crate::support::origin::{Media, Reply};
use crate::support::world::{BODY, download, download_path, federation_path, same_host};

#[test]
fn the_platforms_cookies_do_not_prevent_storing_and_reach_no_client() {
    let world = proxied();
    let id = world.media();
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
    assert!(answer.header("cache-status").is_some_and(|field| field.ends_with("; stored")));
}

#[test]
fn a_cookie_of_the_homeservers_prevents_storing() {
    let world = proxied();
    let id = world.media();
    world.origin.on(&download_path(&id), |call| {
        let reply = call.default_reply()?.header("Set-Cookie", "session=a; path=/");
        call.reply(&reply)
    });
    let answer = download(&id, &world.token()).send(&world.edge.address);
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.ends_with("detail=set-cookie"), "{status}");
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn a_file_of_text_keeps_its_length_and_tag_though_its_reader_accepts_gzip() {
    let world = proxied();
    let text = "plain text ".repeat(1000);
    let id = world.origin.homeserver().add(Media::new("text/plain", text.as_bytes()));
    for _ in 0..3 {
        let request = download(&id, &world.token()).header("Accept-Encoding", "gzip, br");
        // The local front would compress it whatever it says.
        let answer = request.send(&world.edge.direct_address);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.header("content-length"), Some(text.len().to_string().as_str()));
        assert!(answer.header("etag").is_some_and(|tag| tag.starts_with('"')));
        let control = answer.header("cache-control").unwrap_or_default();
        assert!(control.ends_with("no-transform"), "{control}");
    }
}

#[test]
fn an_envelope_keeps_its_length_though_its_reader_accepts_gzip() {
    let world = proxied();
    let id = world.media();
    let path = federation_path(&id);
    for _ in 0..3 {
        let answer = signed("GET", &path)
            .header("Accept-Encoding", "gzip, br")
            .send(&world.edge.direct_address);
        assert_envelope(&answer);
        let control = answer.header("cache-control").unwrap_or_default();
        assert!(control.ends_with("no-transform"), "{control}");
    }
}

#[test]
fn a_body_that_arrives_without_its_length_is_served_whole_and_not_stored() {
    let world = super::start_with(&[]);
    world.edge.proxy.on("/download/", "drops lengths");
    let id = world.media();
    for _ in 0..2 {
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        let status = answer.header("cache-status").unwrap_or_default();
        assert!(status.ends_with("detail=no-length"), "{status}");
    }
}

#[test]
fn a_body_that_a_proxy_encodes_reaches_its_reader_decoded() {
    let world = proxied();
    let id = world.media();
    world.origin.on(&download_path(&id), |call| {
        let reply = Reply::new(200)
            .header("Content-Type", "image/png")
            .header("Content-Disposition", "inline")
            .header("Content-Encoding", "gzip")
            .body(gzip(BODY));
        call.reply(&reply)
    });
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn the_readers_address_stays_first_in_x_forwarded_for() {
    let world = proxied();
    let id = world.media();
    download(&id, &world.token()).send(&world.edge.address);
    let asked = world.origin.asked_once(&download_path(&id));
    let addresses = asked.header("x-forwarded-for").unwrap_or_default();
    assert!(addresses.starts_with("127.0.0.1, "), "{addresses}");
}

#[test]
fn a_passthrough_answer_may_be_compressed() {
    let world = proxied();
    let answer = same_host("GET", "/_matrix/client/versions").send(&world.edge.address);
    let control = answer.header("cache-control").unwrap_or_default();
    assert!(!control.contains("no-transform"), "{control}");
}
