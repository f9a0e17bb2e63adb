//! The strong entity tag that clients get names one version of the bytes, so that no two versions are
//! put together from parts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use test_support::http::Request;
use test_support::profile::Profile;
use test_support::time::wait_for;

use super::{Door, validate};
use crate::support::world::{BODY, PATIENCE, World, download, download_path, media_domain, shared};

/// A media of two versions, of one length, told apart by `name` alone.
struct Versions {
    world: &'static World,
    id: String,
    number: Arc<AtomicUsize>,
}

const LENGTH: usize = 256;

fn bytes(version: usize) -> Vec<u8> {
    vec![b'a' + u8::try_from(version).expect("there are two"); LENGTH]
}

impl Versions {
    /// With these validators, the first of which is stored.
    fn start(id: &str, name: &'static str, validators: [&'static str; 2]) -> Self {
        let world = shared();
        let number = Arc::new(AtomicUsize::new(0));
        let condition = if name == "ETag" { "if-none-match" } else { "if-modified-since" };
        world.origin.on(&download_path(id), {
            let number = Arc::clone(&number);
            move |call| {
                let version = number.load(Ordering::SeqCst);
                let is_known = call.head.headers.get(condition) == Some(validators[version]);
                let reply = super::media(if is_known { 304 } else { 200 });
                let reply = reply.header(name, validators[version]);
                call.reply(&reply.header("Content-Type", "video/mp4").body(bytes(version)))
            }
        });
        let versions = Self { world, id: id.to_owned(), number };
        versions.wait_until_stored(0);
        versions
    }

    fn get(&self) -> Request {
        download(&self.id, &self.world.token())
    }

    fn wait_until_stored(&self, version: usize) {
        let path = download_path(&self.id);
        wait_for("the version is stored", PATIENCE, || {
            self.world.origin.forget(&path);
            let answer = self.get().send(&self.world.edge.address);
            let asked = self.world.origin.asked_once(&path);
            (answer.body == bytes(version) && asked.answered_bytes == 0).then_some(())
        });
    }

    fn tag(&self) -> String {
        let answer = self.get().send(&self.world.edge.address);
        answer.header("etag").expect("a tag").to_owned()
    }

    /// From now on it is the other version that is there, and that is stored.
    fn change(&self) {
        self.number.store(1, Ordering::SeqCst);
        self.wait_until_stored(1);
    }
}

const DATES: [&str; 2] = ["Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT"];

/// By their names, all kinds of validators that change and reach the edge: Cloudflare's proxy removes
/// tags without quotes.
fn kinds() -> Vec<(&'static str, &'static str, [&'static str; 2])> {
    let mut kinds = vec![
        ("Quoted", "ETag", ["\"v1\"", "\"v2\""]),
        ("Weak", "ETag", ["W/\"v1\"", "W/\"v2\""]),
        ("Dated", "Last-Modified", DATES),
    ];
    if Profile::current() == Profile::Plain {
        kinds.push(("Bare", "ETag", ["v1", "v2"]));
    }
    kinds
}

#[test]
fn a_range_of_one_version_is_not_completed_with_another() {
    for (kind, name, validators) in kinds() {
        let versions = Versions::start(&format!("parts{kind}"), name, validators);
        let tag = versions.tag();
        versions.change();
        let rest = versions.get().header("Range", "bytes=128-").header("If-Range", &tag);
        let answer = rest.send(&versions.world.edge.address);
        assert_eq!((answer.status, answer.body), (200, bytes(1)), "{kind}");
    }
}

#[test]
fn a_client_with_another_version_gets_the_current_one() {
    for (kind, name, validators) in kinds() {
        let versions = Versions::start(&format!("known{kind}"), name, validators);
        let tag = versions.tag();
        versions.change();
        let known = versions.get().header("If-None-Match", &tag);
        let answer = known.send(&versions.world.edge.address);
        assert_eq!((answer.status, answer.body), (200, bytes(1)), "{kind}");
    }
}

#[test]
fn a_range_of_the_same_version_is_completed() {
    for (kind, name, validators) in kinds() {
        let versions = Versions::start(&format!("same{kind}"), name, validators);
        let rest = versions.get().header("Range", "bytes=128-").header("If-Range", versions.tag());
        let answer = rest.send(&versions.world.edge.address);
        assert_eq!((answer.status, answer.body.len()), (206, LENGTH / 2), "{kind}");
    }
}

/// Eight hexadecimal digits at the end.
fn digest_of(tag: &str, beginning: &str) -> Option<String> {
    let digest = tag.strip_prefix(beginning)?.strip_suffix('"')?;
    let is_one = digest.len() == 8 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| digest.to_owned())
}

#[test]
fn a_tag_has_a_digest_of_the_homeservers_validator() {
    let world = shared();
    for (kind, name, [validator, _]) in kinds() {
        let id = format!("digest{kind}");
        let reply = super::media(200).header(name, validator).header("Content-Type", "video/mp4");
        world.origin.reply(&download_path(&id), reply.body(BODY));
        let answer = download(&id, &world.token()).send(&world.edge.address);
        let tag = answer.header("etag").unwrap_or_default();
        assert!(digest_of(tag, &format!("\"{id}-256-")).is_some(), "{tag}");
    }
}

#[test]
fn a_thumbnails_tag_has_a_digest_of_the_homeservers_validator() {
    let world = shared();
    let path = Door::Client.thumbnail("digestSmall");
    let picture = super::media(200).header("Content-Type", "image/png").body(BODY);
    validate(&world.origin, &path, "\"v1\"", picture);
    let target = format!("{path}?width=32&height=32&method=crop");
    let answer = Door::Client.get(world, &target).send(&world.edge.address);
    let tag = answer.header("etag").unwrap_or_default();
    let (before, digest) = tag.rsplit_once('-').unwrap_or_default();
    assert!(before.starts_with("\"digestSmall-") && before.ends_with("-256"), "{tag}");
    assert!(digest_of(digest, "").is_some(), "{tag}");
}

/// Synapse's `1` says nothing of a version.
#[test]
fn a_tag_has_no_digest_of_a_constant_validator() {
    let world = shared();
    for (kind, etag) in [("Bare", "1"), ("Quoted", "\"1\"")] {
        let id = format!("constant{kind}");
        let reply = super::media(200).header("Content-Type", "image/png").body(BODY);
        validate(&world.origin, &download_path(&id), etag, reply);
        let request = download(&id, &world.token());
        let miss = request.send(&world.edge.address);
        world.store_by(&download_path(&id), || request.send(&world.edge.address));
        let hit = request.send(&world.edge.address);
        let expected = format!("\"{id}-256\"");
        for answer in [miss, hit] {
            assert_eq!(answer.header("etag"), Some(expected.as_str()), "{kind}");
        }
    }
}

#[test]
fn a_version_has_one_tag_in_every_answer() {
    let world = shared();
    for (kind, etag) in [("Constant", "1"), ("Changing", "\"v1\"")] {
        let id = format!("oneTag{kind}");
        let path = download_path(&id);
        let reply = super::media(200).header("Content-Type", "image/png").body(BODY);
        validate(&world.origin, &path, etag, reply.clone());
        validate(&world.origin, &Door::Legacy.download(&id), etag, reply);
        let tag = |request: Request| {
            let answer = request.send(&world.edge.address);
            (answer.status, answer.header("etag").map(str::to_owned))
        };
        let head = || media_domain("HEAD", &path).bearer(&world.token());
        let (_, first) = tag(head());
        assert_eq!(tag(download(&id, &world.token())), (200, first.clone()), "{kind}");
        let stored = download(&id, &world.token());
        world.store_by(&path, || stored.send(&world.edge.address));
        assert_eq!(tag(stored.clone()), (200, first.clone()), "{kind}");
        assert_eq!(tag(head()), (200, first.clone()), "{kind}");
        assert_eq!(tag(stored.clone().header("Range", "bytes=0-1")), (206, first.clone()));
        let known = first.clone().expect("a tag");
        assert_eq!(tag(stored.header("If-None-Match", known)), (304, first.clone()), "{kind}");
        let open = media_domain("GET", Door::Legacy.download(&id));
        assert_eq!(tag(open), (200, first), "{kind}");
    }
}

#[test]
fn a_range_needs_the_whole_tag_of_its_version() {
    let world = shared();
    let reply = super::media(200).header("Content-Type", "image/png").body(BODY);
    validate(&world.origin, &download_path("ofOld"), "\"v1\"", reply);
    world.store("ofOld");
    // Neither without a digest, nor with another, nor the homeserver's own.
    for tag in ["\"ofOld-256\"", "\"ofOld-256-00000000\"", "\"v1\""] {
        let rest = download("ofOld", &world.token()).header("Range", "bytes=128-");
        let answer = rest.header("If-Range", tag).send(&world.edge.address);
        assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{tag}");
    }
}
