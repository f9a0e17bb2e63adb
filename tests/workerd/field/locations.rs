//! Redirects as homeservers, stores and tunnels write them: a `Location` in any form that RFC 3986 has,
//! to a place that may need the admin's secrets.

use std::sync::LazyLock;

use test_support::assertions::assert_matrix_error;
use test_support::http::Answer;

use super::tunnel::{SECRET, SIGNED, behind, redirect, serve_signed};
use crate::support::origin::{Origin, Reply};
use crate::support::world::{
    BODY, HOMESERVER_HOST, World, download, download_path, legacy_download, legacy_path,
    media_domain, same_host, shared,
};

/// A homeserver behind a tunnel, known by another host to clients.
fn tunneled() -> &'static World {
    static TUNNELED: LazyLock<World> = LazyLock::new(|| {
        let public_url = format!("https://{HOMESERVER_HOST}");
        World::start_with(&[SECRET, ("PUBLIC_URL", &public_url)])
    });
    &TUNNELED
}

fn get(world: &World, id: &str) -> Answer {
    download(id, &world.token()).send(&world.edge.address)
}

#[track_caller]
fn assert_served(answer: &Answer, what: &str) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}: {}", answer.text());
    assert_eq!(answer.header("location"), None, "{what}");
}

#[test]
fn a_signed_link_on_the_homeserver_passes_its_tunnel_in_every_form() {
    let world = tunneled();
    let url = world.origin.url();
    let shouted = url.replace("http", "HTTP");
    for (number, location) in [
        format!("{url}{SIGNED}?sig=a%2Fb"),
        format!("{shouted}{SIGNED}?sig=a%2Fb"),
        format!("//{}{SIGNED}?sig=a%2Fb", world.origin.address),
        format!("{SIGNED}?sig=a%2Fb"),
        format!("{SIGNED}?sig=a%2Fb#top"),
        "../../../../../media/signed/abc?sig=a%2Fb".to_owned(),
        "./../../../../../media/signed/abc?sig=a%2Fb".to_owned(),
        format!("https://{HOMESERVER_HOST}{SIGNED}?sig=a%2Fb"),
        format!("HTTPS://{}:443{SIGNED}?sig=a%2Fb", HOMESERVER_HOST.to_ascii_uppercase()),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("signed{number}");
        serve_signed(&world.origin, SIGNED);
        redirect(&world.origin, &id, &location);
        world.origin.forget(SIGNED);
        assert_served(&get(world, &id), &location);
        let asked = world.origin.asked_once(SIGNED);
        assert_eq!(asked.head.target, format!("{SIGNED}?sig=a%2Fb"), "{location}");
        assert_eq!(asked.header("x-tunnel"), Some("s3cret"), "{location}");
        assert_eq!(asked.header("x-forwarded-host"), Some(HOMESERVER_HOST), "{location}");
        for name in ["authorization", "cookie"] {
            assert_eq!(asked.header(name), None, "{location}: {name}");
        }
        asked.assert_without_address();
    }
}

#[test]
fn the_legacy_door_and_thumbnails_pass_the_tunnel_too() {
    let world = tunneled();
    let signed = "/_synapse/media/signed/doors";
    serve_signed(&world.origin, signed);
    let id = "tunneledDoors";
    let thumbnail = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    for path in [legacy_path(id), thumbnail.clone()] {
        behind(&world.origin, &path, Reply::new(307).header("Location", signed));
    }
    assert_served(&legacy_download(id).send(&world.edge.address), "legacy");
    let thumbnail = media_domain("GET", format!("{thumbnail}?width=32&height=32&method=crop"));
    assert_served(&thumbnail.bearer(&world.token()).send(&world.edge.address), "thumbnail");
    for asked in world.origin.asked(signed) {
        assert_eq!(asked.header("x-tunnel"), Some("s3cret"));
    }
}

/// Who redirects to another place than media is asked there as a stranger would be.
#[test]
fn other_paths_of_the_homeserver_get_no_secrets() {
    let world = tunneled();
    for (number, path) in [
        "/_synapse/metrics",
        "/_synapse/admin/v1/users",
        "/_synapse/mediax",
        "/_matrixx/media",
        "/_matrix",
        "/metrics",
        "/x/_matrix/media",
        "/",
    ]
    .into_iter()
    .enumerate()
    {
        world.origin.reply(path, Reply::new(200).header("Content-Type", "image/png").body(BODY));
        for (kind, location) in
            [("near", path.to_owned()), ("far", format!("../../../../../../..{path}"))]
        {
            let id = format!("unsigned{kind}{number}");
            world.origin.forget(path);
            redirect(&world.origin, &id, &location);
            get(world, &id);
            let asked = world.origin.asked_once(path);
            for name in ["x-tunnel", "authorization", "x-forwarded-host"] {
                assert_eq!(asked.header(name), None, "{location}: {name}");
            }
        }
    }
}

#[test]
fn another_port_of_the_homeservers_host_gets_no_secrets() {
    let world = tunneled();
    let store = Origin::start();
    serve_signed(&store, SIGNED);
    redirect(&world.origin, "otherPort", format!("{}{SIGNED}", store.url()));
    assert_matrix_error(&get(world, "otherPort"), 502, "M_UNKNOWN");
    assert_eq!(store.asked_once(SIGNED).header("x-tunnel"), None);
}

/// A store that sends on within itself.
#[test]
fn a_later_hop_may_be_relative_to_the_hop_before() {
    let (world, store) = (shared(), Origin::start());
    let reply = Reply::new(200).header("Content-Type", "image/png").body(BODY);
    store.reply("/a/blob", reply.clone());
    store.reply("/a/b/c?sig=1", reply);
    for (number, (first, location, asked)) in [
        ("/a/b/c", "?sig=1", "/a/b/c?sig=1"),
        ("/a/b/d", "../blob?x", "/a/blob?x"),
        ("/a/e", "blob", "/a/blob"),
        ("/a/f", "./blob#part", "/a/blob"),
    ]
    .into_iter()
    .enumerate()
    {
        store.reply(first, Reply::new(302).header("Location", location));
        let to = format!("{}{first}", store.url());
        let id = format!("laterHop{number}");
        world.origin.reply(&download_path(&id), Reply::new(307).header("Location", to));
        assert_served(&get(world, &id), location);
        let targets: Vec<_> = store.records().into_iter().map(|r| r.head.target).collect();
        assert!(targets.contains(&asked.to_owned()), "{location}: {targets:?}");
    }
}

#[test]
fn a_location_that_is_no_uri_is_followed_as_browsers_do() {
    let (world, store) = (shared(), Origin::start());
    for (number, (location, asked)) in [
        ("/blobs/a b.png", "/blobs/a%20b.png"),
        ("/blobs/a[1].png?x[]={1}", "/blobs/a%5B1%5D.png?x%5B%5D=%7B1%7D"),
        ("/blobs/100%", "/blobs/100%25"),
        ("/blobs/日本.png", "/blobs/%E6%97%A5%E6%9C%AC.png"),
    ]
    .into_iter()
    .enumerate()
    {
        store.reply(asked, Reply::new(200).header("Content-Type", "image/png").body(BODY));
        let id = format!("named{number}");
        let to = format!("{}{location}", store.url());
        world.origin.reply(&download_path(&id), Reply::new(307).header("Location", to));
        assert_served(&get(world, &id), location);
        store.asked_once(asked);
    }
}

#[test]
fn dots_and_backslashes_are_refused_in_relative_locations_too() {
    let world = tunneled();
    for (number, location) in [
        "x/../../../../../../_synapse/metrics",
        "../%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/_synapse/metrics",
        "..%2f..%2f..%2f..%2f..%2f..%2f_synapse/metrics",
        "..%5c..%5c..%5c_synapse/metrics",
        "..\\..\\..\\_synapse\\metrics",
        "../..\\..\\_synapse\\metrics",
        "/_matrix/../_synapse/metrics",
        "/_matrix/..%2f_synapse/metrics",
        "/_matrix/%252e%252e%252f_synapse/metrics",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("dotted{number}");
        redirect(&world.origin, &id, location);
        world.origin.forget(&download_path(&id));
        assert_matrix_error(&get(world, &id), 502, "M_UNKNOWN");
        world.origin.asked_once(&download_path(&id));
        let targets = world.origin.records().into_iter().map(|record| record.head.target);
        let led: Vec<_> =
            targets.filter(|target| target.ends_with("metrics") && target.contains("..")).collect();
        assert!(led.is_empty(), "{location}: {led:?}");
    }
}

#[test]
fn a_document_may_have_moved_to_a_relative_place() {
    let world = World::start();
    let path = "/.well-known/matrix/client";
    let document = r#"{"m.homeserver":{"base_url":"https://matrix.example.com"}}"#;
    world.origin.reply("/.well-known/moved/client.json", Reply::new(200).body(document));
    let moved = Reply::new(301).header("Location", "../moved/client.json");
    world.origin.reply(path, moved);
    let answer = same_host("GET", path).send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("m.media_server"), "{}", answer.text());
}
