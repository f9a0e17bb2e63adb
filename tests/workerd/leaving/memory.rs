//! An isolate holds no more after clients who left, wherever they did, than after those who stayed.
//!
//! Wasm's memory never shrinks, and V8 compiles what runs often once more: so there is always a first
//! round, after which it is looked at.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use test_support::edge::{BucketKind, Edge, Layout};
use test_support::http::{Connection, Request};
use test_support::time::wait_for;

use super::video;
use crate::download::federation::signed;
use crate::security::panics::{LYING_WORKER, panic_at};
use crate::support::origin::{Call, Media, Origin, Reply, Then};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, federation_path, media_domain, same_host,
    with_required,
};

/// How many leave at a time, and how often.
const BATCH: usize = 100;
const ROUNDS: usize = 10;

/// By how much an isolate may have grown after a thousand, in bytes. Those whose request stays take nine
/// times a million; and on a busy machine more are under way at once in one round than in another.
const ALLOWED_BYTES: u64 = 3 << 20;

/// How long the origin takes where it answers.
const LATE: Duration = Duration::from_millis(50);

/// A world whose isolate is looked into, and what has come to its origin at the path in question.
struct Scene {
    world: World,
    arrived: Arc<AtomicUsize>,
}

impl Scene {
    fn start(bucket: BucketKind) -> Self {
        let layout = Layout { is_inspected: true, bucket, ..Layout::default() };
        Self { world: World::start_as(layout, &[]), arrived: Arc::default() }
    }

    /// One whose Worker can be brought to panic.
    fn start_lying() -> Self {
        let layout = Layout { is_inspected: true, ..Layout::default() };
        let folder = LYING_WORKER.to_str().expect("a path in UTF-8");
        let origin = Origin::start();
        let edge =
            with_required(&origin.url(), &[], |vars| Edge::start_worker_as(folder, layout, vars));
        Self { world: World { origin, edge }, arrived: Arc::default() }
    }

    /// Has the origin do this at a path from now on, and counts who comes.
    fn on(
        &self,
        path: &str,
        handler: impl Fn(&mut Call<'_>) -> io::Result<Then> + Send + Sync + 'static,
    ) {
        let arrived = Arc::clone(&self.arrived);
        self.world.origin.on(path, move |call| {
            arrived.fetch_add(1, Ordering::SeqCst);
            handler(call)
        });
    }

    fn open(&self, request: &Request) -> Connection {
        request.open(&self.world.edge.direct_address).expect("it can be sent")
    }

    /// Has a batch wait for the origin, and leave.
    fn leave_waiting(&self, request: &Request) {
        let before = self.arrived.load(Ordering::SeqCst);
        let waiting: Vec<_> = (0..BATCH).map(|_| self.open(request)).collect();
        wait_for("all are asked about", PATIENCE, || {
            (self.arrived.load(Ordering::SeqCst) >= before + BATCH).then_some(())
        });
        waiting.into_iter().for_each(Connection::reset);
    }

    /// Has a batch wait for something else than the origin, and leave.
    fn leave_soon(&self, request: impl Fn(usize) -> Request) {
        let waiting: Vec<_> = (0..BATCH).map(|number| self.open(&request(number))).collect();
        thread::sleep(Duration::from_millis(200));
        waiting.into_iter().for_each(Connection::reset);
    }

    /// Has a batch read the beginning of a body, and leave.
    fn leave_reading(&self, request: &Request) {
        let opened: Vec<_> = (0..BATCH).map(|_| self.open(request)).collect();
        for connection in opened {
            let mut answer = connection.answer().expect("an answer");
            assert!(matches!(answer.head.status, 200 | 206), "{}", answer.head.status);
            answer.body.read_exact(&mut [0; 100]).expect("its beginning");
            answer.reset();
        }
    }

    /// By how much the isolate holds more after ten rounds than after the first two.
    #[track_caller]
    fn assert_flat(&self, what: &str, round: impl Fn()) {
        self.assert_flat_after(2, ROUNDS, what, round);
    }

    #[track_caller]
    fn assert_flat_after(&self, first: usize, rounds: usize, what: &str, round: impl Fn()) {
        (0..first).for_each(|_| round());
        let before = self.held();
        (0..rounds).for_each(|_| round());
        let growth = self.held().saturating_sub(before);
        println!("{what}: {} KiB more", growth >> 10);
        assert!(growth < ALLOWED_BYTES, "{what}: {growth} bytes more");
    }

    fn held(&self) -> u64 {
        // Those who left last may not have been noticed yet.
        thread::sleep(Duration::from_millis(500));
        self.world.edge.held().total()
    }
}

fn never(call: &mut Call<'_>) -> io::Result<Then> {
    call.wait_for_end()
}

/// Sends the first half of a body, and then nothing more.
fn half(call: &mut Call<'_>, reply: &Reply) -> io::Result<Then> {
    call.receive()?;
    let bytes = reply.bytes();
    call.send(reply.head_bytes(bytes.len()))?;
    call.send(&bytes[..bytes.len() / 2])?;
    call.wait_for_end()
}

/// Has the origin of a hit answer late, and a batch wait for it.
fn staying(scene: &Scene) -> impl Fn() {
    let (id, token) = (scene.world.stored_media(), scene.world.token());
    scene.on(&download_path(&id), |call| {
        thread::sleep(LATE);
        call.reply_by_default()
    });
    let request = download(&id, &token);
    move || {
        let opened: Vec<_> = (0..BATCH).map(|_| scene.open(&request)).collect();
        for connection in opened {
            let answer = connection.answer().and_then(|answer| answer.read()).expect("an answer");
            assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        }
        scene.world.origin.forget(&download_path(&id));
    }
}

#[test]
fn clients_who_stay_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let stay = staying(&scene);
    scene.assert_flat("those who stay", stay);
}

#[test]
#[ignore = "it takes minutes"]
fn twenty_thousand_who_leave_take_no_more_memory_than_twenty_thousand_who_stay() {
    const ALLOWED_DIFFERENCE_BYTES: u64 = 5_000_000;
    let (left, stayed) = (Scene::start_lying(), Scene::start(BucketKind::None));
    let (id, token) = (left.world.stored_media(), left.world.token());
    let path = download_path(&id);
    left.on(&path, never);
    let request = download(&id, &token);
    let stay = staying(&stayed);
    for _ in 0..20_000 / BATCH {
        left.leave_waiting(&request);
        left.world.origin.forget(&path);
        stay();
    }
    let (left_bytes, stayed_bytes) = (left.held(), stayed.held());
    println!("those who left: {left_bytes} bytes, those who stayed: {stayed_bytes} bytes");
    assert!(left_bytes < stayed_bytes + ALLOWED_DIFFERENCE_BYTES);
    for _ in 0..3 {
        assert_eq!(panic_at(&left.world.origin, &left.world.edge).status, 500);
        assert_eq!(download("none", &token).send(&left.world.edge.direct_address).status, 404);
    }
    let log = left.world.edge.log();
    assert!(!log.contains("RuntimeError"), "the instance that panicked was not replaced");
}

#[test]
fn clients_who_leave_while_the_homeserver_is_asked_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let token = scene.world.token();
    let large = scene.world.origin.homeserver().add(Media::new("video/mp4", vec![5; 1 << 20]));
    scene.world.store(&large);
    for (what, id) in [("a small hit", scene.world.stored_media()), ("a large hit", large)] {
        scene.on(&download_path(&id), never);
        let request = download(&id, &token);
        scene.assert_flat(what, || scene.leave_waiting(&request));
    }
}

#[test]
fn clients_who_leave_before_a_late_answer_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let (id, token) = (scene.world.stored_media(), scene.world.token());
    scene.on(&download_path(&id), |call| {
        thread::sleep(Duration::from_secs(1));
        call.reply_by_default()
    });
    let request = download(&id, &token);
    scene.assert_flat("a late answer", || scene.leave_waiting(&request));
}

#[test]
fn clients_who_leave_while_another_fills_the_cache_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let (id, token) = (scene.world.media(), scene.world.token());
    scene.on(&download_path(&id), never);
    let first = scene.open(&download(&id, &token));
    wait_for("the first is asked about", PATIENCE, || {
        (scene.arrived.load(Ordering::SeqCst) > 0).then_some(())
    });
    // On a busy machine rounds overlap, and wasm's memory keeps the size of the largest crowd.
    scene.assert_flat_after(ROUNDS, ROUNDS, "another's fill", || {
        scene.leave_soon(|_| download(&id, &token));
    });
    first.reset();
}

#[test]
fn clients_who_leave_while_the_bucket_is_asked_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::Faulty);
    let token = scene.world.token();
    scene.world.edge.stores.set_faults(&[("get", "hangs")]);
    let id = |number| format!("hung{number}");
    // A fill that has begun goes on for a while: at first there are more of them from round to round.
    scene.assert_flat_after(ROUNDS, ROUNDS, "the bucket", || {
        scene.leave_soon(|number| download(&id(number), &token));
    });
}

/// Each asks for media of their own, so that nobody waits for another's fill, and most are not among the
/// hundred whose fills go on.
#[test]
fn clients_who_leave_while_the_bucket_is_asked_for_media_of_their_own_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::Faulty);
    let token = scene.world.token();
    scene.world.edge.stores.set_faults(&[("get", "hangs")]);
    let next = AtomicUsize::new(0);
    scene.assert_flat_after(ROUNDS, 8 * ROUNDS, "the bucket, for each another media", || {
        scene.leave_soon(|_| {
            download(&format!("hung{}", next.fetch_add(1, Ordering::SeqCst)), &token)
        });
    });
}

#[test]
fn clients_who_leave_a_passthrough_request_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let path = "/_matrix/client/v3/sync";
    scene.on(path, never);
    let request = same_host("GET", path);
    scene.assert_flat("what passes through", || scene.leave_waiting(&request));
}

#[test]
fn clients_who_leave_an_upload_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let path = "/_matrix/media/v3/upload";
    scene.on(path, |call| call.receive().map(|()| Then::Close));
    let upload = media_domain("POST", path).bearer(&scene.world.token());
    let bytes = [7; 1_000];
    let chunk = [b"3e8\r\n", &bytes[..], b"\r\n"].concat();
    for (what, framing, sent) in [
        ("an upload", ("Content-Length", "1000000"), &bytes[..]),
        ("an upload in chunks", ("Transfer-Encoding", "chunked"), &chunk),
    ] {
        let upload = upload.clone().header(framing.0, framing.1);
        scene.assert_flat(what, || {
            let before = scene.arrived.load(Ordering::SeqCst);
            let sending: Vec<_> = (0..BATCH)
                .map(|_| {
                    let mut connection = scene.open(&upload);
                    connection.write(sent).expect("it is taken");
                    connection
                })
                .collect();
            wait_for("all are under way", PATIENCE, || {
                (scene.arrived.load(Ordering::SeqCst) >= before + BATCH).then_some(())
            });
            sending.into_iter().for_each(Connection::reset);
        });
    }
}

#[test]
fn clients_who_leave_in_the_middle_of_a_body_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let (world, token) = (&scene.world, scene.world.token());
    let stored = world.origin.homeserver().add(Media::new("video/mp4", vec![5; 8 << 20]));
    world.store(&stored);
    let hit = download(&stored, &token);
    scene.assert_flat("a hit", || scene.leave_reading(&hit));
    let part = hit.header("Range", "bytes=10-8000000");
    scene.assert_flat("a part of a hit", || scene.leave_reading(&part));
}

#[test]
fn servers_who_leave_in_the_middle_of_an_envelope_leave_nothing_behind() {
    let scene = Scene::start(BucketKind::None);
    let world = &scene.world;
    let id = world.origin.homeserver().add(Media::new("video/mp4", vec![5; 8 << 20]));
    let request = signed("GET", &federation_path(&id));
    world.store_by(&federation_path(&id), || request.send(&world.edge.direct_address));
    scene.assert_flat("federation", || scene.leave_reading(&request));
}

/// The cache fill goes on for a while, which is what it takes until it is given up.
#[test]
fn clients_who_leave_a_miss_leave_nothing_behind_for_long() {
    let scene = Scene::start(BucketKind::None);
    let token = scene.world.token();
    let body = 2 << 20;
    for (what, range) in [("a miss", None), ("a part of a miss", Some("bytes=10-1000000"))] {
        let number = AtomicUsize::new(0);
        scene.assert_flat_after(1, 1, what, || {
            let opened: Vec<_> = (0..BATCH)
                .map(|_| {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    let id = format!("{}{number}", what.replace(' ', ""));
                    scene
                        .world
                        .origin
                        .on(&download_path(&id), move |call| half(call, &video(vec![5; body])));
                    let request = download(&id, &token);
                    match range {
                        Some(range) => request.header("Range", range),
                        None => request,
                    }
                })
                .map(|request| scene.open(&request))
                .collect();
            for connection in opened {
                let mut answer = connection.answer().expect("an answer");
                answer.body.read_exact(&mut [0; 100]).expect("its beginning");
                answer.reset();
            }
            wait_for("the origin is let go", Duration::from_secs(60), || {
                (scene.world.origin.open_connections() == 0).then_some(())
            });
        });
    }
}
