//! An upload that says that it is too large is refused before it is read, and the origin hears nothing
//! of it. The limit is the edge's own or what the origin told this very user, whichever is less.

use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Incoming, Request};
use test_support::profile::Profile;
use test_support::time::{now, wait_for};

use crate::support::origin::{Received, Reply};
use crate::support::world::{PATIENCE, World, media_domain, same_host, shared};

const MAX_BYTES: usize = 100_000;

const CONFIG: &str = "/_matrix/client/v1/media/config";

/// An edge that takes no more than [`MAX_BYTES`].
fn limited() -> &'static World {
    static LIMITED: LazyLock<World> =
        LazyLock::new(|| World::start_with(&[("MAX_UPLOAD_BYTES", &MAX_BYTES.to_string())]));
    &LIMITED
}

/// An upload by this user, at a target of the user's own.
fn upload(token: &str, length: usize) -> Request {
    media_domain("POST", target(token)).bearer(token).body(vec![7; length])
}

fn target(token: &str) -> String {
    format!("/_matrix/media/v3/upload?filename={token}")
}

/// Has this user read these limits of the origin's.
fn tell(world: &World, token: &str, limits: &Reply) {
    let target = format!("{CONFIG}?for={token}");
    world.origin.reply(&target, limits.clone());
    media_domain("GET", target).bearer(token).send(&world.edge.address);
}

fn limit(value: &Value) -> Reply {
    Reply::json(200, &json!({ "m.upload.size": value }))
}

fn is_taken(world: &World, token: &str, length: usize) -> bool {
    upload(token, length).send(&world.edge.address).status == 200
}

/// What the edge has heard it writes down a moment later.
fn wait_until_limited(world: &World, token: &str, limit: usize) {
    let what = format!("the limit is {limit} bytes");
    wait_for(&what, PATIENCE, || (!is_taken(world, token, limit + 1)).then_some(()));
    assert!(is_taken(world, token, limit), "{limit} bytes are refused");
}

#[track_caller]
fn assert_too_large(answer: &Answer, limit: usize) {
    assert_matrix_error(answer, 413, "M_TOO_LARGE");
    assert!(answer.text().contains(&limit.to_string()), "{}", answer.text());
}

#[test]
fn an_upload_of_the_limit_is_taken_and_one_of_a_byte_more_is_not() {
    let world = limited();
    for (method, target) in [
        ("POST", "/_matrix/media/r0/upload"),
        ("POST", "/_matrix/media/v1/upload"),
        ("POST", "/_matrix/media/v3/upload"),
        ("PUT", "/_matrix/media/v3/upload/example.com/limit"),
        ("PUT", "/_matrix/media/unstable/fi.mau.msc2246/upload/example.com/limit"),
    ] {
        let target = format!("{target}?access_token={}", world.token());
        let upload = |length| same_host(method, &target).body(vec![7; length]);
        let answer = upload(MAX_BYTES + 1).send(&world.edge.address);
        assert_too_large(&answer, MAX_BYTES);
        assert!(world.origin.asked(&target).is_empty(), "{method} {target}");
        upload(MAX_BYTES).send(&world.edge.address);
        assert_eq!(world.origin.asked_once(&target).body, Received::whole(&[7; MAX_BYTES]));
    }
}

#[test]
fn an_advertised_limit_counts_for_its_user() {
    let world = limited();
    let (token, other, third) = (world.token(), world.token(), world.token());
    tell(world, &token, &limit(&json!(1000)));
    tell(world, &other, &limit(&json!(2000)));
    wait_until_limited(world, &token, 1000);
    wait_until_limited(world, &other, 2000);
    assert!(is_taken(world, &third, MAX_BYTES), "it counts for one who was not told");

    world.origin.forget(&target(&token));
    assert_too_large(&upload(&token, 1001).send(&world.edge.address), 1000);
    assert!(world.origin.asked(&target(&token)).is_empty());
}

#[test]
fn a_token_in_the_query_is_the_same_user() {
    let world = limited();
    let token = world.token();
    tell(world, &token, &limit(&json!(1000)));
    wait_until_limited(world, &token, 1000);
    let target = format!("/_matrix/media/v3/upload?access_token={token}");
    let answer = media_domain("POST", target).body(vec![7; 1001]).send(&world.edge.address);
    assert_too_large(&answer, 1000);
}

#[test]
fn an_advertised_limit_above_the_edges_own_changes_nothing() {
    let world = limited();
    let token = world.token();
    tell(world, &token, &limit(&json!(MAX_BYTES * 2)));
    sleep(Duration::from_millis(300));
    let answer = upload(&token, MAX_BYTES + 1).send(&world.edge.address);
    assert_too_large(&answer, MAX_BYTES);
    assert!(is_taken(world, &token, MAX_BYTES));
}

#[test]
fn the_last_advertised_limit_counts() {
    let world = limited();
    let token = world.token();
    for told in [1000, 3000, 2000] {
        tell(world, &token, &limit(&json!(told)));
        wait_for("it counts", PATIENCE, || {
            (is_taken(world, &token, told) && !is_taken(world, &token, told + 1)).then_some(())
        });
    }
    for silent in [limit(&Value::Null), Reply::json(200, &json!({}))] {
        tell(world, &token, &limit(&json!(1000)));
        wait_until_limited(world, &token, 1000);
        tell(world, &token, &silent);
        let what = "no limit is the origin's any more";
        wait_for(what, PATIENCE, || is_taken(world, &token, MAX_BYTES).then_some(()));
    }
}

#[test]
fn an_answer_without_a_valid_limit_sets_none() {
    let world = limited();
    let encoded = limit(&json!(1000)).header("Content-Encoding", "gzip");
    // The proxy breaks off what it can't decode, and so the edge reads no limit there either.
    let encoded = (Profile::current() == Profile::Plain).then_some(encoded);
    for reply in encoded.into_iter().chain([
        limit(&json!("1000")),
        limit(&json!(-1)),
        limit(&json!({ "bytes": 1000 })),
        Reply::json(200, &json!({ "limits": { "m.upload.size": 1000 } })),
        Reply::json(200, &json!([{ "m.upload.size": 1000 }])),
        Reply::json(403, &json!({ "errcode": "M_FORBIDDEN", "m.upload.size": 1000 })),
    ]) {
        let token = world.token();
        tell(world, &token, &reply);
        sleep(Duration::from_millis(100));
        assert!(is_taken(world, &token, MAX_BYTES), "{reply:?}");
    }
}

#[test]
fn a_limit_advertised_without_a_token_counts_for_nobody() {
    let world = limited();
    let target = format!("{CONFIG}?anyone");
    world.origin.reply(&target, limit(&json!(1000)));
    assert_eq!(media_domain("GET", target).send(&world.edge.address).status, 200);
    sleep(Duration::from_millis(100));
    assert!(is_taken(world, &world.token(), MAX_BYTES));
    let anonymous = media_domain("POST", "/_matrix/media/v3/upload").body(vec![7; 1001]);
    assert_matrix_error(&anonymous.send(&world.edge.address), 401, "M_MISSING_TOKEN");
}

/// What is taken of an upload must fit between its beginning and the answer. This client sends
/// 16 MB/s: at full speed it would fill the system's buffers, which tells nothing.
#[test]
fn five_gigabytes_are_refused_at_once_and_hardly_read() {
    const BLOCK: [u8; 16 << 10] = [0; 16 << 10];
    let world = shared();
    let target = "/_matrix/media/v3/upload?filename=5G";
    let request = media_domain("POST", target).bearer(&world.token());
    let request = request.header("Content-Length", "5000000000");
    for address in [&world.edge.address, &world.edge.direct_address] {
        let asked = now();
        let mut connection = request.open(address).expect("a connection");
        let taken: usize = std::iter::repeat_with(|| {
            sleep(Duration::from_millis(1));
            connection.write(&BLOCK)
        })
        .take(1000)
        .map_while(Result::ok)
        .map(|()| BLOCK.len())
        .sum();
        println!("the edge hung up after {taken} bytes and {:?}", asked.elapsed());
        assert!(taken < 1 << 20, "{taken} bytes were taken");

        let asked = now();
        let connection = request.open(address).expect("a connection");
        let answer = connection.answer().and_then(Incoming::read).expect("an answer");
        println!("the answer took {:?}", asked.elapsed());
        assert_too_large(&answer, 100_000_000);
        assert!(asked.elapsed() < Duration::from_secs(1), "it took {:?}", asked.elapsed());
    }
    assert!(world.origin.asked(target).is_empty());
}
