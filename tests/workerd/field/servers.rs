//! Homeservers and proxies that do otherwise than Synapse by itself, and where media is asked for.

use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use crate::download::federation::{assert_envelope, signed};
use crate::support::origin::Reply;
use crate::support::world::{
    BODY, MEDIA_HOST, PATIENCE, World, content_key, download, download_path, federation_path,
    legacy_download, legacy_path, wait_for_entry,
};

/// Where media may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Client,
    Legacy,
    Federation,
}

pub(crate) const DOORS: [Door; 3] = [Door::Client, Door::Legacy, Door::Federation];

impl Door {
    pub(crate) fn path(self, id: &str) -> String {
        match self {
            Self::Client => download_path(id),
            Self::Legacy => legacy_path(id),
            Self::Federation => federation_path(id),
        }
    }

    /// A request of someone whom the homeserver accepts.
    pub(crate) fn get(self, world: &World, id: &str) -> Request {
        match self {
            Self::Client => download(id, &world.token()),
            Self::Legacy => legacy_download(id),
            Self::Federation => signed("GET", &federation_path(id)),
        }
    }

    #[track_caller]
    pub(crate) fn assert_served(self, answer: &Answer) {
        if self == Self::Federation {
            assert_envelope(answer);
        } else {
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
        }
    }
}

/// Two isolates of one data centre, another data centre, and a bucket that both share.
pub(crate) fn start_with_tiers() -> World {
    let layout = Layout { neighbors: 1, pops: 1, bucket: BucketKind::R2, ..Layout::default() };
    World::start_as(layout, &[])
}

/// Where each tier answers first, by its name, of a world that [`start_with_tiers`] has started.
pub(crate) fn tiers(world: &World) -> [(&'static str, &str); 3] {
    let edge = &world.edge;
    [
        ("memory", &edge.direct_address),
        ("pop", &edge.neighbor_address),
        ("bucket", &edge.pop_addresses[0]),
    ]
}

/// Has the edge store this media in every tier.
pub(crate) fn store_in_tiers(world: &World, id: &str) {
    let key = content_key(id);
    download(id, &world.token()).send(&world.edge.direct_address);
    wait_for_entry(&world.edge, MEDIA_HOST, &key);
    wait_for(&format!("{key} is in the bucket"), PATIENCE, || world.edge.stores.object(&key));
    world.origin.forget(&download_path(id));
}

/// Answers at `path` as by default, but with these fields on each answer in place of its own.
pub(crate) fn with_fields(world: &World, path: &str, fields: &[(&'static str, &'static str)]) {
    let fields = fields.to_vec();
    world.origin.on(path, move |call| {
        let reply = call.default_reply()?;
        call.reply(&changed(reply, &fields))
    });
}

/// The reply with these fields in place of its own.
pub(crate) fn changed(reply: Reply, fields: &[(&str, &str)]) -> Reply {
    fields.iter().fold(reply, |reply, (name, value)| reply.without(name).header(name, value))
}

/// Answers at `path` as tuwunel does: no validator, no condition heeded, and on each answer the `Vary` of
/// its CORS layer (tower-http 539).
pub(crate) fn like_tuwunel(world: &World, path: &str) {
    const VARY: &str = "origin, access-control-request-method, access-control-request-headers";
    world.origin.on(path, |call| {
        call.head.headers.0.retain(|(name, _)| !name.eq_ignore_ascii_case("if-none-match"));
        let reply = call.default_reply()?.without("ETag").without("Cache-Control");
        call.reply(&reply.header("Vary", VARY))
    });
}

/// Answers a HEAD at `path` so, and all else by default.
pub(crate) fn without_head(world: &World, path: &str, answer: Reply) {
    world.origin.on(path, move |call| {
        if call.head.method == "HEAD" { call.reply(&answer) } else { call.reply_by_default() }
    });
}
