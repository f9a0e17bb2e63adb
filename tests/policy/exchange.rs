//! The exchange by example: what a client asks, what the homeserver is asked for it, what comes
//! back.

use http::Method;
use http::header::{
    AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH,
    LOCATION,
};
use matrix_media_edge::route::Door;

use crate::ask::{Ask, Credential, Extra, Span, Validator, What};
use crate::homeserver::{Cdn, HOMESERVER, Habits, Health, Media, Quirk, SERVER_NAME, Validators};
use crate::scenario::tokens;
use crate::world::{Answered, World};

const SYNAPSE: Habits = Habits {
    validators: Validators::One,
    knows_head: true,
    knows_whoami: true,
    reads_legacy_tokens: false,
    refusal: 403,
};

const STRICT: &[(&str, &str)] = &[];
const LEASED: &[(&str, &str)] = &[("LEASE_SECONDS", "60")];
const STALE: &[(&str, &str)] = &[("STALE_IF_ERROR_SECONDS", "600")];

const NO_QUESTION: [u16; 0] = [];

const ALICE: Credential = Credential::Header(1);
const BOB: Credential = Credential::Header(2);

const THUMBNAIL: What = What::Thumbnail("32x32-crop-default", "width=32&height=32&method=crop");

fn world(vars: &[(&str, &str)], habits: Habits) -> World {
    let mut world = World::new(vars, habits);
    world.homeserver.tokens = tokens();
    world.homeserver.media = (0..2).map(video).collect();
    world
}

fn video(index: usize) -> Media {
    Media {
        server_name: SERVER_NAME,
        id: format!("media{index}"),
        length: 40,
        content_type: "video/mp4",
        disposition: Some("inline; filename=upload.mp4"),
        is_quarantined: false,
        is_deleted: false,
        is_frozen: false,
        reader: None,
    }
}

fn ask() -> Ask {
    Ask::new(Door::Client, 0, ALICE)
}

fn legacy() -> Ask {
    Ask::new(Door::Legacy, 0, Credential::None)
}

fn server() -> Ask {
    Ask::new(Door::Federation, 0, Credential::Signature)
}

fn bytes() -> Vec<u8> {
    video(0).bytes("content")
}

fn by_name(file_name: &'static str) -> Ask {
    Ask { file_name: Some(file_name), ..ask() }
}

fn ranged(range: Span) -> Ask {
    Ask { range: Some(range), ..ask() }
}

fn head(ask: Ask) -> Ask {
    Ask { method: Method::HEAD, ..ask }
}

impl Answered {
    fn status(&self) -> u16 {
        self.reply.status
    }

    fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.reply.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// How the origin answered each question; 0 where it didn't.
    fn heard(&self) -> Vec<u16> {
        self.flight.talk.iter().map(|told| told.answer.status().unwrap_or(0)).collect()
    }

    /// What was asked, with the server it was asked of left out if that is the homeserver.
    fn questions(&self) -> Vec<String> {
        let text = |url: &str| url.trim_start_matches(HOMESERVER).to_owned();
        self.flight.talk.iter().map(|told| text(&told.wire.url)).collect()
    }
}

// Hits and misses.

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
fn what_the_homeserver_sends_anew_replaces_what_is_stored() {
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
fn a_request_without_a_credential_is_the_homeservers_to_refuse() {
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
fn what_may_not_be_stored_is_passed_on() {
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

// Leases.

#[test]
fn a_lease_spares_the_question() {
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
fn a_token_that_is_leased_opens_what_was_confirmed_to_others() {
    let mut world = world(LEASED, SYNAPSE);
    world.answer(&Ask::new(Door::Client, 1, BOB));
    world.answer(&ask());
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, BOB)).heard(), NO_QUESTION);
}

#[test]
fn a_token_that_is_leased_for_one_media_opens_no_other() {
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
    world.now_ms += 59_000;
    let thumbnail = Ask { what: THUMBNAIL, ..bobs.clone() };
    assert_eq!(world.answer(&thumbnail).status(), 404);
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
fn an_old_lease_is_renewed_behind_the_client_that_it_serves() {
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
fn a_request_on_behalf_of_another_has_no_lease() {
    let mut world = world(LEASED, SYNAPSE);
    let service = |extra| Ask { extra, ..Ask::new(Door::Client, 0, Credential::Header(0)) };
    world.answer(&service(None));
    assert_eq!(world.answer(&service(Some(Extra::UserId(1)))).heard(), [304]);
    assert_eq!(world.answer(&service(Some(Extra::UserId(3)))).status(), 403);
    assert_eq!(world.answer(&service(None)).heard(), NO_QUESTION);
}

// Without validators.

#[test]
fn without_validators_and_leases_nothing_is_stored() {
    let habits = Habits { validators: Validators::Nothing, ..SYNAPSE };
    let mut world = world(STRICT, habits);
    world.answer(&ask());
    assert_eq!(world.answer(&ask()).heard(), [200]);
}

#[test]
fn without_validators_whoami_tells_of_the_token() {
    let mut world = world(LEASED, Habits { validators: Validators::Nothing, ..SYNAPSE });
    world.answer(&ask());
    let hit = world.answer(&Ask::new(Door::Client, 0, BOB));
    assert_eq!(hit.questions(), ["/_matrix/client/v3/account/whoami"]);
    assert_eq!(hit.reply.body, bytes());
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, Credential::Header(3))).status(), 401);
}

#[test]
fn whoami_counts_while_the_media_is_leased_only() {
    let mut world = world(LEASED, Habits { validators: Validators::Nothing, ..SYNAPSE });
    world.answer(&ask());
    world.now_ms += 59_000;
    world.begin(&Ask::new(Door::Client, 0, BOB), 0);
    world.advance(0);
    world.now_ms += 1_000;
    assert!(world.advance(0).is_none(), "the media itself is asked for");
    world.advance(0);
    assert_eq!(world.advance(0).map(|answered| answered.heard()), Some(vec![200, 200]));
}

#[test]
fn without_whoami_the_media_is_asked_for() {
    let habits = Habits { validators: Validators::Nothing, knows_whoami: false, ..SYNAPSE };
    let mut world = world(LEASED, habits);
    world.answer(&ask());
    assert_eq!(world.answer(&Ask::new(Door::Client, 0, BOB)).heard(), [404, 200]);
}

// While the homeserver is down.

#[test]
fn while_the_homeserver_is_down_those_it_accepted_lately_are_served() {
    for (health, heard) in
        [(Health::Unreachable, 0), (Health::Silent, 0), (Health::Status(503), 503)]
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
fn nobody_else_is_served_while_the_homeserver_is_down() {
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
fn a_refusal_that_is_known_outlasts_the_homeserver() {
    let mut world = world(STALE, SYNAPSE);
    world.answer(&ask());
    world.answer(&Ask { what: THUMBNAIL, ..ask() });
    world.homeserver.media[0].is_quarantined = true;
    assert_eq!(world.answer(&Ask { what: THUMBNAIL, ..ask() }).status(), 404);
    world.homeserver.health = Health::Unreachable;
    assert_eq!(world.answer(&ask()).status(), 502);
}

#[test]
fn a_client_is_told_to_slow_down_by_the_homeserver_itself() {
    let mut world = world(STALE, SYNAPSE);
    world.answer(&ask());
    world.homeserver.health = Health::Status(429);
    let refused = world.answer(&ask());
    assert_eq!((refused.status(), refused.header("retry-after")), (429, "3"));
}

// Redirects.

const REDIRECTING: Habits = Habits { validators: Validators::Redirect, ..SYNAPSE };

#[test]
fn a_redirect_is_followed_without_the_credential_and_the_bytes_are_stored() {
    let mut world = world(STRICT, REDIRECTING);
    let miss = world.answer(&ask());
    assert_eq!((miss.status(), miss.heard()), (200, vec![307, 200]));
    assert_eq!(miss.reply.body, bytes());
    assert!(!miss.flight.talk[1].wire.headers.contains_key(AUTHORIZATION));
    let hit = world.answer(&ask());
    assert_eq!((hit.status(), hit.heard()), (200, vec![307]));
    assert_eq!(hit.reply.body, bytes());
}

#[test]
fn a_redirect_grants_no_lease() {
    let mut world = world(LEASED, REDIRECTING);
    world.answer(&ask());
    assert_eq!(world.answer(&ask()).heard(), [307]);
}

#[test]
fn a_redirect_is_passed_on_where_the_admin_wants_that() {
    let mut world = world(&[("ORIGIN_REDIRECTS", "pass")], REDIRECTING);
    let passed = world.answer(&ask());
    assert_eq!((passed.status(), passed.heard()), (307, vec![307]));
    assert_eq!(passed.header(LOCATION), "https://cdn.example.com/0/content");
}

#[test]
fn a_redirect_that_leads_nowhere_is_an_error_of_the_way() {
    for (cdn, questions) in
        [(Cdn::Loops, 6), (Cdn::Downgrades, 2), (Cdn::Expired, 2), (Cdn::Down, 2)]
    {
        let mut world = world(STRICT, REDIRECTING);
        world.homeserver.cdn = cdn;
        let answered = world.answer(&ask());
        assert_eq!((answered.status(), answered.heard().len()), (502, questions), "{cdn:?}");
    }
}

// HEAD.

#[test]
fn head_stores_nothing_and_tells_the_length() {
    let mut world = world(STRICT, SYNAPSE);
    let told = world.answer(&head(ask()));
    assert_eq!((told.status(), told.header(CONTENT_LENGTH)), (200, "40"));
    assert!(told.reply.body.is_empty());
    assert_eq!(world.answer(&ask()).heard(), [200]);
    let hit = world.answer(&head(ask()));
    assert_eq!(
        (hit.header(CONTENT_LENGTH), hit.reply.body.len(), hit.heard()),
        ("40", 0, vec![304])
    );
}

#[test]
fn head_is_the_edges_own_where_the_homeserver_has_none() {
    let mut world = world(STRICT, Habits { knows_head: false, ..SYNAPSE });
    let told = world.answer(&head(ask()));
    assert_eq!((told.status(), told.heard()), (200, vec![405, 200]));
    assert_eq!(told.header(CONTENT_LENGTH), "40");
    assert!(told.reply.body.is_empty());
}

// Ranges.

#[test]
fn a_range_is_cut_from_what_is_stored_and_from_what_is_not() {
    let mut world = world(STRICT, SYNAPSE);
    for heard in [200, 304] {
        let part = world.answer(&ranged(Span::Between(2, 5)));
        assert_eq!((part.status(), part.heard()), (206, vec![heard]));
        assert_eq!(part.reply.body, bytes()[2..=5]);
        assert_eq!(part.header(CONTENT_RANGE), "bytes 2-5/40");
        assert_eq!(part.header(CONTENT_LENGTH), "4");
    }
}

#[test]
fn a_range_beyond_the_end_is_416() {
    let answered = world(STRICT, SYNAPSE).answer(&ranged(Span::From(40)));
    assert_eq!((answered.status(), answered.header(CONTENT_RANGE)), (416, "bytes */40"));
}

#[test]
fn a_range_of_other_bytes_is_the_whole() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    world.answer(&Ask { what: THUMBNAIL, ..ask() });
    let if_range = |validator| Ask { if_range: Some(validator), ..ranged(Span::From(2)) };
    for (validator, status) in [
        (Validator::Tag(0, What::Content), 206),
        (Validator::WeakTag(0, What::Content), 200),
        (Validator::Tag(0, THUMBNAIL), 200),
        (Validator::Text("1"), 200),
    ] {
        assert_eq!(world.answer(&if_range(validator.clone())).status(), status, "{validator:?}");
    }
}

// Conditions.

#[test]
fn a_client_that_has_the_bytes_gets_304_and_the_question_is_asked_all_the_same() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    for validator in [
        Validator::Tag(0, What::Content),
        Validator::WeakTag(0, What::Content),
        Validator::ListedTag(0, What::Content),
        Validator::Text("*"),
    ] {
        let current = world.answer(&Ask { if_none_match: Some(validator), ..ask() });
        assert_eq!((current.status(), current.heard()), (304, vec![304]));
    }
}

#[test]
fn a_client_that_has_the_bytes_and_no_right_to_them_is_refused() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    world.homeserver.tokens[1].is_valid = false;
    let validator = Some(Validator::Tag(0, What::Content));
    assert_eq!(world.answer(&Ask { if_none_match: validator, ..ask() }).status(), 401);
}

#[test]
fn a_tag_of_the_homeserver_is_none_of_ours() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    let validator = Some(Validator::Text("1"));
    assert_eq!(world.answer(&Ask { if_none_match: validator, ..ask() }).status(), 200);
}

// Names.

#[test]
fn one_stored_copy_serves_every_name() {
    let mut world = world(STRICT, SYNAPSE);
    for (name, heard, disposition) in [
        ("cat.png", 200, "inline; filename=cat.png"),
        ("a b", 304, "inline; filename*=utf-8''a%20b"),
        ("é", 304, "inline; filename*=utf-8''%C3%A9"),
    ] {
        let named = world.answer(&by_name(name));
        assert_eq!(named.questions(), ["/_matrix/client/v1/media/download/example.com/media0"]);
        assert_eq!((named.heard(), named.header(CONTENT_DISPOSITION)), (vec![heard], disposition));
    }
    let unnamed = world.answer(&ask());
    assert_eq!(unnamed.header(CONTENT_DISPOSITION), "inline; filename=upload.mp4");
}

#[test]
fn thumbnails_that_are_the_same_are_stored_once() {
    let mut world = world(STRICT, SYNAPSE);
    let spelt = |query| Ask { what: What::Thumbnail("32x32-crop-default", query), ..ask() };
    world.answer(&spelt("width=32&height=32&method=crop"));
    assert_eq!(world.answer(&spelt("height=32&method=CROP&width=32&width=64")).heard(), [304]);
}

// Other doors.

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
fn what_each_user_is_answered_by_itself_is_not_stored() {
    let mut world = world(LEASED, SYNAPSE);
    let config = Ask { what: What::Config, ..ask() };
    for _ in 0..2 {
        assert_eq!(world.answer(&config).heard(), [200]);
    }
}
