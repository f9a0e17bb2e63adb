//! Uploads whose length nobody tells. Some clients stream them in chunks, and some homeservers take
//! that: the homeserver decides, and the limit holds while they stream.

use std::io;
use std::sync::{LazyLock, mpsc};

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Connection, Incoming, Request};
use test_support::time::wait_for;

use crate::store::memory::growth_bytes_during;
use crate::support::origin::{Origin, Received, Reply, Then};
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download_path, media_domain, shared,
    wait_for_entry,
};

const MAX_BYTES: usize = 100_000;

/// Both kinds of upload, each at a target that no other test has.
fn targets(name: &str) -> [(&'static str, String); 2] {
    [
        ("POST", format!("/_matrix/media/v3/upload?filename=chunked-{name}")),
        ("PUT", format!("/_matrix/media/v3/upload/example.com/chunked-{name}")),
    ]
}

/// An edge that takes no more than [`MAX_BYTES`], before a homeserver that takes all.
fn limited() -> &'static World {
    static LIMITED: LazyLock<World> =
        LazyLock::new(|| World::start_with(&[("MAX_UPLOAD_BYTES", &MAX_BYTES.to_string())]));
    &LIMITED
}

fn upload(world: &World, method: &str, target: &str) -> Request {
    media_domain(method, target).bearer(&world.token())
}

/// Has the homeserver take whatever comes, with a length or without, as this media.
fn take_as(origin: &Origin, target: &str, id: &str) {
    let uri = format!("mxc://example.com/{id}");
    origin.reply(target, Reply::json(200, &json!({ "content_uri": uri })));
}

fn take(origin: &Origin, target: &str) {
    take_as(origin, target, "chunkedUnread");
}

/// Sends the head of an upload without a length.
fn open(request: &Request, address: &str) -> Connection {
    let request = request.clone().header("Transfer-Encoding", "chunked");
    request.open(address).expect("a connection")
}

fn write_chunk(connection: &mut Connection, chunk: &[u8]) -> io::Result<()> {
    let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
    connection.write(&framed)
}

fn end(mut connection: Connection) -> Answer {
    connection.write(b"0\r\n\r\n").expect("the edge listens");
    answer(connection)
}

fn answer(connection: Connection) -> Answer {
    connection.answer().and_then(Incoming::read).expect("an answer")
}

#[track_caller]
fn assert_too_large(answer: &Answer, limit: usize) {
    assert_matrix_error(answer, 413, "M_TOO_LARGE");
    assert!(answer.text().contains(&limit.to_string()), "{}", answer.text());
}

#[test]
fn a_chunked_upload_reaches_the_homeserver_chunked() {
    let world = shared();
    for (method, target) in targets("whole") {
        take(&world.origin, &target);
        for address in [&world.edge.address, &world.edge.direct_address] {
            world.origin.forget(&target);
            let request = upload(world, method, &target).header("Content-Type", "image/png");
            let answer = request.chunked(BODY).send(address);
            assert_eq!(answer.status, 200, "{method}: {}", answer.text());
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let asked = world.origin.asked_once(&target);
            assert_eq!(asked.header("content-length"), None, "{method}");
            assert_eq!(asked.header("transfer-encoding"), Some("chunked"), "{method}");
            assert_eq!(asked.header("content-type"), Some("image/png"));
            assert_eq!(asked.body, Received::whole(BODY));
        }
    }
}

/// As Synapse does: the stand-in takes no upload without a length.
#[test]
fn a_homeservers_demand_for_a_length_is_relayed() {
    let world = shared();
    for (method, target) in targets("refused") {
        for request in
            [upload(world, method, &target).chunked(BODY), upload(world, method, &target)]
        {
            world.origin.forget(&target);
            let answer = request.send(&world.edge.direct_address);
            assert_matrix_error(&answer, 400, "M_UNKNOWN");
            assert!(answer.text().contains("must specify a Content-Length"), "{}", answer.text());
            assert_eq!(world.origin.asked_once(&target).header("content-length"), None);
        }
    }
}

#[test]
fn a_chunked_upload_is_streamed_as_it_arrives() {
    let world = shared();
    let [(method, target), _] = targets("streamed");
    let (seen, is_seen) = mpsc::channel();
    world.origin.on(&target, move |call| {
        call.receive_into(&mut Watched(&seen))?;
        call.reply(&Reply::json(200, &json!({})))
    });
    let mut connection = open(&upload(world, method, &target), &world.edge.address);
    let half = vec![5; 50_000];
    write_chunk(&mut connection, &half).expect("the edge listens");
    is_seen.recv_timeout(PATIENCE).expect("the origin has seen nothing of half the upload");
    write_chunk(&mut connection, &half).expect("the edge listens");
    assert_eq!(end(connection).status, 200);
    assert_eq!(world.origin.received(&target), Received::whole(&half.repeat(2)));
}

/// Tells when bytes arrive.
struct Watched<'a>(&'a mpsc::Sender<()>);

impl io::Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The test may have ended already.
        let _ = self.0.send(());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_chunked_upload_of_the_limit_is_accepted() {
    let world = limited();
    for (method, target) in targets("limit") {
        take(&world.origin, &target);
        let body = vec![7; MAX_BYTES];
        let answer = upload(world, method, &target).chunked(&body).send(&world.edge.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(world.origin.asked_once(&target).body, Received::whole(&body));
    }
}

#[test]
fn a_chunked_upload_over_the_limit_is_a_413_and_broken_at_the_homeserver() {
    let world = limited();
    for (method, target) in targets("over") {
        take(&world.origin, &target);
        for address in [&world.edge.address, &world.edge.direct_address] {
            world.origin.forget(&target);
            let mut connection = open(&upload(world, method, &target), address);
            write_chunk(&mut connection, &[7; MAX_BYTES / 2]).expect("the edge listens");
            wait_for("the origin is asked", PATIENCE, || world.origin.asked(&target).pop());
            write_chunk(&mut connection, &[7; MAX_BYTES / 2 + 1]).expect("the edge listens");
            assert_too_large(&answer(connection), MAX_BYTES);
            assert_eq!(world.origin.received(&target), Received::Broken, "{method}");
            world.origin.asked_once(&target);
        }
    }
}

#[test]
fn a_chunked_upload_is_bounded_by_its_users_advertised_limit() {
    const TOLD: usize = 1000;
    let world = limited();
    let [(method, target), _] = targets("told");
    take(&world.origin, &target);
    let request = upload(world, method, &target);
    let token = world.token();
    let config = "/_matrix/client/v1/media/config?for=chunked";
    world.origin.reply(config, Reply::json(200, &json!({ "m.upload.size": TOLD })));
    media_domain("GET", config).bearer(&token).send(&world.edge.address);
    let told = media_domain(method, &target).bearer(&token).chunked([7; TOLD + 1]);
    // What the edge has heard it writes down a moment later.
    let answer = wait_for("the limit counts", PATIENCE, || {
        Some(told.send(&world.edge.address)).filter(|answer| answer.status != 200)
    });
    assert_too_large(&answer, TOLD);
    let answer = request.chunked([7; TOLD + 1]).send(&world.edge.address);
    assert_eq!(answer.status, 200, "it counts for another: {}", answer.text());
}

#[test]
fn a_chunked_upload_that_its_client_aborts_is_broken_at_the_homeserver() {
    let world = shared();
    for (method, target) in targets("left") {
        take(&world.origin, &target);
        let mut connection = open(&upload(world, method, &target), &world.edge.address);
        write_chunk(&mut connection, &[0; 50_000]).expect("the edge listens");
        wait_for("the origin is asked", PATIENCE, || world.origin.asked(&target).pop());
        connection.reset();
        assert_eq!(world.origin.received(&target), Received::Broken, "{method}");
    }
}

/// The client still listens, and has not ended what it began.
#[test]
fn a_chunked_upload_without_an_end_is_broken_at_the_homeserver() {
    let world = shared();
    for (method, target) in targets("endless") {
        take(&world.origin, &target);
        let mut connection = open(&upload(world, method, &target), &world.edge.direct_address);
        write_chunk(&mut connection, &[0; 50_000]).expect("the edge listens");
        wait_for("the origin is asked", PATIENCE, || world.origin.asked(&target).pop());
        connection.finish().expect("a connection");
        if let Ok(answer) = connection.answer().and_then(Incoming::read) {
            assert!(answer.status >= 400, "{}", answer.text());
        }
        assert_eq!(world.origin.received(&target), Received::Broken, "{method}");
    }
}

#[test]
fn an_early_refusal_reaches_a_client_that_still_sends_chunks() {
    let world = shared();
    for (status, errcode) in [(401, "M_UNKNOWN_TOKEN"), (413, "M_TOO_LARGE")] {
        let [(method, target), _] = targets(&format!("early{status}"));
        let error = json!({ "errcode": errcode, "error": "No" });
        let refusal = Reply::json(status, &error).header("Cache-Control", "no-store");
        world.origin.on(&target, move |call| {
            call.send(refusal.to_bytes("POST"))?;
            call.receive()?;
            Ok(Then::Close)
        });
        let mut connection = open(&upload(world, method, &target), &world.edge.address);
        write_chunk(&mut connection, &[0; 50_000]).expect("the edge listens");
        let answer = answer(connection);
        assert_matrix_error(&answer, status, errcode);
        assert_eq!(answer.text(), error.to_string());
    }
}

#[test]
fn an_origin_that_dies_during_a_chunked_upload_is_a_502() {
    let world = shared();
    let [(method, target), _] = targets("died");
    world.origin.on(&target, |_| Ok(Then::Reset));
    let mut connection = open(&upload(world, method, &target), &world.edge.address);
    write_chunk(&mut connection, &[0; 50_000]).expect("the edge listens");
    assert_matrix_error(&answer(connection), 502, "M_UNKNOWN");
    world.origin.asked_once(&target);
}

/// As nginx does where `client_max_body_size` is too low.
#[test]
fn a_proxys_413_becomes_a_matrix_error() {
    let world = shared();
    let page = Reply::new(413).header("Content-Type", "text/html").body("<h1>413</h1>");
    for (method, target) in targets("page") {
        world.origin.reply(&target, page.clone());
        let request = upload(world, method, &target);
        for request in [request.clone().body(BODY), request.chunked(BODY)] {
            assert_matrix_error(&request.send(&world.edge.address), 413, "M_TOO_LARGE");
        }
    }
}

#[test]
fn a_chunked_upload_is_stored_for_its_first_reader() {
    let world = shared();
    let [(method, target), _] = targets("warmed");
    let id = world.media();
    take_as(&world.origin, &target, &id);
    let answer = upload(world, method, &target).chunked(BODY).send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_for_entry(&world.edge, MEDIA_HOST, &content_key(&id));
    world.origin.asked_once(&download_path(&id));
}

#[test]
fn a_large_chunked_upload_arrives_whole_in_flat_memory() {
    const BLOCK: &[u8] = &[9; 64 << 10];
    const BLOCKS: usize = 200 << 4;
    const ALLOWED_GROWTH_BYTES: u64 = 32 << 20;
    let world = World::start_with(&[("MAX_UPLOAD_BYTES", "500000000")]);
    let [(method, target), _] = targets("large");
    take(&world.origin, &target);
    let send = |blocks: usize| {
        let mut connection = open(&upload(&world, method, &target), &world.edge.address);
        for _ in 0..blocks {
            write_chunk(&mut connection, BLOCK).expect("the edge listens");
        }
        assert_eq!(end(connection).status, 200);
    };
    // The first requests make workerd grow, whatever they are.
    (0..20).for_each(|_| send(20));
    let growth = growth_bytes_during(&world.edge, || send(BLOCKS));
    println!("workerd grew by {} KiB", growth >> 10);
    assert!(growth < ALLOWED_GROWTH_BYTES, "workerd grew by {growth} bytes");
    let received = world.origin.received(&target);
    let Received::Whole { length, .. } = received else { panic!("{received:?}") };
    assert_eq!(length, (BLOCK.len() * BLOCKS) as u64);
}
