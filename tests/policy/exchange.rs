//! The exchange by example: what a client asks, what the homeserver is asked for it, what comes
//! back.

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, LOCATION};
use matrix_media_edge::matrix::media::Door;

use crate::scene::{
    ALICE, BOB, LEASED, NO_QUESTION, STRICT, SYNAPSE, ask, bytes, head, legacy, server, world,
};
use model::ask::{Ask, Credential, What};
use model::homeserver::{Cdn, Habits, Quirk, Validators};

#[test]
fn a_miss_is_fetched_whole_and_stored() {
    let answered = world(STRICT, SYNAPSE).answer(&ask());
    assert_eq!((answered.status(), answered.heard()), (200, vec![200]));
    assert_eq!(answered.reply.body, bytes());
    assert_eq!(
        answered.header("cache-status"),
        "matrix-media-edge; fwd=uri-miss; fwd-status=200; stored"
    );
}

#[test]
fn a_strict_hit_costs_one_conditional_request_and_no_byte_of_a_body() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    let hit = world.answer(&Ask::new(Door::Client, 0, BOB));
    assert_eq!((hit.status(), hit.heard()), (200, vec![304]));
    assert_eq!(hit.reply.body, bytes());
    let told = &hit.flight.talk[0];
    assert_eq!(told.wire.headers[IF_NONE_MATCH], "1", "the homeserver's own tag as it came");
    assert_eq!(told.wire.headers[AUTHORIZATION], "Bearer syt_2", "the client's own credential");
    assert!(told.answer.body.is_empty());
}

#[test]
fn new_media_replaces_stored_media() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    world.homeserver.habits.validators = Validators::Both;
    assert_eq!(world.answer(&ask()).heard(), [200]);
    let hit = world.answer(&ask());
    assert_eq!(hit.heard(), [304]);
    let tag = &hit.flight.talk[0].wire.headers[IF_NONE_MATCH];
    assert_eq!(tag, "\"example.com/media0/content\"");
}

#[test]
fn a_refusal_is_the_homeservers_own() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    world.homeserver.tokens[1].is_locked = true;
    let refused = world.answer(&ask());
    assert_eq!(refused.status(), 401);
    assert!(refused.reply.to_string().contains("M_USER_LOCKED"), "{}", refused.reply);
}

#[test]
fn a_request_without_a_credential_is_refused_by_the_homeserver() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    let refused = world.answer(&Ask::new(Door::Client, 0, Credential::None));
    assert_eq!((refused.status(), refused.heard()), (401, vec![401]));
}

#[test]
fn media_that_is_gone_is_no_longer_stored() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    world.homeserver.media[0].is_quarantined = true;
    assert_eq!(world.answer(&ask()).status(), 404);
    world.homeserver.media[0].is_quarantined = false;
    assert_eq!(world.answer(&ask()).heard(), [200]);
}

#[test]
fn a_body_that_breaks_off_is_not_stored() {
    let mut world = world(STRICT, SYNAPSE);
    world.homeserver.quirk = Quirk::BreaksOff;
    assert!(world.answer(&ask()).reply.is_broken);
    world.homeserver.quirk = Quirk::None;
    assert_eq!(world.answer(&ask()).heard(), [200]);
}

#[test]
fn media_that_may_not_be_stored_is_relayed() {
    for (quirk, reason) in [
        (Quirk::NoStore, "no-store"),
        (Quirk::NoLength, "no-length"),
        (Quirk::Cookie, "set-cookie"),
        (Quirk::Vary, "vary"),
    ] {
        let mut world = world(STRICT, SYNAPSE);
        world.homeserver.quirk = quirk;
        let answered = world.answer(&ask());
        assert_eq!(answered.reply.body, bytes(), "{quirk:?}");
        assert!(answered.header("cache-status").ends_with(&format!("detail={reason}")));
        assert_eq!(world.answer(&ask()).heard(), [200], "{quirk:?}");
    }
}

const REDIRECTING: Habits = Habits { validators: Validators::Redirect, ..SYNAPSE };

/// The admin has named the host of the media.
const FOLLOWED: &[(&str, &str)] = &[("ORIGIN_REDIRECT_HOSTS", "cdn.example.com 127.0.0.1")];

#[test]
fn a_redirect_is_followed_without_the_credential_and_the_bytes_are_stored() {
    let mut world = world(FOLLOWED, REDIRECTING);
    let miss = world.answer(&ask());
    assert_eq!((miss.status(), miss.heard()), (200, vec![307, 200]));
    assert_eq!(miss.reply.body, bytes());
    assert!(!miss.flight.talk[1].wire.headers.contains_key(AUTHORIZATION));
    let hit = world.answer(&ask());
    assert_eq!((hit.status(), hit.heard()), (200, vec![307]));
    assert_eq!(hit.reply.body, bytes());
}

#[test]
fn a_redirect_to_an_unlisted_host_is_not_followed() {
    let mut world = world(STRICT, REDIRECTING);
    let refused = world.answer(&ask());
    assert_eq!((refused.status(), refused.heard()), (502, vec![307]));
    assert!(String::from_utf8_lossy(&refused.reply.body).contains("ORIGIN_REDIRECT_HOSTS"));
}

#[test]
fn a_redirect_grants_no_lease() {
    let mut world = world(&[&[("LEASE_SECONDS", "60")], FOLLOWED].concat(), REDIRECTING);
    world.answer(&ask());
    assert_eq!(world.answer(&ask()).heard(), [307]);
}

#[test]
fn a_redirect_is_passed_on_if_configured() {
    let mut world = world(&[("ORIGIN_REDIRECTS", "pass")], REDIRECTING);
    let passed = world.answer(&ask());
    assert_eq!((passed.status(), passed.heard()), (307, vec![307]));
    assert_eq!(passed.header(LOCATION), "https://cdn.example.com/0/content");
}

#[test]
fn a_redirect_that_ends_without_media_is_a_502() {
    for (cdn, questions) in
        [(Cdn::Loops, 6), (Cdn::Downgrades, 2), (Cdn::Expired, 2), (Cdn::Down, 2)]
    {
        let mut world = world(FOLLOWED, REDIRECTING);
        world.homeserver.cdn = cdn;
        let answered = world.answer(&ask());
        assert_eq!((answered.status(), answered.heard().len()), (502, questions), "{cdn:?}");
    }
}

#[test]
fn the_legacy_door_has_permissions_of_its_own() {
    let mut world = world(LEASED, SYNAPSE);
    world.homeserver.media[0].is_frozen = true;
    world.answer(&ask());
    assert_eq!(world.answer(&legacy()).status(), 404);
    assert_eq!(world.answer(&ask()).heard(), NO_QUESTION, "which are no word about other doors");
}

#[test]
fn the_legacy_door_shares_bytes_with_the_clients() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&legacy());
    assert_eq!(world.answer(&legacy()).heard(), NO_QUESTION);
    assert_eq!(world.answer(&ask()).heard(), [304]);
}

#[test]
fn a_credential_at_the_legacy_door_is_no_permission_for_others() {
    let mut world = world(LEASED, Habits { reads_legacy_tokens: true, ..SYNAPSE });
    world.homeserver.media[0].is_frozen = true;
    assert_eq!(world.answer(&Ask::new(Door::Legacy, 0, ALICE)).status(), 200);
    assert_eq!(world.answer(&legacy()).status(), 404);
}

#[test]
fn servers_get_the_stored_envelope_with_its_own_boundary() {
    let mut world = world(LEASED, SYNAPSE);
    let miss = world.answer(&server());
    let hit = world.answer(&server());
    assert_eq!((miss.heard(), hit.heard()), (vec![200], vec![304]));
    assert_eq!(hit.header(CONTENT_TYPE), "multipart/mixed; boundary=b1");
    assert_eq!(hit.reply.body, miss.reply.body);
}

#[test]
fn every_server_signs_for_itself() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&server());
    let forged = Ask { credential: Credential::BadSignature, ..server() };
    assert_eq!(world.answer(&forged).status(), 401);
    let signed = head(server());
    let told = world.answer(&signed);
    assert_eq!((told.status(), told.heard()), (200, vec![304]));
    assert_eq!(told.flight.talk[0].wire.method, Method::HEAD, "the method is signed");
}

#[test]
fn per_user_answers_are_not_stored() {
    let mut world = world(LEASED, SYNAPSE);
    let config = Ask { what: What::Config, ..ask() };
    for _ in 0..2 {
        assert_eq!(world.answer(&config).heard(), [200]);
    }
}
