//! Which answers of the origin count as the homeserver's grant or refusal, and that no other answer
//! changes what is granted or stored for others.

mod credentials;
mod grants;
mod heads;
mod outages;
mod probes;
mod questions;
mod redirected;
mod refusals;
mod walls;

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use crate::download::federation::{assert_envelope, signed};
use crate::support::origin::{Record, Reply};
use crate::support::world::{
    BODY, World, download, download_path, federation_path, legacy_download, legacy_path,
};

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What a wall or a proxy says in the homeserver's place.
const PAGE: &str = "<h1>One moment, please</h1>";

/// Where media may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Client,
    Legacy,
    Federation,
}

const DOORS: [Door; 3] = [Door::Client, Door::Legacy, Door::Federation];

impl Door {
    fn path(self, id: &str) -> String {
        match self {
            Self::Client => download_path(id),
            Self::Legacy => legacy_path(id),
            Self::Federation => federation_path(id),
        }
    }

    /// A request of someone whom the homeserver accepts; at the client door, of someone new.
    fn get(self, world: &World, id: &str) -> Request {
        match self {
            Self::Client => download(id, &world.token()),
            Self::Legacy => legacy_download(id),
            Self::Federation => signed("GET", &federation_path(id)),
        }
    }

    /// The same of someone whom no lease is for, so that the homeserver is asked.
    fn get_unleased(self, world: &World, id: &str) -> Request {
        match self {
            Self::Legacy => legacy_download(id).bearer("syt_whatever"),
            Self::Client | Self::Federation => self.get(world, id),
        }
    }

    #[track_caller]
    fn assert_served(self, answer: &Answer) {
        if self == Self::Federation {
            assert_envelope(answer);
        } else {
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
        }
    }

    /// Media that is at all doors, and stored by this one.
    fn stored(self, world: &World) -> String {
        let id = world.legacy_media();
        world.store_by(&self.path(&id), || self.get(world, &id).send(&world.edge.address));
        id
    }

    /// Claims that what is stored is the media, and that a 304 is enough to serve it.
    #[track_caller]
    fn assert_stored(self, world: &World, id: &str, what: &str) {
        let request = self.get_unleased(world, id);
        world.origin.forget(&self.path(id));
        let answer = request.send(&world.edge.address);
        let asked = world.origin.asked_once(&self.path(id));
        assert_eq!(asked.header("if-none-match"), Some("1"), "{self:?}, {what}: not stored");
        assert_eq!(asked.answered_bytes, 0, "{self:?}, {what}");
        self.assert_served(&answer);
    }

    /// Claims that nothing is stored, and that the homeserver's media comes through.
    #[track_caller]
    fn assert_unstored(self, world: &World, id: &str, what: &str) {
        let request = self.get_unleased(world, id);
        world.origin.forget(&self.path(id));
        let answer = request.send(&world.edge.address);
        let asked = world.origin.asked_once(&self.path(id));
        assert_unconditional(&asked, &format!("{self:?}, {what}"));
        self.assert_served(&answer);
    }
}

#[track_caller]
fn assert_unconditional(asked: &Record, what: &str) {
    for name in ["if-none-match", "if-modified-since"] {
        assert_eq!(asked.header(name), None, "{what}: something is stored");
    }
}

/// Lets the homeserver itself answer again.
fn come_back(world: &World, path: &str) {
    world.origin.on(path, |call| call.reply_by_default());
}

fn page(type_: &str) -> Reply {
    Reply::new(200).header("Content-Type", type_).body(PAGE)
}

/// Answers with 200 that no homeserver gave, and their names.
fn pages() -> Vec<(&'static str, Reply)> {
    let html = || page("text/html; charset=utf-8");
    vec![
        ("bare", html()),
        ("tagged", html().header("ETag", "\"page\"")),
        ("tagged as media is", html().header("ETag", "1")),
        ("dated", html().header("Last-Modified", DATE)),
        ("not to be stored", html().header("Cache-Control", "no-store")),
        ("XHTML", page("application/xhtml+xml").header("ETag", "\"page\"")),
        ("JSON", page("application/json").header("ETag", "\"page\"")),
        ("text", page("text/plain").header("ETag", "\"page\"")),
    ]
}

/// Whether it shows for a page by its type, and so is told to nobody.
fn is_html(reply: &Reply) -> bool {
    let is_html = [&b"text/html"[..], b"application/xhtml+xml"]
        .into_iter()
        .any(|type_| reply.field("Content-Type").is_some_and(|found| found.starts_with(type_)));
    is_html && reply.field("Content-Disposition").is_none()
}

/// Claims that this 200 was relayed, or was an error of the edge's if it is a page.
#[track_caller]
fn assert_relayed(answer: &Answer, reply: &Reply, what: &str) {
    if is_html(reply) {
        assert_matrix_error(answer, 502, "M_UNKNOWN");
    } else {
        assert_eq!((answer.status, &answer.body[..]), (200, reply.bytes()), "{what}");
    }
}

/// A file as a homeserver of today sends it, with these headers of its own.
fn file(body: &[u8], headers: &[(&str, &str)]) -> Reply {
    let reply = Reply::new(200)
        .header("Content-Type", "image/png")
        .header("Content-Disposition", "inline")
        .body(body);
    headers.iter().fold(reply, |reply, (name, value)| reply.without(name).header(name, value))
}

/// Sends files at `path` to whoever it doesn't know as nobody, with or without a validator.
fn serve_file(world: &World, path: &str, validator: Option<(&'static str, &'static str)>) {
    let reply = file(BODY, validator.as_slice());
    world.origin.on(path, move |call| {
        let header = |name| call.head.headers.get(name);
        let is_known = validator.is_some_and(|(name, value)| {
            let condition = if name == "ETag" { "if-none-match" } else { "if-modified-since" };
            header(condition) == Some(value)
        });
        if header("authorization") == Some("Bearer syt_nobody") {
            return call.reply(&Reply::error(401, "M_UNKNOWN_TOKEN", "Invalid access token"));
        }
        if is_known { call.reply(&Reply::new(304)) } else { call.reply(&reply) }
    });
}

/// The path of thumbnails at the client door, and one of them by its width.
fn thumbnail_path(id: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/example.com/{id}")
}

fn thumbnail(id: &str, width: u32, token: &str) -> Request {
    let target = format!("{}?width={width}&height=32", thumbnail_path(id));
    crate::support::world::media_domain("GET", target).bearer(token)
}

/// The same at the legacy door.
fn legacy_thumbnail_path(id: &str) -> String {
    format!("/_matrix/media/v3/thumbnail/example.com/{id}")
}

fn legacy_thumbnail(id: &str, width: u32) -> Request {
    let target = format!("{}?width={width}&height=32", legacy_thumbnail_path(id));
    crate::support::world::media_domain("GET", target)
}
