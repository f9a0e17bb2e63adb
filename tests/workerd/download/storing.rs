//! What is stored and what is not. Whatever the origin changes, refuses or breaks, a stored body
//! is only ever one that came whole, and the one that the origin means.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use test_support::assertions::assert_cache_status;
use test_support::profile::Profile;
use test_support::wire::from_latin1;

use crate::support::origin::{MEDIA_HEADERS, Media, Reply, Then};
use crate::support::world::{BODY, PATIENCE, World, download, download_path, media_domain, shared};

/// A download as Synapse answers it.
fn media_reply() -> Reply {
    let reply = Reply::new(200).header("Content-Type", "image/png").body(BODY);
    let reply = reply.header("Content-Disposition", "inline");
    MEDIA_HEADERS.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

/// Claims that the edge asks for this media as if for the first time.
#[track_caller]
fn assert_not_stored(world: &World, id: &str) {
    let path = download_path(id);
    // A store takes a moment: long enough for one that must not happen.
    std::thread::sleep(Duration::from_millis(100));
    world.origin.forget(&path);
    let _ = download(id, &world.token()).try_send(&world.edge.address);
    assert_eq!(world.origin.asked_once(&path).header("if-none-match"), None, "it was stored");
}

#[test]
fn answers_that_may_not_be_stored_are_passed_on_and_not_stored() {
    let world = shared();
    let replies = [
        ("no-store", media_reply().without("Cache-Control").header("Cache-Control", "no-store")),
        ("set-cookie", media_reply().header("Set-Cookie", "a=b")),
        ("vary", media_reply().header("Vary", "User-Agent")),
        ("vary", media_reply().header("Vary", "*")),
        ("no-length", media_reply().chunked()),
    ];
    for (i, (reason, reply)) in replies.into_iter().enumerate() {
        let id = format!("unstorable{i}");
        world.origin.reply(&download_path(&id), reply);
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{reason}");
        assert_cache_status(&answer, &format!("fwd=uri-miss; fwd-status=200; detail={reason}"));
        assert_eq!(answer.header("set-cookie"), None, "a cookie for one user's media");
        assert_not_stored(world, &id);
    }
}

#[test]
fn vary_on_fields_that_the_edge_sets_does_not_prevent_storing() {
    let world = shared();
    for (i, vary) in ["Origin", "Accept-Encoding", "origin, accept-encoding"].iter().enumerate() {
        let id = format!("varied{i}");
        world.origin.reply(&download_path(&id), media_reply().header("Vary", vary));
        let answer = download(&id, &world.token()).send(&world.edge.address);
        assert_cache_status(&answer, "fwd=uri-miss; fwd-status=200; stored");
    }
}

#[test]
fn a_redirect_is_passed_on_unfollowed_if_configured() {
    let world = &World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    for (status, id) in [(307, "moved307"), (308, "moved308")] {
        let to = format!("{}/elsewhere/{id}?signature=a%2Fb", world.origin.url());
        world.origin.reply(&download_path(id), Reply::new(status).header("Location", &to));
        let answer = download(id, &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, answer.header("location")), (status, Some(to.as_str())));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(world.origin.asked(&format!("/elsewhere/{id}")).len(), 0, "the token leaked");
        assert_not_stored(world, id);
    }
}

#[test]
fn an_admins_view_of_quarantined_media_is_not_stored() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let target = format!("{}?admin_unsafely_bypass_quarantine=true", download_path(&id));
    let answer = media_domain("GET", target).bearer(&token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_not_stored(world, &id);
}

#[test]
fn an_admins_view_of_quarantined_media_is_not_answered_from_the_cache() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let target = format!("{}?admin_unsafely_bypass_quarantine=true", download_path(&id));
    media_domain("GET", target).bearer(&token).send(&world.edge.address);
    assert_eq!(world.origin.asked_once(&download_path(&id)).header("if-none-match"), None);
}

#[test]
fn another_body_under_the_same_name_replaces_the_stored_one() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let path = download_path(&id);
    world.origin.on(&path, |call| {
        let reply = media_reply().without("ETag").header("ETag", "\"2\"").body("new");
        let is_known = call.head.headers.get("if-none-match") == Some("\"2\"");
        call.reply(&if is_known { Reply::new(304) } else { reply })
    });
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!((answer.status, answer.text().as_str()), (200, "new"));
    assert_cache_status(&answer, "fwd=stale; fwd-status=200; stored");

    world.store_by(&path, || {
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!(answer.text(), "new");
        answer
    });
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!(answer.text(), "new");
    assert_eq!(world.origin.asked_once(&path).header("if-none-match"), Some("\"2\""));
}

#[test]
fn validators_of_any_form_are_sent_back_unchanged() {
    let world = shared();
    for (i, tag) in ["\"strong\"", "W/\"weak\"", "1, 2", "naïve"].into_iter().enumerate() {
        let id = format!("tagged{i}");
        let path = download_path(&id);
        let sent = from_latin1(tag.as_bytes());
        world.origin.on(&path, {
            let sent = sent.clone();
            move |call| {
                let is_known = call.head.headers.get("if-none-match") == Some(&sent);
                let reply = media_reply().without("ETag").header("ETag", tag);
                call.reply(&if is_known { Reply::new(304) } else { reply })
            }
        });
        // What Cloudflare takes away can't go back.
        let is_quoted = tag.ends_with('"');
        if Profile::current() == Profile::Cloudflare && !is_quoted {
            continue;
        }
        let token = world.token();
        world.store_by(&path, || download(&id, &token).send(&world.edge.address));
        download(&id, &token).send(&world.edge.address);
        assert_eq!(world.origin.asked_once(&path).header("if-none-match"), Some(sent.as_str()));
    }
}

#[test]
fn an_error_of_the_homeserver_grants_nothing() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    for (status, reply) in [
        (500, Reply::error(500, "M_UNKNOWN", "Internal server error")),
        (502, Reply::new(502).header("Content-Type", "text/html").body("<h1>Bad gateway</h1>")),
        (
            429,
            Reply::error(429, "M_LIMIT_EXCEEDED", "Too many requests").header("Retry-After", "2"),
        ),
        (403, Reply::error(403, "M_FORBIDDEN", "No")),
    ] {
        world.origin.reply(&download_path(&id), reply);
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!(answer.status, status);
        assert!(answer.body != BODY, "{status}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{status}");
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("2"), "{status}");
    }
}

/// The runtime stores what came of a broken body first, and the edge finds out after.
#[test]
fn a_short_body_is_not_served_in_the_moment_before_it_is_dropped() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let is_first = AtomicBool::new(true);
    world.origin.on(&download_path(&id), move |call| {
        if !is_first.swap(false, Ordering::Relaxed) {
            return call.reply_by_default();
        }
        call.receive()?;
        call.send(media_reply().head_bytes(BODY.len()))?;
        call.send(&BODY[..100])?;
        Ok(Then::Close)
    });
    assert!(download(&id, &token).try_send(&world.edge.address).is_err());
    for _ in 0..50 {
        // A broken transfer is honest as well.
        if let Ok(answer) = download(&id, &token).try_send(&world.edge.address) {
            assert_eq!((answer.status, &answer.body[..]), (200, BODY));
        }
    }
}

#[test]
fn a_reader_who_leaves_early_does_not_lose_the_fill() {
    let world = shared();
    let large = vec![9; 16 << 20];
    let id = world.origin.homeserver().add(Media::new("video/mp4", &large));
    let (sent, is_sent) = mpsc::channel();
    world.origin.on(&download_path(&id), move |call| {
        let then = call.reply_by_default();
        let _ = sent.send(then.is_ok());
        then
    });
    let mut incoming = {
        let connection = download(&id, &world.token()).open(&world.edge.address);
        connection.and_then(|c| c.answer()).expect("an answer")
    };
    incoming.body.read_exact(&mut [0; 1000]).expect("its beginning");
    incoming.reset();
    assert_eq!(is_sent.recv_timeout(PATIENCE), Ok(true), "the origin could not send it all");

    let token = world.token();
    world.origin.forget(&download_path(&id));
    let is_stored = || {
        let answer = media_domain("HEAD", download_path(&id)).bearer(&token);
        let answer = answer.send(&world.edge.address);
        answer.header("cache-status")?.contains("fwd=stale").then_some(())
    };
    test_support::time::wait_for("the edge stores it", PATIENCE, is_stored);
    assert!(download(&id, &token).send(&world.edge.address).body == large);
}

#[test]
fn a_large_body_is_streamed_as_it_arrives() {
    let world = shared();
    let id = "slow";
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    world.origin.on(&download_path(id), move |call| {
        call.receive()?;
        call.send(media_reply().head_bytes(BODY.len()))?;
        call.send(&BODY[..10])?;
        let waited = may_go.lock().expect("unshared").recv_timeout(PATIENCE);
        assert!(waited.is_ok(), "the first bytes never reached the client");
        call.send(&BODY[10..])?;
        Ok(Then::KeepOpen)
    });
    let connection = download(id, &world.token()).open(&world.edge.address);
    let mut incoming = connection.and_then(|c| c.answer()).expect("an answer");
    let mut first = [0; 10];
    incoming.body.read_exact(&mut first).expect("the first bytes");
    go.send(()).expect("the origin waits");
    let rest = incoming.read().expect("the rest").body;
    assert_eq!([&first, &rest[..]].concat(), BODY);
}

#[test]
fn a_stored_body_stays_no_longer_than_the_admin_allows() {
    let world = World::start_with(&[("CACHE_SECONDS", "2")]);
    let (id, token) = (world.stored_media(), world.token());
    std::thread::sleep(Duration::from_millis(2_500));
    world.origin.forget(&download_path(&id));
    let answer = download(&id, &token).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(world.origin.asked_once(&download_path(&id)).header("if-none-match"), None);
}

#[test]
fn refused_readers_leave_nothing_behind() {
    let world = World::start();
    let large = vec![3; 4 << 20];
    let id = world.origin.homeserver().add(Media::new("video/mp4", &large));
    world.store(&id);
    let refuse = || {
        for _ in 0..50 {
            assert_eq!(download(&id, "syt_nobody").send(&world.edge.address).status, 401);
        }
    };
    refuse();
    let before = world.edge.workerd_resident_bytes();
    refuse();
    let growth = world.edge.workerd_resident_bytes().saturating_sub(before);
    assert!(growth < 32 << 20, "workerd grew by {growth} bytes");
    assert!(download(&id, &world.token()).send(&world.edge.address).body == large);
}
