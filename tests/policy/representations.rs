//! Which bytes are served, under which head: HEAD, ranges, conditions and names.

use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE};

use crate::scene::{STRICT, SYNAPSE, THUMBNAIL, ask, by_name, bytes, head, ranged, server, world};
use model::ask::{Ask, Span, Validator, What};
use model::homeserver::Habits;

#[test]
fn a_head_stores_nothing_and_has_the_length() {
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
fn a_head_is_answered_by_the_edge_if_the_homeserver_has_none() {
    let mut world = world(STRICT, Habits { knows_head: false, ..SYNAPSE });
    let told = world.answer(&head(ask()));
    assert_eq!((told.status(), told.heard()), (200, vec![405, 200]));
    assert_eq!(told.header(CONTENT_LENGTH), "40");
    assert!(told.reply.body.is_empty());
}

#[test]
fn a_servers_head_is_never_asked_again_by_get() {
    let mut world = world(STRICT, Habits { knows_head: false, ..SYNAPSE });
    let refused = world.answer(&head(server()));
    assert_eq!((refused.status(), refused.heard()), (405, vec![405]), "it has signed its method");
}

#[test]
fn a_range_is_cut_from_what_is_stored_and_from_what_is_not() {
    let mut world = world(STRICT, SYNAPSE);
    // The first answer shows that this homeserver ignores ranges; the whole is asked for without one.
    for heard in [vec![200, 200], vec![304]] {
        let part = world.answer(&ranged(Span::Between(2, 5)));
        assert_eq!((part.status(), part.heard()), (206, heard));
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
fn a_range_with_another_if_range_is_the_whole() {
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
fn the_homeservers_tag_does_not_match_the_edges() {
    let mut world = world(STRICT, SYNAPSE);
    world.answer(&ask());
    let validator = Some(Validator::Text("1"));
    assert_eq!(world.answer(&Ask { if_none_match: validator, ..ask() }).status(), 200);
}

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
    assert_eq!(world.answer(&spelt("height=32&method=crop&width=0032")).heard(), [304]);
}

#[test]
fn an_ambiguous_query_is_not_served_from_the_cache() {
    let mut world = world(STRICT, SYNAPSE);
    let spelt = |query| Ask { what: What::Thumbnail("32x32-crop-default", query), ..ask() };
    world.answer(&spelt("width=32&height=32&method=crop"));
    for query in [
        "width=32&height=32&method=CROP",
        "width=32&width=64&height=32&method=crop",
        "width=32&height=32&method=crop;width=64",
    ] {
        let answered = world.answer(&spelt(query));
        assert_eq!((answered.heard(), answered.reply.is_stored), (vec![200], false), "{query}");
        assert_eq!(
            answered.header("cache-status"),
            "matrix-media-edge; fwd=bypass; fwd-status=200; detail=unusual"
        );
    }
}
