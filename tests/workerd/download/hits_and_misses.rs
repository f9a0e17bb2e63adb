//! Promise 1, in strict mode: no stored byte reaches anyone without the homeserver's word.

use std::thread;

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Answer;

use crate::support::origin::Media;
use crate::support::world::{
    BODY, World, download, download_path, media_domain, same_host, shared,
};

#[test]
fn a_miss_brings_the_origins_answer_and_stores_it() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(answer.header("content-length"), Some("256"));
    assert_cache_status(&answer, "fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(world.origin.asked_once(&download_path(&id)).header("if-none-match"), None);
}

#[test]
fn a_stored_body_is_served_on_a_304_to_the_users_own_token() {
    let world = shared();
    let id = world.stored_media();
    let token = world.token();
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_cache_status(&answer, "fwd=stale; fwd-status=304");

    let asked = world.origin.asked_once(&download_path(&id));
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(asked.header("if-none-match"), Some("1"), "the origin's validator, raw");
}

#[test]
fn a_hit_has_every_header_of_the_miss() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let miss = download(&id, &token).send(&world.edge.address);
    world.store(&id);
    let hit = download(&id, &token).send(&world.edge.address);
    for (name, value) in &miss.headers.0 {
        if !["cache-status", "date", "server-timing"].contains(&name.to_ascii_lowercase().as_str())
        {
            assert_eq!(hit.header(name), Some(value.as_str()), "{name}");
        }
    }
    assert_eq!(hit.headers.0.len(), miss.headers.0.len(), "{:?}", hit.headers);
}

#[test]
fn the_same_host_serves_what_the_media_domain_stored() {
    let world = shared();
    let id = world.stored_media();
    let answer = same_host("GET", download_path(&id)).bearer(&world.token());
    let answer = answer.send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_cache_status(&answer, "fwd=stale; fwd-status=304");
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, errcode: &str) {
    assert_matrix_error(answer, status, errcode);
    assert!(!answer.body.windows(8).any(|part| part == &BODY[..8]), "stored bytes in a refusal");
}

#[test]
fn stored_media_is_refused_without_a_token() {
    let world = shared();
    let id = world.stored_media();
    let answer = media_domain("GET", download_path(&id)).send(&world.edge.address);
    assert_refused(&answer, 401, "M_MISSING_TOKEN");
}

#[test]
fn stored_media_is_refused_to_an_unknown_token() {
    let world = shared();
    let id = world.stored_media();
    let answer = download(&id, "syt_nobody").send(&world.edge.address);
    assert_refused(&answer, 401, "M_UNKNOWN_TOKEN");
    assert_eq!(answer.header("cache-status"), None, "it tells that it is stored");
}

#[test]
fn a_logged_out_token_is_refused_stored_media_at_once() {
    let world = shared();
    let id = world.stored_media();
    let token = world.token();
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 200);
    world.origin.homeserver().log_out(&token);
    assert_refused(&download(&id, &token).send(&world.edge.address), 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_refused_token_does_not_affect_others() {
    let world = shared();
    let id = world.stored_media();
    download(&id, "syt_nobody").send(&world.edge.address);
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_cache_status(&answer, "fwd=stale; fwd-status=304");
}

#[test]
fn quarantined_media_is_gone_at_once() {
    let world = shared();
    let id = world.stored_media();
    world.origin.homeserver().quarantine(&id);
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_refused(&answer, 404, "M_NOT_FOUND");
}

#[test]
fn deleted_media_is_gone_at_once_and_its_stored_body_dropped() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    world.origin.homeserver().delete(&id);
    assert_refused(&download(&id, &token).send(&world.edge.address), 404, "M_NOT_FOUND");
    world.edge.cache.wait_until_settled();
    world.origin.forget(&download_path(&id));
    assert_refused(&download(&id, &token).send(&world.edge.address), 404, "M_NOT_FOUND");
    let asked = world.origin.asked_once(&download_path(&id));
    assert_eq!(asked.header("if-none-match"), None, "there is nothing left to ask about");
}

#[test]
fn unusual_credentials_are_refused_by_the_origin() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let bearer = format!("Bearer {token}");
    for (name, request) in [
        ("another scheme", media_domain("GET", &path).header("Authorization", "Basic YTpi")),
        (
            "lower case",
            media_domain("GET", &path).header("Authorization", format!("bearer {token}")),
        ),
        ("no token", media_domain("GET", &path).header("Authorization", "Bearer ")),
        ("two headers", media_domain("GET", &path).bearer(&token).bearer("syt_other")),
        (
            "header and query",
            media_domain("GET", format!("{path}?access_token={token}"))
                .header("Authorization", &bearer),
        ),
        (
            "a signature",
            media_domain("GET", &path).header("Authorization", "X-Matrix origin=a,key=b,sig=c"),
        ),
    ] {
        world.origin.forget(&path);
        let answer = request.send(&world.edge.address);
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        assert_eq!(world.origin.asked(&path).len(), 1, "{name}: the origin has judged");
    }
}

#[test]
fn a_token_in_the_query_is_as_good_as_the_origin_says() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let with = |token: &str| {
        let target = format!("{}?access_token={token}", download_path(&id));
        media_domain("GET", target).send(&world.edge.address)
    };
    let answer = with(&token);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_refused(&with("syt_nobody"), 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn unknown_media_is_the_origins_404() {
    let world = shared();
    let answer = download("nothing", &world.token()).send(&world.edge.address);
    assert_refused(&answer, 404, "M_NOT_FOUND");
    assert_eq!(answer.header("cache-status"), None, "it tells that it is not stored");
}

#[test]
fn a_404_before_an_upload_is_not_cached() {
    let world = shared();
    let (id, token) = ("uploadedLater", world.token());
    assert_eq!(download(id, &token).send(&world.edge.address).status, 404);
    let path = format!("/_matrix/media/v3/upload/example.com/{id}");
    let upload = media_domain("PUT", path).bearer(&token).body(BODY).send(&world.edge.address);
    assert_eq!(upload.status, 200, "{}", upload.text());
    let answer = download(id, &token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
}

#[test]
fn a_malformed_media_id_is_forwarded() {
    let world = shared();
    let path = "/_matrix/client/v1/media/download/example.com/mxc:%2F%2Fhs1%2Fabc";
    let answer = media_domain("GET", path).send(&world.edge.address);
    assert_refused(&answer, 401, "M_MISSING_TOKEN");
    world.origin.asked_once(path);
}

#[test]
fn media_of_the_client_door_is_not_served_at_the_legacy_door() {
    let world = shared();
    let id = world.stored_media();
    for version in ["r0", "v1", "v3"] {
        let path = format!("/_matrix/media/{version}/download/example.com/{id}");
        let answer = media_domain("GET", &path).bearer(&world.token()).send(&world.edge.address);
        assert_refused(&answer, 404, "M_NOT_FOUND");
        world.origin.asked_once(&path);
    }
}

#[test]
fn a_path_with_escapes_is_the_same_media_and_is_asked_for_without_them() {
    let world = shared();
    let id = world.stored_media();
    let path = download_path(&format!("%6D{}", &id[1..]));
    let answer = media_domain("GET", &path).bearer(&world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_cache_status(&answer, "fwd=stale; fwd-status=304");
    world.origin.asked_once(&download_path(&id));
    assert!(world.origin.asked(&path).is_empty(), "it was asked for as it came");
}

#[test]
fn a_file_name_in_the_path_names_the_stored_file() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    for (name, expected) in [
        ("cat.png", "inline; filename=cat.png"),
        ("a%20cat.png", "inline; filename*=utf-8''a%20cat.png"),
        ("caf%C3%A9.png", "inline; filename*=utf-8''caf%C3%A9.png"),
        ("a%2Fb", "inline; filename*=utf-8''a/b"),
        ("a%0D%0ASet-Cookie:%20x", "inline; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x"),
    ] {
        let path = format!("{}/{name}", download_path(&id));
        let answer = media_domain("GET", path).bearer(&token).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{name}");
        let disposition = answer.header("content-disposition").unwrap_or_default();
        assert_eq!(unquoted(disposition), unquoted(expected), "{name}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let unnamed = download(&id, &token).send(&world.edge.address);
    assert_eq!(unnamed.header("content-disposition"), Some("inline"));
}

/// RFC 6266 allows names with and without quotes, and RFC 8187 more escapes than needed.
fn unquoted(disposition: &str) -> String {
    disposition.replace('"', "").replace("%2F", "/").to_ascii_lowercase()
}

#[test]
fn the_uploads_own_name_is_kept() {
    let world = shared();
    let mut media = Media::new("image/png", BODY);
    media.file_name = Some("own.png".to_owned());
    let id = world.origin.homeserver().add(media);
    world.store(&id);
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!(answer.header("content-disposition"), Some("inline; filename=own.png"));
}

#[test]
fn concurrent_readers_each_get_what_the_origin_grants_them() {
    let world = World::start();
    let (id, token) = (world.stored_media(), world.token());
    thread::scope(|scope| {
        for i in 0..40 {
            let (id, token, world) = (&id, &token, &world);
            scope.spawn(move || {
                let is_known = i % 2 == 0;
                let token = if is_known { token } else { "syt_nobody" };
                let answer = download(id, token).send(&world.edge.address);
                assert_eq!(answer.status, if is_known { 200 } else { 401 });
                assert_eq!(answer.body == BODY, is_known);
            });
        }
    });
}

#[test]
fn concurrent_first_readers_all_get_the_whole() {
    let world = shared();
    let body = vec![7; 300_000];
    let id = world.origin.homeserver().add(Media::new("image/png", &body));
    let token = world.token();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                assert!(download(&id, &token).send(&world.edge.address).body == body);
            });
        }
    });
}
