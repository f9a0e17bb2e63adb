//! Promise 1: the homeserver decides. A stored body reaches nobody without Synapse's word.

use serde_json::json;

use crate::ask::Media;
use crate::world::{SQUARES, world};

#[test]
fn a_second_download_is_confirmed_by_a_304_and_served_from_the_edge() {
    let media = world().upload("image/png", SQUARES);
    let first = media.download().user("alice").edge();
    assert_eq!((first.status, &first.body[..]), (200, SQUARES));
    assert_eq!(first.asked_synapse(), [200]);

    media.download().user("alice").warm();
    let second = media.download().user("alice").edge();
    assert_eq!((second.status, &second.body[..]), (200, SQUARES));
    assert_eq!(second.asked_synapse(), [304]);
    assert!(second.is_revalidated(), "{:?}", second.header("cache-status"));
}

#[test]
fn another_users_token_is_confirmed_by_a_304_of_its_own() {
    let media = stored_download();
    let answer = media.download().user("bob").edge();
    assert_eq!((answer.status, &answer.body[..]), (200, SQUARES));
    assert_eq!(answer.asked_synapse(), [304]);
}

#[test]
fn a_stored_thumbnail_is_confirmed_by_a_304() {
    let media = world().upload("image/png", SQUARES);
    let thumbnail = media.thumbnail("width=320&height=240&method=scale").user("alice");
    thumbnail.warm();
    let answer = thumbnail.edge();
    assert_eq!(answer.asked_synapse(), [304]);
    assert_eq!(answer.body, thumbnail.direct().body);
}

#[test]
fn one_thumbnail_is_never_served_for_another() {
    let media = world().upload("image/png", SQUARES);
    let sizes = ["width=32&height=32&method=crop", "width=640&height=480&method=scale"];
    for size in sizes {
        media.thumbnail(size).user("alice").warm();
    }
    let [small, large] = sizes.map(|size| media.thumbnail(size).user("alice").edge());
    assert_ne!(small.body, large.body);
    assert_ne!(small.body, SQUARES);
}

#[test]
fn a_clients_validator_is_translated_and_grants_nothing() {
    let media = stored_download();
    let ask = media.download().user("alice");
    let etag = ask.edge().header("etag").expect("no ETag").to_owned();
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let not_modified = ask.clone().header("If-None-Match", &etag).edge();
    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0));
    assert_eq!(not_modified.asked_synapse(), [304]);
    assert_eq!(not_modified.header("cross-origin-resource-policy"), Some("cross-origin"));

    // Synapse's own validator, which is the same for every file, is none of the edge's.
    let theirs = ask.header("If-None-Match", "1").edge();
    assert_eq!((theirs.status, &theirs.body[..]), (200, SQUARES));

    for validator in [&*etag, "*", "1"] {
        let stranger = media.download().token("syt_nobody").header("If-None-Match", validator);
        let answer = stranger.edge();
        assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_UNKNOWN_TOKEN"));
    }
}

#[test]
fn every_form_of_the_current_validator_is_a_304_and_any_other_the_whole() {
    let media = world().upload("image/png", SQUARES);
    let thumbnail = media.thumbnail("width=320&height=240&method=scale");
    for ask in [media.download().user("alice"), thumbnail.user("alice")] {
        ask.warm();
        let etag = ask.edge().header("etag").expect("no ETag").to_owned();
        let forms = [&*etag, &format!("W/{etag}"), &format!(r#""other", {etag}"#), "*"];
        for form in forms {
            for method in ["GET", "HEAD"] {
                let answer = ask.clone().method(method).header("If-None-Match", form).edge();
                assert_eq!((answer.status, answer.body.len()), (304, 0), "{method} {form}");
                assert_eq!(answer.asked_synapse(), [304]);
            }
        }
        let whole = ask.direct().body.clone();
        for (name, value) in [
            ("If-None-Match", r#""other""#),
            ("If-None-Match", etag.trim_matches('"')),
            // Synapse tells no date.
            ("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"),
        ] {
            let answer = ask.clone().header(name, value).edge();
            assert_eq!((answer.status, &answer.body), (200, &whole), "{name}: {value}");
        }
    }
}

#[test]
fn a_404_at_the_legacy_door_removes_nothing_from_the_client_door() {
    let media = stored_download();
    for _ in 0..2 {
        let frozen = media.legacy("v3", "download").edge();
        assert_eq!((frozen.status, frozen.asked_synapse()), (404, vec![404]));
    }
    let answer = media.download().user("alice").edge();
    assert_eq!((answer.status, answer.asked_synapse()), (200, vec![304]));
}

#[test]
fn two_files_never_share_a_validator() {
    let [first, second] = [b"first", b"other"].map(|bytes| {
        let media = world().upload("text/plain", bytes);
        let ask = media.download().user("alice");
        ask.warm();
        let etag = ask.edge().header("etag").expect("no ETag").to_owned();
        (ask, etag)
    });
    assert_ne!(first.1, second.1);
    let answer = second.0.header("If-None-Match", &first.1).edge();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"other"[..]));
}

#[test]
fn a_logged_out_token_is_refused_at_once() {
    let media = stored_download();
    let token = world().log_in("carol");
    assert_eq!(media.download().token(&token).edge().status, 200);
    world().log_out(&token);
    let answer = media.download().token(&token).edge();
    assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(answer.asked_synapse(), [401]);
}

#[test]
fn quarantined_media_is_gone_at_once_and_comes_back() {
    let media = world().upload("image/png", b"quarantined by its own hash");
    media.download().user("alice").warm();

    world().admin(
        "POST",
        &format!("/_synapse/admin/v1/media/quarantine/localhost/{}", media.id),
        &json!({}),
    );
    for _ in 0..2 {
        let answer = media.download().user("alice").edge();
        assert_eq!((answer.status, answer.errcode().as_str()), (404, "M_NOT_FOUND"));
    }

    world().admin(
        "POST",
        &format!("/_synapse/admin/v1/media/unquarantine/localhost/{}", media.id),
        &json!({}),
    );
    let answer = media.download().user("alice").edge();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"quarantined by its own hash"[..]));
}

#[test]
fn a_quarantine_bypass_neither_reads_nor_fills_the_cache() {
    let media = world().upload("image/png", b"seen by an admin alone");
    world().admin(
        "POST",
        &format!("/_synapse/admin/v1/media/quarantine/localhost/{}", media.id),
        &json!({}),
    );
    let bypass = media.download().query("admin_unsafely_bypass_quarantine=true");
    for _ in 0..2 {
        assert_eq!(bypass.clone().user("admin").edge().status, 200);
        assert_eq!(bypass.clone().user("alice").edge().status, 400);
        assert_eq!(media.download().user("admin").edge().status, 404);
    }
}

#[test]
fn deleted_media_is_gone_at_once() {
    let media = stored_download();
    let thumbnail = media.thumbnail("width=32&height=32").user("alice");
    thumbnail.warm();
    world().admin(
        "DELETE",
        &format!("/_synapse/admin/v1/media/localhost/{}", media.id),
        &json!({}),
    );
    for ask in [media.download().user("alice"), thumbnail] {
        let answer = ask.edge();
        assert_eq!((answer.status, answer.errcode().as_str()), (404, "M_NOT_FOUND"));
    }
}

#[test]
fn the_media_domain_serves_the_same_stored_media() {
    let media = stored_download();
    let answer = media.download().user("bob").media_domain();
    assert_eq!((answer.status, &answer.body[..]), (200, SQUARES));
    assert_eq!(answer.asked_synapse(), [304]);
}

fn stored_download() -> Media {
    let media = world().upload("image/png", SQUARES);
    media.download().user("alice").warm();
    media
}
