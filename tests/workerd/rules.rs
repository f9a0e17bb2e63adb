//! Rules that hold at every endpoint: a query has one reading, media carries the edge's policy, a
//! refused reader learns nothing of what is stored, malformed input has a defined answer, and what
//! is stored is bounded in size.

mod bad_input;
mod documents;
mod policy;
mod readings;
mod refusals;
mod spellings;
mod tags;
mod weights;

use test_support::http::{Answer, Request};

use crate::support::origin::{Origin, Reply};
use crate::support::world::{World, media_domain};

/// Where a reader asks: with a token of its own, or without any.
#[derive(Clone, Copy, Debug)]
enum Door {
    Client,
    Legacy,
}

const DOORS: [Door; 2] = [Door::Client, Door::Legacy];

impl Door {
    fn download(self, id: &str) -> String {
        self.path("download", id)
    }

    fn thumbnail(self, id: &str) -> String {
        self.path("thumbnail", id)
    }

    fn path(self, kind: &str, id: &str) -> String {
        match self {
            Self::Client => format!("/_matrix/client/v1/media/{kind}/example.com/{id}"),
            Self::Legacy => format!("/_matrix/media/v3/{kind}/example.com/{id}"),
        }
    }

    /// A request of one who may.
    fn request(self, world: &World, method: &str, target: &str) -> Request {
        let request = media_domain(method, target);
        match self {
            Self::Client => request.bearer(&world.token()),
            Self::Legacy => request,
        }
    }

    fn get(self, world: &World, target: &str) -> Request {
        self.request(world, "GET", target)
    }
}

/// An answer of media, without validator or type.
fn media(status: u16) -> Reply {
    Reply::new(status).header("Content-Disposition", "inline")
}

/// Answers at `path` with `reply` whoever doesn't have this validator yet.
fn validate(origin: &Origin, path: &str, etag: &'static str, reply: Reply) {
    let reply = reply.header("ETag", etag);
    origin.on(path, move |call| match call.head.headers.get("if-none-match") {
        Some(tag) if tag == etag => call.reply(&Reply::new(304).header("ETag", etag)),
        _ => call.reply(&reply),
    });
}

/// All fields but the date, by name.
fn fields(answer: &Answer) -> Vec<(String, String)> {
    let mut fields = answer.headers.0.clone();
    for (name, _) in &mut fields {
        name.make_ascii_lowercase();
    }
    fields.retain(|(name, _)| name != "date");
    fields.sort();
    fields
}

/// All that one field says, in one or many.
fn members<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.all(name).flat_map(|value| value.split(',')).map(str::trim).collect()
}
