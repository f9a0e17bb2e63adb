//! Origins that redirect to their bytes (307, 308): the edge follows without anything that is
//! meant for the homeserver alone, and stores the bytes, never the redirect. The stand-in is on
//! loopback; only there may a target be plain http.

use test_support::assertions::assert_matrix_error;
use test_support::http::Answer;

use crate::support::origin::{Media, Origin, Record, Reply};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, legacy_download, legacy_path, shared,
};

/// A store of blobs beside the homeserver, which knows nothing of Matrix.
struct Store {
    origin: Origin,
}

impl Store {
    fn start() -> Self {
        Self { origin: Origin::start() }
    }

    fn serve(&self, path: &str) -> String {
        let reply = Reply::new(200).header("Content-Type", "image/png").header("ETag", "\"blob\"");
        self.origin.reply(path, reply.body(BODY));
        format!("{}{path}?signature=a%2Fb", self.origin.url())
    }
}

/// Has the homeserver redirect whoever it knows.
fn redirect(world: &World, path: &str, status: u16, to: &str) {
    let to = to.to_owned();
    world.origin.on(path, move |call| match call.head.headers.get("authorization") {
        Some("Bearer syt_nobody") => {
            call.reply(&Reply::error(401, "M_UNKNOWN_TOKEN", "Invalid access token"))
        }
        _ => call.reply(&Reply::new(status).header("Location", &to)),
    });
}

#[track_caller]
fn assert_served(answer: &Answer) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    assert_eq!(answer.header("location"), None);
}

/// Asks until what is stored is served on the homeserver's redirect alone.
fn store_from(world: &World, store: &Store, id: &str, path: &str) {
    let token = world.token();
    test_support::time::wait_for("the edge stores the blob", PATIENCE, || {
        store.origin.forget(path);
        assert_served(&download(id, &token).send(&world.edge.address));
        store.origin.asked(path).is_empty().then_some(())
    });
    world.origin.forget(&download_path(id));
}

#[test]
fn a_redirects_target_gets_no_credential_secret_or_client_header() {
    let store = Store::start();
    let vars = [("ORIGIN_HEADERS", r#"{"X-Tunnel-Secret":"s3cret"}"#)];
    let world = World::start_with(&vars);
    redirect(&world, &download_path("blob"), 307, &store.serve("/blob"));
    let request = download("blob", &world.token())
        .header("Cookie", "a=b")
        .header("Referer", "https://app.example.com/room")
        .header("X-Anything", "x");
    assert_served(&request.send(&world.edge.address));
    let homeserver = world.origin.asked_once(&download_path("blob"));
    assert_eq!(homeserver.header("x-tunnel-secret"), Some("s3cret"));

    let target = store.origin.asked_once("/blob");
    assert_eq!(target.head.target, "/blob?signature=a%2Fb");
    assert_eq!(target.head.method, "GET");
    for name in [
        "authorization",
        "cookie",
        "x-tunnel-secret",
        "x-forwarded-proto",
        "forwarded",
        "referer",
        "cf-connecting-ip",
        "x-anything",
    ] {
        assert_eq!(target.header(name), None, "{name}: {:?}", target.head.headers);
    }
    // Cloudflare's proxy tells its own address.
    let forwarded_for = target.header("x-forwarded-for").unwrap_or_default();
    assert!(!forwarded_for.contains("127.0.0.1"), "{forwarded_for}");
    let told = format!("{:?}", target.head);
    assert!(!told.contains("syt_") && !told.contains("s3cret"), "{told}");
}

#[test]
fn a_redirect_to_the_stored_place_grants_the_stored_bytes() {
    let (world, store) = (shared(), Store::start());
    for status in [307, 308] {
        let (id, path) = (format!("stored{status}"), format!("/stored{status}"));
        redirect(world, &download_path(&id), status, &store.serve(&path));
        store_from(world, &store, &id, &path);
        store.origin.forget(&path);
        let request = download(&id, &world.token());
        let (answer, asked) = world.assert_asked(&download_path(&id), &request);
        assert_served(&answer);
        assert!(asked.header("authorization").is_some());
        assert!(store.origin.asked(&path).is_empty(), "the bytes were here");
        let part = download(&id, &world.token()).header("Range", "bytes=8-15");
        assert_eq!(part.send(&world.edge.address).body, &BODY[8..16]);

        let refused = download(&id, "syt_nobody").send(&world.edge.address);
        assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
        world.origin.reply(&download_path(&id), Reply::error(404, "M_NOT_FOUND", "Not found"));
        assert_eq!(download(&id, &world.token()).send(&world.edge.address).status, 404);
    }
}

#[test]
fn a_redirect_grants_no_lease() {
    let (world, store) = (crate::support::world::leased(), Store::start());
    let id = "redirectedLeased";
    redirect(world, &download_path(id), 307, &store.serve("/blob"));
    let token = world.token();
    test_support::time::wait_for("the edge stores the blob", PATIENCE, || {
        store.origin.forget("/blob");
        assert_served(&download(id, &token).send(&world.edge.address));
        store.origin.asked("/blob").is_empty().then_some(())
    });
    for _ in 0..2 {
        let (answer, _) = world.assert_asked(&download_path(id), &download(id, &token));
        assert_served(&answer);
    }
}

#[test]
fn five_hops_are_followed_and_no_sixth() {
    let (world, store) = (shared(), Store::start());
    let to = |path: &str| format!("{}{path}", store.origin.url());
    store.serve("/hop5");
    for hop in 1..5 {
        let next = to(&format!("/hop{}", hop + 1));
        store.origin.reply(&format!("/hop{hop}"), Reply::new(307).header("Location", next));
    }
    redirect(world, &download_path("fiveHops"), 307, &to("/hop1"));
    assert_served(&download("fiveHops", &world.token()).send(&world.edge.address));

    store.origin.reply("/hop0", Reply::new(307).header("Location", to("/hop1")));
    redirect(world, &download_path("sixHops"), 307, &to("/hop0"));
    let answer = download("sixHops", &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}

#[test]
fn a_redirect_loop_ends() {
    let (world, store) = (shared(), Store::start());
    let to = format!("{}/round", store.origin.url());
    store.origin.reply("/round", Reply::new(307).header("Location", &to));
    redirect(world, &download_path("round"), 307, &to);
    let answer = download("round", &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    assert_eq!(store.origin.asked("/round").len(), 5);

    let own = format!("{}/itself", world.origin.url());
    redirect(world, "/itself", 307, &own);
    redirect(world, &download_path("itself"), 307, &own);
    let answer = download("itself", &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    let asked = world.origin.asked("/itself");
    assert_eq!(asked.len(), 5);
    assert!(asked.iter().all(|a| a.header("authorization").is_none()));
}

/// Whoever sends a question back to where it was asked has judged nothing.
#[test]
fn a_redirect_back_to_the_same_path_is_not_followed() {
    let world = shared();
    let path = download_path("back");
    for query in ["", "?a=b"] {
        world.origin.forget(&path);
        redirect(world, &path, 307, &format!("{}{path}{query}", world.origin.url()));
        let answer = download("back", &world.token()).send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        assert!(world.origin.asked_once(&path).header("authorization").is_some());
    }
}

/// What the homeserver redirects to isn't the homeserver, and its word means nothing.
#[test]
fn a_target_that_has_no_bytes_is_a_502() {
    let (world, store) = (shared(), Store::start());
    for (status, reply) in [
        (401, Reply::error(401, "M_UNKNOWN_TOKEN", "Not you")),
        (403, Reply::new(403).body("<Error/>")),
        (404, Reply::error(404, "M_NOT_FOUND", "Not found")),
        (206, Reply::new(206).body("part")),
        (304, Reply::new(304)),
        (500, Reply::new(500).body("oh")),
        (503, Reply::error(503, "M_UNKNOWN", "Later")),
    ] {
        let (id, path) = (format!("nothing{status}"), format!("/nothing{status}"));
        store.origin.reply(&path, reply);
        redirect(world, &download_path(&id), 307, &format!("{}{path}", store.origin.url()));
        for _ in 0..2 {
            let answer = download(&id, &world.token()).send(&world.edge.address);
            assert_matrix_error(&answer, 502, "M_UNKNOWN");
        }
    }
}

#[test]
fn an_unreachable_or_malformed_target_is_a_502() {
    let world = shared();
    for (i, to) in [
        "http://127.0.0.1:9/nobody-listens",
        "http://example.org/plain-http-abroad",
        "ftp://127.0.0.1/a",
        "javascript:alert(1)",
        "https://user:password@example.org/a",
        "//",
        "https:relative",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("nowhere{i}");
        redirect(world, &download_path(&id), 307, to);
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        assert_eq!(answer.header("location"), None, "{to}");
    }
    world.origin.reply(&download_path("noLocation"), Reply::new(307));
    let answer = download("noLocation", &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}

#[test]
fn a_location_may_be_relative_to_its_host() {
    let world = shared();
    let reply = Reply::new(200).header("Content-Type", "image/png").body(BODY);
    world.origin.reply("/blobs/relative", reply);
    redirect(world, &download_path("relative"), 307, "/blobs/relative?x=y");
    assert_served(&download("relative", &world.token()).send(&world.edge.address));
    let asked: Record = world.origin.asked_once("/blobs/relative");
    assert_eq!(
        (asked.head.target.as_str(), asked.header("authorization")),
        ("/blobs/relative?x=y", None)
    );
}

#[test]
fn the_legacy_door_follows_redirects_with_its_own_permissions() {
    let (world, store) = (shared(), Store::start());
    let id = "redirectedLegacy";
    redirect(world, &legacy_path(id), 307, &store.serve("/blob"));
    assert_served(&legacy_download(id).send(&world.edge.address));
    let shut = download(id, &world.token()).send(&world.edge.address);
    assert_matrix_error(&shut, 404, "M_NOT_FOUND");
}

/// A homeserver that once sent the bytes may begin to redirect, and the other way round.
#[test]
fn an_origin_may_begin_or_stop_redirecting() {
    let (world, store) = (shared(), Store::start());
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    redirect(world, &path, 307, &store.serve("/blob"));
    for _ in 0..3 {
        assert_served(&download(&id, &token).send(&world.edge.address));
    }
    world.origin.on(&path, |call| call.reply_by_default());
    for _ in 0..3 {
        assert_served(&download(&id, &token).send(&world.edge.address));
    }
}

#[test]
fn redirects_that_are_passed_on_are_not_followed_or_stored() {
    let store = Store::start();
    let world = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let to = store.serve("/blob");
    redirect(&world, &download_path("passed"), 307, &to);
    for _ in 0..2 {
        let answer = download("passed", &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, answer.header("location")), (307, Some(to.as_str())));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    let refused = download("passed", "syt_nobody").send(&world.edge.address);
    assert_matrix_error(&refused, 401, "M_UNKNOWN_TOKEN");
    assert!(store.origin.records().is_empty());

    // What was stored before is not given out on a redirect that the client is to follow.
    let id = world.origin.homeserver().add(Media::new("image/png", BODY));
    world.store(&id);
    redirect(&world, &download_path(&id), 307, &to);
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, answer.body.len()), (307, 0));
}
