//! Redirects (origins that keep their bytes elsewhere): one is a yes only if it leads where it led
//! when the bytes were stored. A login page is elsewhere.

use std::thread::sleep;
use std::time::Duration;

use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use super::{Door, PAGE, assert_relayed, come_back, file, page};
use crate::support::origin::{Origin, Reply};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, legacy_download, legacy_path, media_domain,
    shared,
};

/// A place of blobs, which knows nothing of Matrix.
struct Blobs(Origin);

impl Blobs {
    fn start() -> Self {
        Self(Origin::start())
    }

    /// Puts a blob there; returns its address.
    fn put(&self, path: &str, reply: Reply) -> String {
        self.0.reply(path, reply);
        format!("{}{path}", self.0.url())
    }

    fn picture(&self, path: &str) -> String {
        let reply = Reply::new(200).header("Content-Type", "image/png").header("ETag", "\"blob\"");
        self.put(path, reply.body(BODY))
    }
}

fn redirect(world: &World, path: &str, status: u16, to: &str) {
    world.origin.reply(path, Reply::new(status).header("Location", to));
}

/// Has the edge store what the homeserver redirects to; returns where that is.
fn store(world: &World, blobs: &Blobs, id: &str) -> String {
    let path = format!("/blobs/{id}");
    let to = blobs.picture(&path);
    redirect(world, &download_path(id), 307, &to);
    wait_for("the edge stores the blob", PATIENCE, || {
        blobs.0.forget(&path);
        let answer = download(id, &world.token()).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
        blobs.0.asked(&path).is_empty().then_some(())
    });
    to
}

/// Claims that a redirect to where it led serves the stored bytes.
#[track_caller]
fn assert_stored(world: &World, blobs: &Blobs, id: &str, to: &str) {
    redirect(world, &download_path(id), 307, to);
    blobs.0.forget(&format!("/blobs/{id}"));
    let answer = download(id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    assert!(blobs.0.asked(&format!("/blobs/{id}")).is_empty(), "{to}: it was not stored");
}

#[track_caller]
fn assert_no_stored_bytes(answer: &Answer) {
    let has_some = answer.body.windows(16).any(|part| part == &BODY[..16]);
    assert!(!has_some, "stored bytes: {}", answer.status);
}

#[test]
fn a_redirect_to_a_login_page_serves_no_stored_bytes() {
    let (world, blobs) = (shared(), Blobs::start());
    let login = blobs.put("/login", page("text/html"));
    for status in [301, 302, 303, 307, 308] {
        let id = format!("behindLogin{status}");
        let to = store(world, &blobs, &id);
        redirect(world, &download_path(&id), status, &login);
        assert_no_stored_bytes(&download(&id, "syt_nobody").send(&world.edge.address));
        assert_stored(world, &blobs, &id, &to);
    }
}

#[test]
fn a_redirect_to_a_login_page_serves_no_stored_bytes_at_the_legacy_door() {
    let (world, blobs) = (shared(), Blobs::start());
    let id = "behindLoginLegacy";
    let to = store(world, &blobs, id);
    redirect(world, &legacy_path(id), 302, &blobs.put("/login", page("text/html")));
    assert_no_stored_bytes(&legacy_download(id).send(&world.edge.address));
    assert_stored(world, &blobs, id, &to);
}

#[test]
fn a_redirect_from_http_to_https_serves_no_stored_bytes() {
    let (world, blobs) = (shared(), Blobs::start());
    let id = "secureElsewhere";
    let to = store(world, &blobs, id);
    let secure = format!("https://{}{}", world.origin.address, download_path(id));
    redirect(world, &download_path(id), 301, &secure);
    assert_no_stored_bytes(&download(id, "syt_nobody").send(&world.edge.address));
    assert_stored(world, &blobs, id, &to);
}

#[test]
fn a_malformed_redirect_serves_no_stored_bytes() {
    let (world, blobs) = (shared(), Blobs::start());
    for (n, location) in ["", "https:relative", "ftp://127.0.0.1/", "//"].into_iter().enumerate() {
        let id = format!("toNowhere{n}");
        let to = store(world, &blobs, &id);
        redirect(world, &download_path(&id), 302, location);
        assert_no_stored_bytes(&download(&id, "syt_nobody").send(&world.edge.address));
        assert_stored(world, &blobs, &id, &to);
    }
}

#[test]
fn a_redirect_to_the_same_path_of_another_scheme_or_host_is_followed() {
    let (world, blobs) = (shared(), Blobs::start());
    let elsewhere = Blobs::start();
    let id = "samePath";
    let to = store(world, &blobs, id);
    elsewhere.put(&format!("/blobs/{id}"), page("text/html"));
    for other in [
        to.replace("http:", "https:"),
        format!("{}/blobs/{id}", elsewhere.0.url().replace("127.0.0.1", "localhost")),
        format!("{}/blobs/{id}", elsewhere.0.url()),
    ] {
        redirect(world, &download_path(id), 307, &other);
        assert_no_stored_bytes(&download(id, "syt_nobody").send(&world.edge.address));
    }
    assert!(!elsewhere.0.records().is_empty(), "it was followed");
    assert_stored(world, &blobs, id, &to);
}

#[test]
fn a_redirect_to_the_same_place_with_another_query_serves_the_stored_bytes() {
    let (world, blobs) = (shared(), Blobs::start());
    let id = "signedAnew";
    let to = store(world, &blobs, id);
    for rest in ["?signature=b", "?expires=1&signature=c%2Fd", "?", "#part", "?a=b#part"] {
        assert_stored(world, &blobs, id, &format!("{to}{rest}"));
    }
}

#[test]
fn media_from_a_redirect_does_not_replace_the_homeservers_own() {
    let (world, blobs) = (shared(), Blobs::start());
    for door in [Door::Client, Door::Legacy] {
        let id = door.stored(world);
        let reply = Reply::new(200).header("Content-Type", "image/png").header("ETag", "1");
        redirect(world, &door.path(&id), 302, &blobs.put("/other", reply.body("other")));
        for _ in 0..2 {
            let answer = door.get_unleased(world, &id).send(&world.edge.address);
            assert_eq!((answer.status, answer.text().as_str()), (200, "other"));
            sleep(Duration::from_millis(50));
        }
        come_back(world, &door.path(&id));
        door.assert_stored(world, &id, "a redirect");
    }
}

#[test]
fn media_from_a_redirect_does_not_replace_another_type() {
    let (world, blobs) = (shared(), Blobs::start());
    let id = "otherType";
    let to = store(world, &blobs, id);
    for (n, type_) in ["text/html", "application/json", "video/mp4"].into_iter().enumerate() {
        let reply = page(type_).header("ETag", "\"blob\"");
        let other = blobs.put(&format!("/other{n}"), reply.clone());
        redirect(world, &download_path(id), 307, &other);
        let answer = download(id, &world.token()).send(&world.edge.address);
        assert_relayed(&answer, &reply, type_);
        sleep(Duration::from_millis(50));
        assert_stored(world, &blobs, id, &to);
    }
}

#[test]
fn a_page_from_a_redirect_is_not_stored() {
    let (world, blobs) = (shared(), Blobs::start());
    let marked = [("Content-Type", "text/html"), ("ETag", "1")];
    for (n, reply) in [
        page("text/html").header("ETag", "\"page\""),
        page("application/xhtml+xml").header("ETag", "\"page\""),
        file(PAGE.as_bytes(), &marked),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, path) = (format!("toAPage{n}"), format!("/page{n}"));
        redirect(world, &download_path(&id), 307, &blobs.put(&path, reply.clone()));
        for count in 1..=3 {
            let answer = download(&id, &world.token()).send(&world.edge.address);
            assert_relayed(&answer, &reply, &path);
            assert_eq!(blobs.0.asked(&path).len(), count, "{path} is stored");
            sleep(Duration::from_millis(50));
        }
    }
}

/// An origin that redirects whoever is ready for it, and sends the bytes to others.
fn redirect_the_ready(world: &World, path: &str, to: &str) {
    let (to, reply) = (to.to_owned(), file(BODY, &[("ETag", "1")]));
    world.origin.on(path, move |call| {
        if call.head.target.contains("allow_redirect=true") {
            return call.reply(&Reply::new(307).header("Location", &to));
        }
        match call.head.headers.get("if-none-match") {
            Some("1") => call.reply(&Reply::new(304)),
            _ => call.reply(&reply),
        }
    });
}

#[test]
fn an_alternating_allow_redirect_does_not_cost_a_body_each_time() {
    let (world, blobs) = (shared(), Blobs::start());
    for door in [Door::Client, Door::Legacy] {
        let id = format!("byTurns{door:?}");
        let path = door.path(&id);
        redirect_the_ready(world, &path, &blobs.picture("/byTurns"));
        let get = |query: &str| {
            let request = media_domain("GET", format!("{path}{query}")).bearer(&world.token());
            request.send(&world.edge.address)
        };
        world.store_by(&path, || get(""));
        for name in ["allow_redirect", "com.beeper.msc3860.allow_redirect"] {
            for query in ["", &format!("?{name}=true")] {
                assert_eq!(&get(query).body[..], BODY, "{door:?}");
                sleep(Duration::from_millis(50));
            }
        }
        let asked = world.origin.asked(&path);
        let bytes: usize = asked.iter().map(|asked| asked.answered_bytes).sum();
        assert_eq!((bytes, blobs.0.records().len()), (0, 0), "{door:?}: files");
    }
}

#[test]
fn allow_redirect_is_forwarded_if_redirects_are_passed_on() {
    let world = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let id = world.legacy_media();
    for path in [download_path(&id), legacy_path(&id)] {
        for name in ["allow_redirect", "com.beeper.msc3860.allow_redirect"] {
            for value in ["true", "false"] {
                let target = format!("{path}?{name}={value}");
                let request = media_domain("GET", &target).bearer(&world.token());
                world.origin.forget(&path);
                request.send(&world.edge.address);
                assert_eq!(world.origin.asked_once(&path).head.target, target);
            }
        }
    }
}

#[test]
fn an_answer_to_allow_redirect_is_not_stored_if_redirects_are_passed_on() {
    let world = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let ask = |path: &str, token: &str| -> Request {
        media_domain("GET", format!("{path}?allow_redirect=true")).bearer(token)
    };
    for door in [Door::Client, Door::Legacy] {
        let id = world.legacy_media();
        for _ in 0..3 {
            let request = ask(&door.path(&id), &world.token());
            door.assert_served(&request.send(&world.edge.address));
        }
        door.assert_unstored(&world, &id, "asked with allow_redirect");
    }
}
