//! Leases: for `LEASE_SECONDS` the homeserver's yes to a token and about a media stands, at the
//! door where it was given, and nothing but its yes is one.

use std::thread::sleep;
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::http::Answer;
use test_support::time::wait_for;

use crate::support::origin::{Reply, Then};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, is_hit, leased, legacy_download, legacy_path,
    media_domain, shared,
};

#[track_caller]
pub(crate) fn assert_served(answer: &Answer) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
}

/// What `Cache-Status` says of the lease's rest, in seconds.
pub(crate) fn ttl(answer: &Answer) -> u64 {
    let field = answer.header("cache-status").unwrap_or_default();
    let ttl = field.strip_prefix("matrix-media-edge; hit; ttl=").expect(field);
    ttl.parse().expect(ttl)
}

#[test]
fn a_strict_hit_costs_the_origin_one_conditional_request_and_no_body() {
    let world = shared();
    let id = world.stored_media();
    let request = download(&id, &world.token());
    let (answer, asked) = world.assert_asked(&download_path(&id), &request);
    assert_served(&answer);
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
}

#[test]
fn a_leased_hit_costs_the_origin_nothing() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    download(&id, &token).send(&world.edge.address);
    for _ in 0..3 {
        assert_served(&world.assert_unasked(&path, &download(&id, &token)));
    }
    let head = media_domain("HEAD", &path).bearer(&token);
    assert_eq!(world.assert_unasked(&path, &head).status, 200);
    let range = download(&id, &token).header("Range", "bytes=8-15");
    assert_eq!(world.assert_unasked(&path, &range).body, &BODY[8..16]);
    let named = media_domain("GET", format!("{path}/a.png")).bearer(&token);
    assert_served(&world.assert_unasked(&format!("{path}/a.png"), &named));
    assert!(world.origin.asked(&path).is_empty());
    let in_query = media_domain("GET", format!("{path}?access_token={token}"));
    assert_served(&world.assert_unasked(&path, &in_query));
}

#[test]
fn a_leased_hit_has_its_age_and_the_ttl_of_the_lease() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    sleep(Duration::from_millis(1100));
    let answer = world.assert_unasked(&download_path(&id), &download(&id, &token));
    let age: u64 = answer.header("age").expect("a hit has an age").parse().expect("in seconds");
    assert!((1..60).contains(&age), "{age}");
    assert_eq!(ttl(&answer), 600 - age);
}

#[test]
fn an_answer_that_the_origin_has_just_confirmed_has_no_age() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let (answer, _) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_eq!(answer.header("age"), None);
}

#[test]
fn a_token_without_a_lease_is_asked_about_and_has_one_then() {
    let world = leased();
    let (id, other) = (world.stored_media(), world.stored_media());
    let token = world.token();
    let (answer, asked) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_served(&answer);
    assert_eq!(asked.header("if-none-match"), Some("1"));
    // The other media was confirmed to another token.
    assert_served(&world.assert_unasked(&download_path(&other), &download(&other, &token)));
}

#[test]
fn a_media_without_a_lease_is_asked_about_and_has_one_then() {
    let world = leased();
    let (token, other) = (world.token(), world.token());
    for token in [&token, &other] {
        download(&world.stored_media(), token).send(&world.edge.address);
    }
    // Stored, but never confirmed at the client door.
    let id = world.legacy_media();
    world.store_by(&legacy_path(&id), || legacy_download(&id).send(&world.edge.address));
    let (answer, asked) = world.assert_asked(&download_path(&id), &download(&id, &token));
    assert_served(&answer);
    assert_eq!(asked.header("if-none-match"), Some("1"));
    assert_served(&world.assert_unasked(&download_path(&id), &download(&id, &other)));
}

#[test]
fn errors_and_unrequested_answers_grant_no_lease() {
    let world = leased();
    let stored = world.stored_media();
    let (missing, troubled) = ("neverThere", world.media());
    let path = download_path(&troubled);
    for (name, id, reply) in [
        ("404", missing, None),
        ("403", &troubled, Some(Reply::error(403, "M_FORBIDDEN", "No"))),
        ("400", &troubled, Some(Reply::error(400, "M_UNKNOWN", "No"))),
        ("429", &troubled, Some(Reply::error(429, "M_LIMIT_EXCEEDED", "Later"))),
        ("500", &troubled, Some(Reply::error(500, "M_UNKNOWN", "Internal server error"))),
        ("304", &troubled, Some(Reply::new(304).header("ETag", "1"))),
        ("206", &troubled, Some(Reply::new(206).header("ETag", "1").body(BODY))),
    ] {
        if let Some(reply) = reply {
            world.origin.reply(&path, reply);
        }
        let token = world.token();
        let answer = download(id, &token).send(&world.edge.address);
        assert!(answer.status >= 400, "{name}: {}", answer.status);
        let (_, asked) = world.assert_asked(&download_path(&stored), &download(&stored, &token));
        assert_eq!(asked.header("if-none-match"), Some("1"), "{name}");
    }
}

#[test]
fn a_lost_answer_grants_no_lease() {
    let world = leased();
    let (stored, lost, token) = (world.stored_media(), world.media(), world.token());
    world.origin.on(&download_path(&lost), |call| {
        call.receive()?;
        Ok(Then::Reset)
    });
    let answer = download(&lost, &token).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    world.assert_asked(&download_path(&stored), &download(&stored, &token));
}

#[test]
fn a_media_confirmed_at_one_door_is_not_leased_at_the_other() {
    let world = leased();
    let (id, token) = (world.legacy_media(), world.token());
    world.store(&id);
    download(&id, &token).send(&world.edge.address);
    let (answer, asked) = world.assert_asked(&legacy_path(&id), &legacy_download(&id));
    assert_served(&answer);
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
    assert_served(&world.assert_unasked(&legacy_path(&id), &legacy_download(&id)));
}

#[test]
fn a_credential_at_the_legacy_door_is_asked_about_every_time() {
    let world = leased();
    let id = world.legacy_media();
    world.store_by(&legacy_path(&id), || legacy_download(&id).send(&world.edge.address));
    for _ in 0..2 {
        let request = legacy_download(&id).bearer("syt_whatever");
        let (answer, asked) = world.assert_asked(&legacy_path(&id), &request);
        assert_served(&answer);
        assert_eq!(asked.header("authorization"), Some("Bearer syt_whatever"));
        let stranger = download(&id, "syt_whatever");
        assert_eq!(world.assert_asked(&download_path(&id), &stranger).0.status, 401);
    }
    assert_served(&world.assert_unasked(&legacy_path(&id), &legacy_download(&id)));
}

#[test]
fn a_token_that_the_origin_never_accepted_has_no_lease() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.address);
    for stranger in ["syt_nobody", &token.to_uppercase(), &format!("{token}x"), "", "null"] {
        for _ in 0..2 {
            let (answer, _) = world.assert_asked(&download_path(&id), &download(&id, stranger));
            assert_eq!(answer.status, 401, "{stranger}: {}", answer.text());
        }
    }
    world.assert_unasked(&download_path(&id), &download(&id, &token));
}

#[test]
fn a_non_canonical_query_is_asked_about_every_time() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    download(&id, &token).send(&world.edge.address);
    for (query, sent) in [
        ("user_id=@b:example.com", "user_id=%40b%3Aexample.com"),
        ("user_id=", "user_id="),
        ("x=y", "x=y"),
        ("timeout_ms=x", "timeout_ms=x"),
        ("timeout_ms=", "timeout_ms="),
        ("=", "="),
    ] {
        let request = media_domain("GET", format!("{path}?{query}")).bearer(&token);
        for _ in 0..2 {
            let (answer, asked) = world.assert_asked(&path, &request);
            assert_served(&answer);
            assert_eq!(asked.head.target, format!("{path}?{sent}"));
        }
    }
    for query in ["", "timeout_ms=20000"] {
        let request = media_domain("GET", format!("{path}?{query}")).bearer(&token);
        assert_served(&world.assert_unasked(&path, &request));
    }
}

#[test]
fn a_non_canonical_query_grants_nothing() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let request = media_domain("GET", format!("{path}?user_id=@b:example.com")).bearer(&token);
    assert_served(&request.send(&world.edge.address));
    world.assert_asked(&path, &download(&id, &token));
}

#[test]
fn an_admins_view_of_quarantined_media_grants_nothing() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let target = format!("{path}?admin_unsafely_bypass_quarantine=true");
    assert_served(&media_domain("GET", target).bearer(&token).send(&world.edge.address));
    world.assert_asked(&path, &download(&id, &token));
}

#[test]
fn each_pair_of_token_and_media_has_its_own_lease() {
    let world = World::start_with(&[("LEASE_SECONDS", "600"), ("LEASE_SCOPE", "token+media")]);
    let (id, other) = (world.stored_media(), world.stored_media());
    let (token, friend) = (world.token(), world.token());
    let ask = |id: &str, token: &str| world.assert_asked(&download_path(id), &download(id, token));
    let hit =
        |id: &str, token: &str| world.assert_unasked(&download_path(id), &download(id, token));
    assert_served(&ask(&id, &token).0);
    assert_served(&hit(&id, &token));
    assert_served(&ask(&other, &token).0);
    assert_served(&ask(&id, &friend).0);
    hit(&other, &token);

    // A refusal is about the pair, too.
    world.origin.reply(&download_path(&other), Reply::error(403, "M_FORBIDDEN", "No"));
    assert_eq!(ask(&other, &friend).0.status, 403);
    hit(&id, &friend);
    hit(&other, &token);
}

#[test]
fn isolates_of_one_data_centre_share_leases() {
    let world = World::start_two_isolates(&[("LEASE_SECONDS", "600")]);
    let (id, token) = (world.stored_media(), world.token());
    download(&id, &token).send(&world.edge.direct_address);
    world.origin.forget(&download_path(&id));
    // A record takes a moment to be there.
    let answer = wait_for("the other isolate finds both records", PATIENCE, || {
        let answer = download(&id, &token).send(&world.edge.neighbor_address);
        is_hit(&answer).then_some(answer)
    });
    assert_served(&answer);
    let stranger = download(&id, "syt_nobody").send(&world.edge.neighbor_address);
    assert_matrix_error(&stranger, 401, "M_UNKNOWN_TOKEN");
}
