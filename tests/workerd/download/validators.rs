//! Validators on both sides: clients get tags that are valid and their own, the origin gets back
//! what it sent, and one that sends nothing is asked in other ways.

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use crate::support::origin::{MEDIA_HEADERS, Reply};
use crate::support::world::{
    BODY, World, download, download_path, leased, legacy_download, legacy_path, media_domain,
    shared, wait_until_shown,
};

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("there is a tag").to_owned()
}

#[track_caller]
fn assert_whole(answer: &Answer) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
}

#[track_caller]
fn assert_unchanged(answer: &Answer) {
    assert_eq!((answer.status, answer.body.len()), (304, 0), "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn a_tag_is_the_same_for_everyone_at_every_time() {
    let world = shared();
    let id = world.legacy_media();
    let miss = tag(&download(&id, &world.token()).send(&world.edge.address));
    world.store(&id);
    let named = media_domain("GET", format!("{}/a.png", download_path(&id)));
    for request in [
        download(&id, &world.token()),
        legacy_download(&id),
        named.bearer(&world.token()),
        media_domain("HEAD", download_path(&id)).bearer(&world.token()),
        download(&id, &world.token()).header("Range", "bytes=0-1"),
    ] {
        assert_eq!(tag(&request.send(&world.edge.address)), miss);
    }
}

#[test]
fn every_representation_has_a_tag_of_its_own() {
    let world = shared();
    let (id, other, token) = (world.media(), world.media(), world.token());
    let thumbnail =
        |query: &str| format!("/_matrix/client/v1/media/thumbnail/example.com/{id}?{query}");
    let mut tags: Vec<String> = [
        download_path(&id),
        download_path(&other),
        thumbnail("width=32&height=32"),
        thumbnail("width=32&height=32&method=crop"),
        thumbnail("width=32&height=33"),
        thumbnail("width=32&height=32&animated=true"),
    ]
    .iter()
    .map(|target| tag(&media_domain("GET", target).bearer(&token).send(&world.edge.address)))
    .collect();
    for tag in &tags {
        let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        assert!(opaque.is_some_and(|tag| !tag.is_empty() && !tag.contains('"')), "{tag}");
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 6, "{tags:?}");
}

#[test]
fn a_304_needs_the_origins_grant() {
    let world = shared();
    let id = world.stored_media();
    let tag = tag(&download(&id, &world.token()).send(&world.edge.address));
    for field in [tag.as_str(), "*"] {
        let conditional = |token: &str| {
            download(&id, token).header("If-None-Match", field).send(&world.edge.address)
        };
        assert_unchanged(&conditional(&world.token()));
        assert_matrix_error(&conditional("syt_nobody"), 401, "M_UNKNOWN_TOKEN");
    }
    world.origin.homeserver().quarantine(&id);
    let request = download(&id, &world.token()).header("If-None-Match", &tag);
    assert_matrix_error(&request.send(&world.edge.address), 404, "M_NOT_FOUND");
}

#[test]
fn a_miss_that_brings_what_the_client_has_is_a_304_too_and_is_stored() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let tag =
        tag(&media_domain("HEAD", download_path(&id)).bearer(&token).send(&world.edge.address));
    let request = download(&id, &token).header("If-None-Match", &tag);
    assert_unchanged(&request.send(&world.edge.address));
    world.store(&id);
    assert_whole(&download(&id, &token).send(&world.edge.address));
}

#[test]
fn a_leased_304_costs_the_origin_nothing() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let tag = tag(&download(&id, &token).send(&world.edge.address));
    let request = download(&id, &token).header("If-None-Match", &tag);
    assert_unchanged(&world.assert_unasked(&download_path(&id), &request));
}

#[test]
fn the_legacy_door_has_304s_of_its_own() {
    let world = shared();
    let (open, shut) = (world.legacy_media(), world.stored_media());
    let has = |id: &str| legacy_download(id).header("If-None-Match", "*").send(&world.edge.address);
    world.store(&open);
    assert_unchanged(&has(&open));
    assert_matrix_error(&has(&shut), 404, "M_NOT_FOUND");
}

#[test]
fn lists_of_tags_are_read_to_their_end() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let tag = tag(&download(&id, &token).send(&world.edge.address));
    let ask = |field: &str| {
        let request = download(&id, &token).header("If-None-Match", field);
        request.send(&world.edge.address)
    };
    // As many as the runtime's limit on a head leaves room for.
    let others = "\"x\",".repeat(10_000);
    assert_unchanged(&ask(&format!("{others}{tag}")));
    assert_whole(&ask(&format!("{others}\"y\"")));
    assert_unchanged(&ask(&format!("W/\"x\" , ,\tW/{tag} ,")));
    let headers = download(&id, &token).header("If-None-Match", "\"x\"");
    assert_unchanged(&headers.header("If-None-Match", &tag).send(&world.edge.address));
}

/// Answers at `path` as Synapse does, but with these validators alone.
fn validate_by(world: &World, path: &str, validators: &'static [(&str, &str)]) {
    let plain = MEDIA_HEADERS.iter().filter(|(name, _)| *name != "ETag");
    let reply = Reply::new(200).header("Content-Type", "image/png").body(BODY);
    let reply = reply.header("Content-Disposition", "inline");
    let reply = plain.chain(validators).fold(reply, |r, (name, value)| r.header(name, value));
    world.origin.on(path, move |call| {
        let header = |name| call.head.headers.get(name);
        let is_known = validators.iter().any(|(name, value)| {
            let condition = if *name == "ETag" { "if-none-match" } else { "if-modified-since" };
            header(condition) == Some(*value)
        });
        if header("authorization") == Some("Bearer syt_nobody") {
            return call.reply(&Reply::error(401, "M_UNKNOWN_TOKEN", "Invalid access token"));
        }
        if is_known { call.reply(&Reply::new(304)) } else { call.reply(&reply) }
    });
}

#[test]
fn an_origin_with_dates_alone_is_asked_by_date() {
    let world = shared();
    let (id, token) = ("datedAlone", world.token());
    let path = download_path(id);
    validate_by(world, &path, &[("Last-Modified", DATE)]);
    world.store_by(&path, || download(id, &token).send(&world.edge.address));
    let (answer, asked) = world.assert_asked(&path, &download(id, &token));
    assert_whole(&answer);
    assert_eq!(answer.header("last-modified"), Some(DATE));
    assert_eq!(asked.header("if-modified-since"), Some(DATE));
    assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (None, 0));
    assert_eq!(download(id, "syt_nobody").send(&world.edge.address).status, 401);
}

#[test]
fn a_clients_date_counts_where_it_is_the_origins_own() {
    let world = shared();
    let token = world.token();
    let (dated, both) = ("dated", "datedAndTagged");
    validate_by(world, &download_path(dated), &[("Last-Modified", DATE)]);
    validate_by(world, &download_path(both), &[("Last-Modified", DATE), ("ETag", "1")]);
    for id in [dated, both] {
        world.store_by(&download_path(id), || download(id, &token).send(&world.edge.address));
        let ask = |name: &str, value: &str| download(id, &token).header(name, value);
        let send = |request: Request| request.send(&world.edge.address);
        assert_unchanged(&send(ask("If-Modified-Since", DATE)));
        assert_whole(&send(ask("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")));
        assert_whole(&send(ask("If-Modified-Since", "yesterday")));
        // RFC 9110 §13.1.3: ignored beside a tag.
        assert_whole(&send(ask("If-Modified-Since", DATE).header("If-None-Match", "\"x\"")));
        let part = ask("If-Range", DATE).header("Range", "bytes=1-2");
        assert_eq!(send(part).status, 206);
        let strange = download(id, "syt_nobody").header("If-Modified-Since", DATE);
        assert_eq!(send(strange).status, 401);
    }
    let undated = world.stored_media();
    let request = download(&undated, &token).header("If-Modified-Since", DATE);
    assert_whole(&request.send(&world.edge.address));
}

#[test]
fn stored_media_without_validators_is_confirmed_by_head() {
    let world = World::start();
    let (id, token) = ("unvalidated", world.token());
    let path = download_path(id);
    validate_by(&world, &path, &[]);
    let bodies = (0..3).map(|_| {
        let (answer, asked) = world.assert_asked(&path, &download(id, &token));
        assert_whole(&answer);
        // What brought the body has taken the place of what was in memory.
        wait_until_shown(&world.edge);
        asked.answered_bytes
    });
    assert_eq!(bodies.collect::<Vec<_>>(), [BODY.len(), BODY.len(), 0]);
    assert_eq!(download(id, "syt_nobody").send(&world.edge.address).status, 401);
}

/// Has the edge store media of a homeserver that tells no validators, and learn that none can be
/// guessed. Returns a world with leases, and a token that has one.
fn unguessable(id: &str) -> (World, String) {
    let world = World::start_with(&[("LEASE_SECONDS", "600")]);
    let path = download_path(id);
    validate_by(&world, &path, &[]);
    download(id, &world.token()).send(&world.edge.address);
    // Whose guess brings the body.
    download(id, &world.token()).send(&world.edge.address);
    let token = world.token();
    world.store_by(&path, || download(id, &token).send(&world.edge.address));
    (world, token)
}

#[test]
fn a_token_is_confirmed_by_whoami_without_validators() {
    let id = "whoamiMedia";
    let (world, token) = unguessable(id);
    let path = download_path(id);
    assert_whole(&world.assert_unasked(&path, &download(id, &token)));

    let other = world.token();
    world.origin.forget(WHOAMI);
    let in_query = media_domain("GET", format!("{path}?access_token={other}"));
    assert_whole(&in_query.send(&world.edge.address));
    let asked = world.origin.asked(WHOAMI);
    let own = format!("Bearer {other}");
    let asked: Vec<_> = asked.iter().filter(|a| a.header("authorization") == Some(&own)).collect();
    assert_eq!(asked.len(), 1);
    assert!(world.origin.asked(&path).is_empty(), "whoami was enough");
    assert_whole(&world.assert_unasked(&path, &download(id, &other)));

    let refused = download(id, "syt_nobody").send(&world.edge.address);
    assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
}

#[test]
fn requests_that_whoami_cannot_confirm_are_asked_about_themselves() {
    let id = "whoamiSpecial";
    let (world, token) = unguessable(id);
    let path = download_path(id);
    let special = media_domain("GET", format!("{path}?user_id=@b:example.com")).bearer(&token);
    let (answer, asked) = world.assert_asked(&path, &special);
    assert_whole(&answer);
    assert_eq!((asked.head.method.as_str(), asked.answered_bytes), ("HEAD", 0));

    // The media's lease is of the client door.
    validate_by(&world, &legacy_path(id), &[]);
    let (answer, asked) = world.assert_asked(&legacy_path(id), &legacy_download(id));
    assert_whole(&answer);
    assert_eq!(asked.answered_bytes, BODY.len());
}

#[test]
fn an_origin_without_whoami_is_asked_for_the_media() {
    let id = "noWhoami";
    let (world, _) = unguessable(id);
    let path = download_path(id);
    world.origin.reply(WHOAMI, Reply::error(404, "M_UNRECOGNIZED", "Unrecognized request"));
    let (answer, asked) = world.assert_asked(&path, &download(id, &world.token()));
    assert_whole(&answer);
    assert_eq!(asked.answered_bytes, BODY.len());
    let refused = download(id, "syt_nobody").send(&world.edge.address);
    assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
}
