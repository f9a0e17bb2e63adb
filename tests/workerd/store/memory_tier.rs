//! The memory tier: small bodies come out of the isolate, with the same permission as from anywhere
//! else, and no more of them than fit.

use std::sync::Barrier;
use std::thread;

use test_support::assertions::assert_matrix_error;
use test_support::http::Request;
use test_support::time::wait_for;

use crate::download::federation::{assert_envelope, signed};
use crate::support::origin::{Media, Reply};
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download, download_path, entry_name,
    federation_path, is_hit, leased, media_domain, shared, tier, wait_for_tier,
};

/// The largest body that is kept.
const MAX_BYTES: usize = 256 << 10;

/// Media of this length that the isolate has in its memory if it keeps such.
fn in_memory(world: &World, length: usize) -> String {
    let id = world.origin.homeserver().add(Media::new("image/png", vec![7; length]));
    world.store(&id);
    id
}

#[test]
fn a_body_from_memory_needs_the_homeservers_grant_each_time() {
    let world = shared();
    let id = world.stored_media();
    for _ in 0..3 {
        let (answer, asked) =
            world.assert_asked(&download_path(&id), &download(&id, &world.token()));
        assert_eq!((tier(&answer), &answer.body[..]), ("memory", BODY));
        assert_eq!((asked.header("if-none-match"), asked.answered_bytes), (Some("1"), 0));
    }
}

#[test]
fn a_refused_token_gets_nothing_from_memory() {
    for world in [shared(), leased()] {
        let id = world.stored_media();
        let answer = download(&id, "syt_nobody").send(&world.edge.address);
        assert_matrix_error(&answer, 401, "M_UNKNOWN_TOKEN");
        assert_eq!(tier(&answer), "");
    }
}

#[test]
fn a_leased_hit_from_memory_does_not_ask_the_origin() {
    let world = leased();
    let (id, token) = (world.stored_media(), world.token());
    let request = download(&id, &token);
    wait_for("the lease", PATIENCE, || is_hit(&request.send(&world.edge.address)).then_some(()));
    let answer = world.assert_unasked(&download_path(&id), &request);
    assert_eq!((tier(&answer), &answer.body[..]), ("memory", BODY));
}

/// The data centre's own entry is gone, so that nothing else can have answered.
#[test]
fn ranges_names_conditions_and_head_are_answered_from_memory() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let etag = download(&id, &token).send(&world.edge.address).header("etag").map(str::to_owned);
    world.edge.stores.remove_entry(&entry_name(MEDIA_HOST, &content_key(&id)));
    let etag = etag.expect("an ETag");
    let get = || download(&id, &token);
    let rows: [(u16, &[u8], Request); 6] = [
        (200, BODY, get()),
        (206, &BODY[100..=199], get().header("Range", "bytes=100-199")),
        (206, &BODY[250..], get().header("Range", "bytes=-6")),
        (416, b"", get().header("Range", "bytes=256-")),
        (304, b"", get().header("If-None-Match", &etag)),
        (200, b"", media_domain("HEAD", &path).bearer(&token)),
    ];
    for (status, body, request) in rows {
        let (answer, asked) = world.assert_asked(&path, &request);
        assert_eq!((answer.status, &answer.body[..]), (status, body), "{request}");
        assert_eq!(asked.header("if-none-match"), Some("1"), "{status} {request}");
        assert_eq!(tier(&answer), if body.is_empty() { "" } else { "memory" });
        if status == 200 {
            assert_eq!(answer.header("content-length"), Some("256"));
        }
    }
    let named = media_domain("GET", format!("{path}/a.png")).bearer(&token);
    let (answer, asked) = world.assert_asked(&path, &named);
    assert_eq!(
        (answer.header("content-disposition"), tier(&answer)),
        (Some("inline; filename=a.png"), "memory")
    );
    assert_eq!(asked.header("if-none-match"), Some("1"));
}

#[test]
fn servers_get_their_envelope_from_memory() {
    let world = shared();
    let id = world.media();
    let request = signed("GET", &federation_path(&id));
    let stored = request.send(&world.edge.address);
    let answer = wait_for_tier("memory", &request, &world.edge.address);
    assert_envelope(&answer);
    assert!(answer.body == stored.body);
}

#[test]
fn the_memory_tier_can_be_turned_off() {
    let world = World::start_with(&[("MEMORY_CACHE_MIB", "0")]);
    let (id, token) = (world.stored_media(), world.token());
    for _ in 0..5 {
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!((tier(&answer), &answer.body[..]), ("pop", BODY));
    }
}

#[test]
fn the_least_recently_used_body_is_evicted() {
    let world = World::start_with(&[("MEMORY_CACHE_MIB", "1")]);
    let token = world.token();
    let from = |id: &str| {
        let answer = download(id, &token).send(&world.edge.address);
        assert_eq!((answer.status, answer.body.len()), (200, 240 << 10));
        tier(&answer).to_owned()
    };
    let ids: Vec<String> = (0..4).map(|_| in_memory(&world, 240 << 10)).collect();
    assert_eq!(ids.iter().map(|id| from(id)).collect::<Vec<_>>(), ["memory"; 4]);
    // The first is used once more, so it is the second that goes.
    from(&ids[0]);
    let last = in_memory(&world, 240 << 10);
    for id in [&last, &ids[0], &ids[2], &ids[3]] {
        assert_eq!(from(id), "memory", "{id}");
    }
    assert_eq!(from(&ids[1]), "pop");
}

#[test]
fn large_bodies_are_not_stored_in_memory() {
    let world = shared();
    let token = world.token();
    for (length, expected) in [(0, "memory"), (MAX_BYTES, "memory"), (MAX_BYTES + 1, "pop")] {
        let id = in_memory(world, length);
        let answers: Vec<_> =
            (0..3).map(|_| download(&id, &token).send(&world.edge.address)).collect();
        assert_eq!(answers.iter().map(tier).collect::<Vec<_>>(), [expected; 3], "{length}");
        assert!(answers.iter().all(|answer| answer.body == vec![7; length]));
    }
}

#[test]
fn media_that_is_gone_leaves_the_memory() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    world.origin.reply(&path, Reply::error(404, "M_NOT_FOUND", "Not found"));
    assert_eq!(download(&id, &token).send(&world.edge.address).status, 404);
    world.edge.cache.wait_until_settled();
    world.origin.on(&path, |call| call.reply_by_default());
    let (answer, asked) = world.assert_asked(&path, &download(&id, &token));
    assert_eq!((asked.header("if-none-match"), tier(&answer)), (None, ""));
}

#[test]
fn another_body_under_the_same_name_reaches_every_memory() {
    let world = World::start_two_isolates(&[]);
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    let request = download(&id, &token);
    let isolates = [&world.edge.direct_address, &world.edge.neighbor_address];
    for isolate in isolates {
        wait_for_tier("memory", &request, isolate);
    }
    world.origin.on(&path, |call| {
        let is_known = call.head.headers.get("if-none-match") == Some("\"2\"");
        let reply = Reply::new(if is_known { 304 } else { 200 }).header("ETag", "\"2\"");
        let reply = reply.header("Content-Disposition", "inline");
        call.reply(&reply.header("Content-Type", "image/png").body("new"))
    });
    for isolate in isolates {
        assert_eq!(request.send(isolate).text(), "new");
        assert_eq!(wait_for_tier("memory", &request, isolate).text(), "new");
        world.origin.forget(&path);
        request.send(isolate);
        assert_eq!(world.origin.asked_once(&path).header("if-none-match"), Some("\"2\""));
    }
}

#[test]
fn one_of_many_concurrent_readers_reads_the_data_centres_entry() {
    let world = World::start_two_isolates(&[]);
    let id = in_memory(&world, MAX_BYTES);
    let tokens: Vec<String> = (0..20).map(|_| world.token()).collect();
    let barrier = Barrier::new(tokens.len());
    let ask = |token: &String| {
        barrier.wait();
        download(&id, token).send(&world.edge.neighbor_address)
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = tokens.iter().map(|token| scope.spawn(|| ask(token))).collect();
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    assert!(answers.iter().all(|answer| answer.body == vec![7; MAX_BYTES]));
    let read = answers.iter().filter(|answer| tier(answer) == "pop").count();
    assert_eq!((read, answers.iter().filter(|answer| tier(answer) == "memory").count()), (1, 19));
}
