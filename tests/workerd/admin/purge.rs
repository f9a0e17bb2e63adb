//! Purges: what an admin wants gone is served nowhere any more, within a minute, and what is stored
//! later is.

use std::sync::LazyLock;

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use crate::download::federation::signed;
use crate::store::bucket::get;
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download_path, federation_path, media_domain,
    same_host, shared, tier, wait_for_entry, wait_for_tier,
};

pub(crate) const ADMIN_TOKEN: &str = "0123456789abcdef";
pub(crate) const LIST: &str = "v2/example.com/purges";

fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| start(BucketKind::R2));
    &WORLD
}

pub(crate) fn start(bucket: BucketKind) -> World {
    let layout = Layout { neighbors: 1, pops: 1, bucket, ..Layout::default() };
    World::start_as(layout, &[("ADMIN_TOKEN", ADMIN_TOKEN)])
}

pub(crate) fn request(what: &str) -> Request {
    media_domain("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body(what)
}

pub(crate) fn purge(world: &World, what: &str) -> Answer {
    let answer = request(what).send(&world.edge.direct_address);
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer
}

pub(crate) fn mxc(id: &str) -> String {
    json!({ "mxc": format!("mxc://example.com/{id}") }).to_string()
}

pub(crate) fn mxcs(ids: impl IntoIterator<Item = String>) -> String {
    let uris: Vec<_> = ids.into_iter().map(|id| format!("mxc://example.com/{id}")).collect();
    json!({ "mxc": uris }).to_string()
}

fn thumbnail_path(id: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/example.com/{id}")
}

/// One media in all its forms: a request for each, and the key that it is stored under.
fn forms(world: &World, id: &str) -> [(Request, String); 3] {
    let token = world.token();
    let thumbnail = format!("{}?width=32&height=32&method=crop", thumbnail_path(id));
    [
        (get(id, &token), content_key(id)),
        (
            same_host("GET", thumbnail).bearer(&token),
            format!("v2/example.com/media/example.com/{id}/example.com/thumbnail/32x32-crop"),
        ),
        (signed("GET", &federation_path(id)), format!("v2/example.com/federation/{id}/content")),
    ]
}

/// Has the first isolate store media in all its forms, in every tier.
fn store_everywhere(world: &World, id: &str) -> [(Request, String); 3] {
    let forms = forms(world, id);
    for (request, _) in &forms {
        wait_for_tier("memory", request, &world.edge.direct_address);
    }
    let prefixes = [
        format!("v2/example.com/media/example.com/{id}/"),
        format!("v2/example.com/federation/{id}/"),
    ];
    wait_for("all are in the bucket", PATIENCE, || {
        let keys = world.edge.stores.keys();
        let is_one = |key: &&String| prefixes.iter().any(|prefix| key.starts_with(prefix));
        (keys.iter().filter(is_one).count() == forms.len()).then_some(())
    });
    forms
}

/// Claims that the edge has nothing stored for this: the origin sends it anew.
#[track_caller]
pub(crate) fn assert_gone(request: &Request, address: &str) {
    let answer = request.send(address);
    assert_eq!((answer.status, tier(&answer)), (200, ""), "{request}");
    let status = answer.header("cache-status").unwrap_or_default();
    assert!(status.contains("fwd=uri-miss"), "{request}: {status}");
}

#[test]
fn the_purge_endpoint_is_unrecognized_without_an_admin_token() {
    for method in ["POST", "GET"] {
        let answer = media_domain(method, "/_edge/purge").bearer(ADMIN_TOKEN).body("{}");
        assert_matrix_error(&answer.send(&shared().edge.address), 404, "M_UNRECOGNIZED");
    }
}

#[test]
fn another_token_is_refused_and_purges_nothing() {
    let world = world();
    let id = world.stored_media();
    let post = || media_domain("POST", "/_edge/purge").body(mxc(&id));
    for wrong in [post(), post().bearer("0123456789abcdeF"), post().bearer(&world.token())] {
        assert_matrix_error(&wrong.send(&world.edge.address), 403, "M_FORBIDDEN");
    }
    let basic = post().header("Authorization", format!("Basic {ADMIN_TOKEN}"));
    assert_matrix_error(&basic.send(&world.edge.address), 403, "M_FORBIDDEN");
    let answer = get(&id, &world.token()).send(&world.edge.address);
    assert_eq!(tier(&answer), "memory");
}

#[test]
fn a_purge_is_sent_by_post_to_the_media_domain() {
    let world = world();
    for method in ["GET", "PUT", "DELETE"] {
        let answer = media_domain(method, "/_edge/purge").bearer(ADMIN_TOKEN);
        assert_matrix_error(&answer.send(&world.edge.address), 405, "M_UNRECOGNIZED");
    }
    let elsewhere = same_host("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body("{}");
    assert_matrix_error(&elsewhere.send(&world.edge.address), 404, "M_UNRECOGNIZED");
    assert_eq!(
        world.origin.asked("/_edge/purge").len(),
        1,
        "it is the homeserver's own path there"
    );
}

#[test]
fn a_malformed_purge_request_is_refused_and_purges_nothing() {
    let world = world();
    let id = world.stored_media();
    let long = format!("{}{}", " ".repeat(256 * 1024), r#"{"everything":true}"#);
    let many = mxcs((0..1001).map(|number| number.to_string()));
    for what in [
        "",
        "everything",
        "{}",
        "[]",
        r#"{"everything":false}"#,
        r#"{"mxc":"example.com/a"}"#,
        r#"{"mxc":"mxc://example.com/a/b"}"#,
        r#"{"server_name":"example.com/"}"#,
        r#"{"everything":true,"server_name":"example.com"}"#,
        r#"{"mxc":[]}"#,
        r#"{"mxc":["mxc://example.com/a","example.com/b"]}"#,
        r#"{"mxc":["mxc://example.com/a",7]}"#,
        r#"{"mxc":["mxc://example.com/a""#,
        &many,
        &long,
    ] {
        let answer = request(what).send(&world.edge.address);
        assert_matrix_error(&answer, 400, "M_BAD_JSON");
    }
    let no_body = media_domain("POST", "/_edge/purge").bearer(ADMIN_TOKEN);
    assert_matrix_error(&no_body.send(&world.edge.address), 400, "M_BAD_JSON");
    assert_eq!(tier(&get(&id, &world.token()).send(&world.edge.address)), "memory");
}

#[test]
fn a_thousand_media_are_purged_by_one_request() {
    let world = start(BucketKind::R2);
    let (first, last, other) = (world.media(), world.media(), world.media());
    let all = [&first, &last].map(|id| store_everywhere(&world, id));
    let others = store_everywhere(&world, &other);
    let between = (0..998).map(|number| format!("absent{number}"));
    let ids = [first].into_iter().chain(between).chain([last]);
    let report = purge(&world, &mxcs(ids)).json();
    assert_eq!((&report["listed"], &report["memory"]["removed"]), (&json!(true), &json!(6)));
    for (request, _) in all.iter().flatten() {
        assert_gone(request, &world.edge.direct_address);
    }
    for (request, _) in &others {
        assert_eq!(tier(&request.send(&world.edge.direct_address)), "memory", "{request}");
    }
    let list = world.edge.stores.object(LIST).expect("there is a list");
    assert_eq!(String::from_utf8_lossy(&list.body).lines().count(), 2001);
}

#[test]
fn one_media_is_purged_in_all_its_forms_and_from_every_tier() {
    let world = world();
    let (id, other) = (world.media(), world.media());
    let (forms, others) = (store_everywhere(world, &id), store_everywhere(world, &other));
    let report = purge(world, &mxc(&id)).json();
    let expected = json!({
        "listed": true,
        "memory": { "removed": 3 },
        "bucket": { "bound": true, "removed": 3, "complete": true },
        "not_served": { "where": "everywhere", "within_seconds": 60 },
        "elsewhere": { "bytes_expire_within_seconds": 30 * 86_400 },
    });
    assert_eq!(report, expected);
    assert!(!world.edge.stores.keys().iter().any(|key| key.contains(&format!("/{id}/"))));
    for (request, _) in &forms {
        assert_gone(request, &world.edge.direct_address);
    }
    for (request, _) in &others {
        assert_eq!(tier(&request.send(&world.edge.direct_address)), "memory", "{request}");
    }
}

#[test]
fn media_stored_after_a_purge_is_served() {
    let world = world();
    let id = world.media();
    store_everywhere(world, &id);
    purge(world, &mxc(&id));
    // Not what was stored within the same second, which may have been before.
    store_everywhere(world, &id);
    // Nor does a purge of what is not there hurt.
    purge(world, r#"{"mxc":"mxc://example.com/nothing"}"#);
    purge(world, r#"{"server_name":"nobody.example"}"#);
    assert_eq!(tier(&get(&id, &world.token()).send(&world.edge.direct_address)), "memory");
}

#[test]
fn one_server_or_everything_is_purged() {
    let world = start(BucketKind::R2);
    let (ours, token) = (world.media(), world.token());
    let path = "/_matrix/client/v1/media/download/example.org/theirs";
    world.origin.on(path, |call| {
        let is_known = call.head.headers.get("if-none-match") == Some("1");
        let reply = crate::support::origin::Reply::new(if is_known { 304 } else { 200 });
        let reply = reply.header("ETag", "1").header("Content-Disposition", "inline");
        call.reply(&reply.header("Content-Type", "image/png").body(BODY))
    });
    let theirs = same_host("GET", path).bearer(&token);
    let at = &world.edge.direct_address;
    let store_both = || {
        let forms = store_everywhere(&world, &ours);
        wait_for_tier("memory", &theirs, at);
        wait_for("theirs is in the bucket", PATIENCE, || {
            world.edge.stores.object("v2/example.com/media/example.org/theirs/example.org/content")
        });
        forms
    };
    let forms = store_both();
    let report = purge(&world, r#"{"server_name":"example.com"}"#).json();
    assert_eq!(
        (&report["memory"]["removed"], &report["bucket"]["removed"]),
        (&3.into(), &3.into())
    );
    assert_eq!(tier(&theirs.send(at)), "memory");
    for (request, _) in &forms {
        assert_gone(request, at);
    }
    let forms = store_both();
    let report = purge(&world, r#"{"everything":true}"#).json();
    assert_eq!(
        (&report["memory"]["removed"], &report["bucket"]["removed"]),
        (&4.into(), &4.into())
    );
    assert_eq!(world.edge.stores.keys(), [LIST]);
    for (request, _) in forms.iter().chain([&(theirs, String::new())]) {
        assert_gone(request, at);
    }
}

#[test]
fn a_purge_without_a_bucket_reaches_the_data_centre() {
    let world = start(BucketKind::None);
    let requests = [(); 2].map(|()| get(&world.stored_media(), &world.token()));
    let report = purge(&world, r#"{"everything":true}"#).json();
    let expected = json!({
        "listed": true,
        "memory": { "removed": 2 },
        "bucket": { "bound": false },
        "not_served": { "where": "this data centre", "within_seconds": 60 },
        "elsewhere": { "bytes_expire_within_seconds": 30 * 86_400 },
    });
    assert_eq!(report, expected);
    // Of its other isolate this is the first request, so it has to read the list, once that is there.
    wait_for_entry(&world.edge, MEDIA_HOST, LIST);
    assert_gone(&requests[0], &world.edge.neighbor_address);
    assert_gone(&requests[1], &world.edge.direct_address);
}

#[test]
fn entries_are_tagged_for_the_platforms_own_purge() {
    let world = shared();
    let id = world.stored_media();
    let entry = wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
    let tags: Vec<_> = entry.header("cache-tag").expect("tags").split(',').collect();
    for path in ["v2", "v2/example.com/media", &format!("v2/example.com/media/example.com/{id}")] {
        assert!(tags.contains(&format!("matrix-media-edge/{path}").as_str()), "{path}: {tags:?}");
    }
    let answer = get(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.header("cache-tag"), answer.header("x-edge-meta")), (None, None));
}

#[test]
fn a_purge_does_not_ask_the_homeserver() {
    let world = world();
    let id = world.stored_media();
    world.origin.forget(&download_path(&id));
    purge(world, &mxc(&id));
    assert_eq!(world.origin.asked(&download_path(&id)).len(), 0);
}
