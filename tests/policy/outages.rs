//! Ten minutes without a homeserver, and what comes after.

use matrix_media_edge::matrix::media::Door;

use crate::scene::{ALICE, BOB, NO_QUESTION, STRICT, SYNAPSE, ask, bytes, legacy, server, world};
use model::ask::{Ask, Credential};
use model::flight::Answered;
use model::homeserver::Health;
use model::world::World;

const OUTAGE_SECS: u64 = 600;

/// Longer than the outage: that it ends is for others to show.
const STALE: &[(&str, &str)] = &[("STALE_IF_ERROR_SECONDS", "3600")];

/// The token of index 3, which the homeserver doesn't know.
const NOBODY: Credential = Credential::Header(3);

fn is_stale(answered: &Answered) -> bool {
    answered.header("cache-status").ends_with("detail=stale-if-error")
        && answered.reply.body == bytes()
}

/// Media of which Alice has read one and Bob the other, and a token that has been revoked.
fn before_the_outage(vars: &[(&str, &str)]) -> World {
    let mut world = world(vars, SYNAPSE);
    world.answer(&ask());
    world.answer(&legacy());
    world.answer(&server());
    world.answer(&Ask::new(Door::Client, 1, BOB));
    let revoked = Ask::new(Door::Client, 0, Credential::Header(0));
    assert_eq!(world.answer(&revoked).status(), 200);
    world.homeserver.tokens[0].is_valid = false;
    assert_eq!(world.answer(&revoked).status(), 401);
    world
}

#[test]
fn accepted_clients_alone_read_through_a_ten_minute_outage() {
    for health in [Health::Unreachable, Health::Silent, Health::Status(502), Health::Status(504)] {
        let mut world = before_the_outage(STALE);
        world.homeserver.health = health;
        for second in 0..OUTAGE_SECS {
            for (who, may_read) in [
                (ask(), true),
                (Ask::new(Door::Client, 0, BOB), true),
                (legacy(), true),
                (Ask::new(Door::Client, 0, Credential::Header(0)), false),
                (Ask::new(Door::Client, 0, NOBODY), false),
                (Ask::new(Door::Client, 0, Credential::None), false),
                (Ask::new(Door::Legacy, 1, Credential::None), false),
                (server(), false),
            ] {
                let answered = world.answer(&who);
                assert_eq!(is_stale(&answered), may_read, "{health:?}, {second} s: {who:?}");
                assert!(may_read || answered.status() >= 500, "{}", answered.status());
            }
            world.now_ms += 1_000;
        }
        world.homeserver.health = Health::Up;
        // Whoever wasn't served asks, and so the edge hears that it is back.
        assert_eq!(world.answer(&server()).heard(), [304]);
        assert_eq!(world.answer(&ask()).heard(), [304]);
        assert_eq!(world.answer(&Ask::new(Door::Client, 0, Credential::Header(0))).status(), 401);
    }
}

#[test]
fn a_known_outage_costs_readers_nothing_and_the_homeserver_few_probes() {
    let mut world = before_the_outage(STALE);
    world.homeserver.health = Health::Unreachable;
    assert_eq!(world.answer(&ask()).heard(), [0], "the first finds it out");
    let mut questions = 0;
    for _ in 0..OUTAGE_SECS * 10 {
        let answered = world.answer(&ask());
        assert!(is_stale(&answered));
        questions += answered.questions().len();
        world.now_ms += 100;
    }
    assert_eq!(questions, 0, "nobody waits");
    // Pauses are of two to four seconds, from the third probe on.
    assert!((150..=303).contains(&world.probes.sent), "{} probes", world.probes.sent);
}

#[test]
fn a_probe_detects_recovery_and_every_request_is_asked_about_again() {
    let mut world = before_the_outage(STALE);
    world.homeserver.health = Health::Unreachable;
    world.answer(&ask());
    for _ in 0..30 {
        world.now_ms += 1_000;
        world.answer(&ask());
    }
    world.homeserver.health = Health::Up;
    world.homeserver.tokens[1].is_valid = false;
    let sent = world.probes.sent;
    let mut stale_ms = 0;
    while world.answer(&ask()).status() == 200 {
        world.now_ms += 100;
        stale_ms += 100;
    }
    assert!((100..=4_100).contains(&stale_ms), "{stale_ms} ms");
    assert_eq!(world.probes.sent, sent + 1);
    assert_eq!(world.answer(&ask()).heard(), [401]);
}

#[test]
fn an_expired_outage_is_asked_about_again() {
    let mut world = before_the_outage(STALE);
    world.homeserver.health = Health::Unreachable;
    world.answer(&ask());
    assert_eq!(world.answer(&ask()).heard(), NO_QUESTION);
    world.homeserver.health = Health::Up;
    world.now_ms += 5_000;
    assert_eq!(world.answer(&ask()).heard(), [304]);
}

#[test]
fn a_failure_of_one_media_alone_is_no_outage() {
    let mut world = before_the_outage(STALE);
    world.homeserver.health = Health::StuckAt(0);
    for _ in 0..10 {
        let refused = world.answer(&ask());
        assert_eq!((refused.status(), refused.heard()), (503, vec![503]), "nothing is stale");
        assert_eq!(world.answer(&Ask::new(Door::Client, 1, BOB)).heard(), [304]);
        world.now_ms += 1_000;
    }
}

#[test]
fn each_isolate_detects_an_outage_for_itself() {
    let mut world = before_the_outage(STALE);
    world.homeserver.health = Health::Unreachable;
    world.answer(&ask());
    assert_eq!(world.answer_at(1, &ask()).heard(), [0]);
    assert_eq!(world.answer_at(1, &ask()).heard(), NO_QUESTION);
}

#[test]
fn the_homeserver_is_not_probed_without_a_stale_window() {
    let mut world = before_the_outage(STRICT);
    world.homeserver.health = Health::Unreachable;
    for _ in 0..20 {
        assert_eq!(world.answer(&Ask::new(Door::Client, 0, ALICE)).heard(), [0]);
        world.now_ms += 1_000;
    }
    assert_eq!(world.probes.sent, 0);
}
