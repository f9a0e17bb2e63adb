//! Which host serves what: the media domain media only, every other host everything.

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use crate::support::origin::{Origin, Reply};
use crate::support::world::{World, media_domain, same_host, shared, start_edge};

/// The answer to a request on this host that only passes through.
fn versions_at(edge: &str, host: &str) -> Answer {
    Request::new("GET", "/_matrix/client/versions").header("Host", host).send(edge)
}

/// Claims the edge's own word: the homeserver may say the same in others.
#[track_caller]
fn assert_media_only(answer: &Answer) {
    assert_matrix_error(answer, 404, "M_UNRECOGNIZED");
    assert!(answer.text().contains("Only media is served on this host"), "{}", answer.text());
}

#[test]
fn the_media_domain_is_known_in_any_case() {
    let world = shared();
    for host in ["media.example.com", "MEDIA.Example.COM"] {
        assert_media_only(&versions_at(&world.edge.direct_address, host));
    }
}

/// `Host` may be written in many ways, and none is a way around.
#[test]
fn the_media_domain_passes_nothing_through_however_it_is_written() {
    let world = shared();
    for host in [
        "media.example.com.",
        "media.example.com:443",
        "media.example.com:80",
        "media.example.com:8443",
        "Media.Example.Com.:443",
    ] {
        assert_media_only(&versions_at(&world.edge.direct_address, host));
    }
}

#[test]
fn the_media_domain_is_its_host_with_its_port() {
    let world = World::start_with(&[("MEDIA_URL", "https://media.example.com:8448")]);
    let path = "/_matrix/client/versions";
    world.origin.reply(path, Reply::new(200).body("theirs"));
    let at = |host| versions_at(&world.edge.address, host);
    assert_matrix_error(&at("media.example.com:8448"), 404, "M_UNRECOGNIZED");
    for host in ["media.example.com", "media.example.com:84", "xmedia.example.com:8448"] {
        assert_eq!(at(host).text(), "theirs", "{host}");
    }
}

#[test]
fn a_homeserver_that_serves_its_own_media_domain_keeps_the_rest_of_it() {
    let origin = Origin::start();
    origin.reply("/_matrix/client/versions", Reply::new(200).body("theirs"));
    let url = origin.url().replace("http", "https");
    let edge = start_edge(&origin.url(), &[("MEDIA_URL", &url)]);
    assert_eq!(versions_at(&edge.address, &origin.address).text(), "theirs");
}

#[test]
fn websites_paths_go_to_the_website() {
    let website = Origin::start();
    let url = website.url();
    let world = World::start_with(&[("WELL_KNOWN_URL", &url)]);
    for path in ["/.well-known/matrix/support", "/.well-known/acme-challenge/x"] {
        website.reply(path, Reply::new(200).body("theirs"));
        let answer = Request::new("GET", path).header("Host", "example.com");
        assert_eq!(answer.send(&world.edge.address).text(), "theirs");
        assert_eq!(world.origin.asked(path).len(), 0);
    }
}

#[test]
fn secrets_for_the_homeserver_do_not_reach_the_website() {
    let website = Origin::start();
    let url = website.url();
    let vars = [("WELL_KNOWN_URL", url.as_str()), ("ORIGIN_HEADERS", r#"{"X-Tunnel":"secret"}"#)];
    let world = World::start_with(&vars);
    for path in ["/.well-known/matrix/support", "/.well-known/matrix/client"] {
        same_host("GET", path).send(&world.edge.address);
        assert_eq!(website.asked_once(path).header("x-tunnel"), None, "{path}");
    }
}

#[test]
fn the_media_domain_passes_nothing_through() {
    let world = shared();
    for path in [
        "/index.html",
        "/_matrix/client/versions",
        "/_matrix/client/v3/login",
        "/_matrix/federation/v1/version",
        "/_matrix/client/v3/media/download/example.com/a",
        "/_matrix/mediaX/v3/config",
        "/%5Fmatrix/media/v3/config",
        "//_matrix/media/v3/config",
        "/_synapse/admin/v1/users",
        "/.well-known/matrix/client",
        "/.well-known/matrix/support",
    ] {
        for method in ["GET", "POST"] {
            let answer = media_domain(method, path).header("Content-Length", "0");
            assert_matrix_error(&answer.send(&world.edge.address), 404, "M_UNRECOGNIZED");
        }
    }
    let asked: Vec<_> = world.origin.records().into_iter().map(|r| r.head.target).collect();
    assert!(!asked.iter().any(|t| t.starts_with("/_synapse") || t.contains("login")), "{asked:?}");
}
