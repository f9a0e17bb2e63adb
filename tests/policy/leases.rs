//! What is served without the homeserver's word about this very request.

use matrix_media_edge::matrix::media::Door;

use crate::scene::{
    ALICE, BOB, LEASED, NO_QUESTION, STALE, STRICT, SYNAPSE, THUMBNAIL, ask, bytes, world,
};
use model::ask::{Ask, Credential, Extra};
use model::homeserver::{Habits, Health, Validators};
use model::world::World;

#[test]
fn a_lease_saves_the_question() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    world.now_ms += 10_000;
    let hit = world.answer(&ask());
    assert_eq!((hit.status(), hit.questions().len()), (200, 0));
    assert_eq!((hit.header("age"), hit.reply.body.len()), ("10", 40));
    assert_eq!(hit.header("cache-status"), "matrix-media-edge; hit; ttl=50");
}

#[test]
fn a_lease_ends_after_its_seconds() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    world.now_ms += 60_000;
    assert_eq!(world.answer(&ask()).heard(), [304]);
}

#[test]
fn a_token_is_accepted_by_the_homeserver_before_it_is_leased() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, BOB)).heard(), [304]);
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, Credential::Header(3))).status(), 401);
}

#[test]
fn a_leased_token_is_served_media_confirmed_to_others() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&Ask::new(Door::Client, 1, BOB));
    world.answer(&ask());
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, BOB)).heard(), NO_QUESTION);
}

#[test]
fn a_token_leased_for_one_media_is_not_served_another() {
    let vars = [("LEASE_SECONDS", "60"), ("LEASE_SCOPE", "token+media")];
    let mut world = world(&vars, Habits { refusal: 404, ..SYNAPSE });
    world.answer(&ask());
    world.answer(&Ask::new(Door::Client, 1, BOB));
    world.homeserver.media[0].reader = Some(1);
    assert_eq!(world.answer(&ask()).heard(), NO_QUESTION);
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, BOB)).status(), 404);
}

#[test]
fn hidden_media_stays_hidden_when_another_sees_it() {
    let vars = [("LEASE_SECONDS", "60"), ("LEASE_SCOPE", "token+media")];
    let mut world = world(&vars, Habits { refusal: 404, ..SYNAPSE });
    let bobs = Ask::new(Door::Client, 0, BOB);
    world.answer(&bobs);
    world.homeserver.media[0].reader = Some(1);
    world.now_ms += 58_000;
    let thumbnail = Ask { what: THUMBNAIL, ..bobs.clone() };
    assert_eq!(world.answer(&thumbnail).status(), 404);
    world.now_ms += 1000;
    world.answer(&ask());
    assert_eq!(world.answer(&bobs).heard(), [404]);
}

#[test]
fn a_refusal_ends_the_lease_of_a_token() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    world.homeserver.tokens[1].is_valid = false;
    assert_eq!(world.answer(&Ask::new(Door::Client, 1, ALICE)).status(), 401);
    assert_eq!(world.answer(&ask()).heard(), [401]);
}

#[test]
fn a_404_ends_the_lease_of_a_media() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    world.homeserver.media[0].is_quarantined = true;
    assert_eq!(world.answer(&Ask { what: THUMBNAIL, ..ask() }).status(), 404);
    assert_eq!(world.answer(&ask()).heard(), [404]);
}

#[test]
fn an_old_lease_is_renewed_once_in_the_background() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&ask());
    world.now_ms += 50_000;
    assert!(world.begin(&ask(), 0).is_some());
    assert!(world.begin(&ask(), 0).is_some());
    assert_eq!(world.flights.len(), 1, "one question is enough");
    while !world.flights.is_empty() {
        world.advance(0);
    }
    world.now_ms += 40_000;
    assert_eq!(world.answer(&ask()).heard(), NO_QUESTION);
}

#[test]
fn either_record_is_renewed_though_the_other_is_young() {
    let young_media = Ask::new(Door::Client, 0, BOB);
    let young_token = Ask { media: 1, ..ask() };
    for (case, between) in [("the token's", young_media), ("the media's", young_token)] {
        let mut world = world(LEASED, SYNAPSE);
        world.answer(&ask());
        world.now_ms += 40_000;
        world.answer(&between);
        world.now_ms += 10_000;
        assert!(world.begin(&ask(), 0).is_some());
        assert_eq!(world.flights.len(), 1, "{case} is old");
        while !world.flights.is_empty() {
            world.advance(0);
        }
        world.now_ms += 30_000;
        assert_eq!(world.answer(&ask()).heard(), NO_QUESTION, "{case} was renewed");
    }
}

#[test]
fn a_request_on_behalf_of_another_has_no_lease() {
    let mut world = world(LEASED, SYNAPSE);
    let service = |extra| Ask { extra, ..Ask::new(Door::Client, 0, Credential::Header(0)) };
    world.answer(&service(None));
    assert_eq!(world.answer(&service(Some(Extra::UserId(1)))).heard(), [304]);
    assert_eq!(world.answer(&service(Some(Extra::UserId(3)))).status(), 403);
    assert_eq!(world.answer(&service(None)).heard(), NO_QUESTION);
}

#[test]
fn a_removed_tag_is_guessed() {
    let habits = Habits { validators: Validators::Eaten, ..SYNAPSE };
    let mut world = world(STRICT, habits);
    world.answer(&ask());
    let hit = world.answer(&ask());
    assert_eq!((hit.heard(), hit.reply.body), (vec![304], bytes()));
}

#[test]
fn stored_media_without_validators_is_confirmed_by_head() {
    let habits = Habits { validators: Validators::Nothing, ..SYNAPSE };
    let mut world = world(STRICT, habits);
    world.answer(&ask());
    assert_eq!(world.answer(&ask()).heard(), [200], "the guess brings the body");
    for _ in 0..3 {
        let hit = world.answer(&ask());
        assert_eq!((hit.heard(), hit.reply.body.clone()), (vec![200], bytes()));
        assert_eq!(hit.flight.talk[0].wire.method, http::Method::HEAD);
        assert!(hit.reply.is_stored);
    }
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, Credential::Header(3))).status(), 401);
}

#[test]
fn media_without_validators_or_head_is_not_stored_in_strict_mode() {
    let habits = Habits { validators: Validators::Nothing, knows_head: false, ..SYNAPSE };
    let mut world = world(STRICT, habits);
    let heard: Vec<_> = (0..5).map(|_| world.answer(&ask()).heard()).collect();
    assert_eq!(heard, [vec![200], vec![200], vec![405, 200], vec![200], vec![200]]);
    let last = world.answer(&Ask { media: 1, ..ask() });
    assert!(last.header("cache-status").ends_with("detail=no-validator"));
}

/// Media that is leased at a homeserver whose validators can't be guessed, as the edge has learned.
fn unguessable(habits: Habits) -> World {
    let mut world = world(LEASED, Habits { validators: Validators::Nothing, ..habits });
    world.answer(&ask());
    let guess = world.answer(&Ask::new(Door::Client, 0, Credential::Header(0)));
    assert_eq!(guess.heard(), [200]);
    world
}

#[test]
fn whoami_confirms_a_token_without_validators() {
    let mut world = unguessable(SYNAPSE);
    let hit = world.answer(&Ask::new(Door::Client, 0, BOB));
    assert_eq!(hit.questions(), ["/_matrix/client/v3/account/whoami"]);
    assert_eq!(hit.reply.body, bytes());
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, Credential::Header(3))).status(), 401);
}

#[test]
fn whoami_counts_only_while_the_media_is_leased() {
    let mut world = unguessable(SYNAPSE);
    world.now_ms += 59_000;
    world.begin(&Ask::new(Door::Client, 0, BOB), 0);
    world.advance(0);
    world.now_ms += 1_000;
    assert!(world.advance(0).is_none(), "the media itself is asked for");
    world.advance(0);
    assert_eq!(world.advance(0).map(|answered| answered.heard()), Some(vec![200, 200]));
}

#[test]
fn the_media_is_asked_for_if_whoami_is_missing() {
    let mut world = unguessable(Habits { knows_whoami: false, ..SYNAPSE });
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, BOB)).heard(), [404, 200]);
}

#[test]
fn recently_accepted_clients_are_served_stale_in_an_outage() {
    for (health, heard) in
        [(Health::Unreachable, 0), (Health::Silent, 0), (Health::Status(502), 502)]
    {
        let mut world = world(STALE, SYNAPSE);
        world.answer(&ask());
        world.homeserver.health = health;
        world.now_ms += 599_000;
        let stale = world.answer(&ask());
        assert_eq!((stale.status(), stale.heard()), (200, vec![heard]));
        assert!(stale.header("cache-status").ends_with("detail=stale-if-error"));
        world.now_ms += 1_000;
        assert!(world.answer(&ask()).status() >= 500, "{health:?}");
    }
}

#[test]
fn other_clients_are_not_served_in_an_outage() {
    for vars in [STRICT, STALE] {
        let mut world = world(vars, SYNAPSE);
        world.answer(&ask());
        world.homeserver.health = Health::Unreachable;
        let refused = world.answer(&Ask::new(Door::Client, 0, BOB));
        assert_eq!(refused.status(), 502);
        assert!(refused.reply.to_string().contains("M_UNKNOWN"));
    }
}

#[test]
fn a_refusal_still_counts_in_an_outage() {
    let mut world = world(STALE, SYNAPSE);
    world.answer(&ask());
    world.answer(&Ask { what: THUMBNAIL, ..ask() });
    world.homeserver.media[0].is_quarantined = true;
    assert_eq!(world.answer(&Ask { what: THUMBNAIL, ..ask() }).status(), 404);
    world.homeserver.health = Health::Unreachable;
    assert_eq!(world.answer(&ask()).status(), 502);
}

#[test]
fn a_429_of_the_homeserver_is_relayed_with_retry_after() {
    let mut world = world(STALE, SYNAPSE);
    world.answer(&ask());
    world.homeserver.health = Health::Status(429);
    let refused = world.answer(&ask());
    assert_eq!((refused.status(), refused.header("retry-after")), (429, "3"));
}
