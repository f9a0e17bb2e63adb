//! Pages in the homeserver's place, at every stage: an error of the edge's own to whoever asked, and
//! nothing stored, removed, granted or revoked.

use serde_json::Value;
use test_support::assertions::assert_matrix_error;
use test_support::http::Request;

use super::{assert_unavailable, proxied, proxied_with_leases, start_with};
use crate::download::federation::signed;
use crate::support::world::{
    BODY, World, download, download_path, federation_path, is_hit, legacy_download, media_domain,
    same_host, wait_until_shown,
};

/// What the platform answers by itself, and what its reader gets.
const PAGES: [(&str, u16); 16] = [
    ("blocked", 502),
    ("challenged", 502),
    ("limited", 502),
    ("login", 502),
    ("maintenance", 502),
    ("520", 502),
    ("521", 502),
    ("522", 504),
    ("523", 502),
    ("524", 504),
    ("525", 502),
    ("526", 502),
    ("530", 502),
    ("unresolved", 502),
    ("without a tunnel", 502),
    ("503", 502),
];

/// Claims that the stored media is served as before.
#[track_caller]
fn assert_kept(world: &World, id: &str, what: &str) {
    world.origin.forget(&download_path(id));
    let answer = download(id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}: {}", answer.text());
    let asked = world.origin.asked_once(&download_path(id));
    assert_eq!(asked.answered_bytes, 0, "{what}: it is no longer stored");
}

#[test]
fn a_page_on_a_miss_is_an_error_and_is_not_stored() {
    let world = proxied();
    for (page, status) in PAGES {
        let id = world.legacy_media();
        world.edge.proxy.on(&id, page);
        let federation = federation_path(&id);
        for request in
            [download(&id, &world.token()), legacy_download(&id), signed("GET", &federation)]
        {
            assert_unavailable(&request.send(&world.edge.address), status, page);
        }
        world.edge.proxy.on(&id, "passes");
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{page}");
    }
}

#[test]
fn a_page_instead_of_a_revalidation_is_an_error_and_removes_nothing() {
    let world = proxied();
    for (page, status) in PAGES {
        let id = world.stored_media();
        world.edge.proxy.on(&id, page);
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_unavailable(&answer, status, page);
        world.edge.proxy.on(&id, "passes");
        assert_kept(world, &id, page);
    }
}

#[test]
fn a_page_that_a_reader_provokes_ends_no_lease() {
    let world = proxied_with_leases();
    for (page, status) in PAGES {
        let id = world.stored_media();
        let reader = world.token();
        download(&id, &reader).send(&world.edge.address);
        world.edge.proxy.on_agent(&id, "robot", page);
        let provoked = download(&id, &world.token()).header("User-Agent", "a robot");
        assert_unavailable(&provoked.send(&world.edge.address), status, page);
        let answer = download(&id, &reader).send(&world.edge.address);
        assert!(is_hit(&answer), "{page}: {answer:?}");
    }
}

#[test]
fn a_page_is_no_outage_by_itself() {
    let world = start_with(&[("STALE_IF_ERROR_SECONDS", "600")]);
    let id = world.stored_media();
    let reader = world.token();
    download(&id, &reader).send(&world.edge.address);
    for (page, status) in PAGES {
        world.edge.proxy.on(&id, page);
        let answer = download(&id, &reader).send(&world.edge.address);
        assert_unavailable(&answer, status, page);
    }
}

#[test]
fn a_stale_copy_is_served_once_the_probe_meets_the_outage_too() {
    for page in ["520", "521", "522", "523", "524", "525", "526", "530", "without a tunnel"] {
        let world = start_with(&[("STALE_IF_ERROR_SECONDS", "600")]);
        let id = world.stored_media();
        let reader = world.token();
        download(&id, &reader).send(&world.edge.address);
        wait_until_shown(&world.edge);
        world.edge.proxy.on("", page);
        let answer = download(&id, &reader).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{page}: {}", answer.text());
        let stranger = download(&id, &world.token()).send(&world.edge.address);
        assert!(stranger.status >= 500, "{page}");
    }
}

#[test]
fn a_page_instead_of_an_upload_is_an_error() {
    let world = proxied();
    for (page, status) in PAGES {
        let target = format!("/_matrix/media/v3/upload?filename=for-{}", page.replace(' ', "-"));
        world.edge.proxy.on(&target, page);
        let upload = media_domain("POST", &target).bearer(&world.token()).body(BODY);
        assert_unavailable(&upload.send(&world.edge.address), status, page);
    }
}

#[test]
fn a_page_instead_of_the_limits_is_an_error() {
    let world = start_with(&[]);
    for (page, status) in PAGES {
        world.edge.proxy.on("/media/config", page);
        let request = media_domain("GET", "/_matrix/client/v1/media/config").bearer(&world.token());
        assert_unavailable(&request.send(&world.edge.address), status, page);
    }
}

#[test]
fn a_page_that_passes_through_is_unchanged() {
    let world = proxied();
    world.edge.proxy.on("/_matrix/client/v3/sync", "challenged");
    let answer = same_host("GET", "/_matrix/client/v3/sync").send(&world.edge.address);
    assert_eq!((answer.status, answer.header("cf-mitigated")), (403, Some("challenge")));
}

fn well_known(document: &str) -> Request {
    same_host("GET", format!("/.well-known/matrix/{document}"))
}

#[test]
fn a_page_instead_of_a_document_does_not_hide_the_last_good_one() {
    for document in ["client", "server"] {
        let world = start_with(&[("WELL_KNOWN_SECONDS", "0")]);
        let text = r#"{"m.homeserver":{"base_url":"https://matrix.example.com"}}"#;
        let path = format!("/.well-known/matrix/{document}");
        let reply = crate::support::origin::Reply::json(200, &serde_json::from_str(text).unwrap());
        world.origin.reply(&path, reply.header("Cache-Control", "no-store"));
        let first = well_known(document).send(&world.edge.address);
        assert_eq!(first.status, 200, "{}", first.text());
        wait_until_shown(&world.edge);
        for (page, _) in PAGES {
            world.edge.proxy.on(&path, page);
            let answer = well_known(document).send(&world.edge.address);
            assert_eq!(answer.status, 200, "{document}, {page}: {}", answer.text());
            let json: Value = answer.json();
            assert!(json.get("m.media_server").is_some(), "{document}, {page}");
        }
    }
}

#[test]
fn an_error_page_instead_of_an_uncached_document_is_an_error() {
    for page in ["blocked", "challenged", "limited", "522", "530"] {
        let world = start_with(&[]);
        world.edge.proxy.on("/.well-known/", page);
        let answer = well_known("client").send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
    }
}
