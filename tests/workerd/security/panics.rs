//! A panic costs the request that it happens in, and no other.
//!
//! Nothing that a request can bring makes the Worker panic, as far as anyone knows. So these run one
//! whose runtime lies to it: of bytes that begin with [`MARK`] it tells a length for which there is
//! no memory, and what is about to copy them panics.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, mpsc};
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::assertions::assert_matrix_error;
use test_support::edge::Edge;
use test_support::http::Answer;
use test_support::noise::noise;
use test_support::time::wait_for;

use crate::support::origin::{Media, Origin, Reply, Then};
use crate::support::patched;
use crate::support::world::{
    BODY, PATIENCE, download, download_path, is_hit, media_domain, same_host, with_required,
};

const MARK: &str = "PANIC";
const WELL_KNOWN: &str = "/.well-known/matrix/client";

/// The Worker with that runtime.
pub(crate) static LYING_WORKER: LazyLock<PathBuf> = LazyLock::new(|| {
    let mark = MARK.bytes().enumerate().map(|(i, byte)| format!("e[{i}]==={byte}"));
    let is_marked = mark.collect::<Vec<_>>().join("&&");
    let length = format!("function(e){{return {is_marked}?4294967295:e.length}}");
    patched::worker("lying-worker", "__wbg_length_", &length, "")
});

struct World {
    origin: Origin,
    edge: Edge,
}

fn start() -> World {
    let origin = Origin::start();
    let folder = LYING_WORKER.to_str().expect("a path in UTF-8");
    let vars = [("LEASE_SECONDS", "600")];
    let edge = with_required(&origin.url(), &vars, |vars| Edge::start_worker(folder, vars));
    World { origin, edge }
}

/// Has the Worker panic while it answers a request.
pub(crate) fn panic_at(origin: &Origin, edge: &Edge) -> Answer {
    origin.reply(WELL_KNOWN, Reply::new(200).body(format!("{MARK}, and syt_secret")));
    same_host("GET", WELL_KNOWN).send(&edge.direct_address)
}

impl World {
    fn token(&self) -> String {
        self.origin.homeserver().log_in()
    }

    fn media(&self) -> String {
        self.origin.homeserver().add(Media::new("image/png", BODY))
    }

    fn panic(&self) -> Answer {
        panic_at(&self.origin, &self.edge)
    }

    #[track_caller]
    fn assert_well(&self) {
        let (id, token) = (self.media(), self.token());
        let answer = download(&id, &token).send(&self.edge.direct_address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
        wait_for("it is stored", PATIENCE, || {
            is_hit(&download(&id, &token).send(&self.edge.direct_address)).then_some(())
        });
        // A panic ends what is under way for this request too, which is logged for itself.
        self.edge.cache.wait_until_settled();
    }
}

#[test]
fn a_panic_is_a_clear_error_for_its_request() {
    let world = start();
    assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
    world.edge.wait_for_log("internal error: panicked at ");
    world.edge.wait_for_log(r#""reason":"internal""#);
    world.assert_well();
}

#[test]
fn other_requests_go_on_after_a_panic() {
    let world = &start();
    let (late, slow, token) = (world.media(), world.media(), world.token());
    for id in [&late, &slow] {
        world.origin.on(&download_path(id), |call| {
            sleep(Duration::from_millis(500));
            call.reply_by_default()
        });
    }
    thread::scope(|scope| {
        let whole = scope.spawn(|| download(&late, &token).send(&world.edge.direct_address));
        let part = download(&slow, &token).header("Range", "bytes=8-15");
        let part = scope.spawn(move || part.send(&world.edge.direct_address));
        for id in [&late, &slow] {
            wait_for("they are under way", PATIENCE, || {
                world.origin.asked(&download_path(id)).pop()
            });
        }
        assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
        let whole = whole.join().expect("an answer");
        assert_eq!((whole.status, &whole.body[..]), (200, BODY));
        let part = part.join().expect("an answer");
        assert_eq!((part.status, &part.body[..]), (206, &BODY[8..16]));
    });
    world.assert_well();
}

/// The instance that panicked is replaced when nothing is under way in it.
#[test]
fn one_panic_after_the_other_is_one_error_each() {
    let world = start();
    for _ in 0..5 {
        assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
        world.assert_well();
    }
    let log = world.edge.log();
    assert_eq!(log.matches("panicked at").count(), 5, "{log}");
    assert!(!log.contains("RuntimeError"), "{log}");
}

/// What was under way for them is not: the platform has ended it, and it never would go on.
#[test]
fn a_panicked_instance_is_replaced_though_its_clients_have_left() {
    let world = start();
    let (id, token) = (world.media(), world.token());
    let path = download_path(&id);
    world.assert_well();
    let upload = media_domain("POST", "/_matrix/media/v3/upload").bearer(&token);
    let upload = upload.header("Content-Length", "1000");
    world.origin.on("/_matrix/media/v3/upload", |call| call.wait_for_end());
    world.origin.on(&path, |call| call.wait_for_end());
    for request in [download(&id, &token), download(&id, &token), upload] {
        let asked = world.origin.records().len();
        let connection = request.open(&world.edge.direct_address).expect("it can be sent");
        let is_first = world.origin.asked(&path).is_empty();
        if is_first || request.head().starts_with(b"POST") {
            wait_for("it is under way", PATIENCE, || {
                (world.origin.records().len() > asked).then_some(())
            });
        }
        sleep(Duration::from_millis(100));
        connection.reset();
    }
    // The fill that the first began goes on for a while.
    wait_for("all of it has ended", Duration::from_secs(40), || {
        (world.origin.open_connections() == 0).then_some(())
    });
    for _ in 0..3 {
        assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
        world.assert_well();
    }
    let log = world.edge.log();
    assert_eq!(log.matches("panicked at").count(), 3, "{log}");
    assert!(!log.contains("RuntimeError"), "{log}");
}

/// A second panic in an instance is a trap, which ends it with all that is under way in it.
#[test]
fn requests_under_way_at_a_trap_get_a_clear_error_and_the_next_work() {
    let world = &start();
    let (id, token) = (world.media(), world.token());
    world.origin.on(&download_path(&id), |call| call.wait_for_end());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| download(&id, &token).send(&world.edge.direct_address));
        wait_for("it is under way", PATIENCE, || world.origin.asked(&download_path(&id)).pop());
        for _ in 0..2 {
            assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
        }
        assert_matrix_error(&waiting.join().expect("an answer"), 500, "M_UNKNOWN");
    });
    for _ in 0..2 {
        world.assert_well();
        assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
    }
    world.assert_well();
}

/// The runtime moves them by itself. What wasm cuts is cut no further.
#[test]
fn whole_bodies_go_on_after_a_trap_and_ranges_stop() {
    let world = &start();
    let (token, body) = (world.token(), noise(1 << 20));
    let open = |range: Option<&str>| {
        let id = world.origin.homeserver().add(Media::new("video/mp4", &body));
        let (go, may_go) = mpsc::channel::<()>();
        let may_go = Mutex::new(may_go);
        world.origin.on(&download_path(&id), move |call| {
            let reply = call.default_reply()?;
            let (first, rest) = reply.bytes().split_at(1 << 19);
            call.send(reply.head_bytes(1 << 20))?;
            call.send(first)?;
            let _ = may_go.lock().expect("unshared").recv_timeout(PATIENCE);
            call.send(rest)?;
            Ok(Then::KeepOpen)
        });
        let request = download(&id, &token);
        let request = match range {
            Some(range) => request.header("Range", range),
            None => request,
        };
        let mut incoming = request
            .open(&world.edge.direct_address)
            .and_then(|connection| connection.answer())
            .expect("an answer");
        incoming.body.read_exact(&mut [0; 1_000]).expect("its beginning");
        (incoming, go)
    };
    let (whole, go_on) = open(None);
    let (part, go_on_too) = open(Some("bytes=1-"));
    for _ in 0..2 {
        assert_matrix_error(&world.panic(), 500, "M_UNKNOWN");
    }
    world.assert_well();
    for go in [go_on, go_on_too] {
        go.send(()).expect("the origin waits");
    }
    assert!(whole.read().expect("the rest").body == body[1_000..]);
    part.set_patience(PATIENCE).expect("a connection");
    assert!(part.read().is_err(), "it was cut by nobody");
}

#[test]
fn a_panic_in_background_work_does_not_reach_the_client() {
    let world = start();
    let target = "/_matrix/media/v3/upload?filename=panic";
    world.origin.reply(target, Reply::new(200).body(format!("{MARK}, and syt_secret")));
    let upload = media_domain("POST", target).bearer(&world.token()).body(BODY);
    assert_eq!(upload.send(&world.edge.direct_address).status, 200);
    world.edge.wait_for_log("internal error: panicked at ");
    world.assert_well();
}
