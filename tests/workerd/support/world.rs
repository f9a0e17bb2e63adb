//! A stand-in and an edge before it, and requests as clients send them.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::http::{Answer, Request};
use test_support::time::wait_for;

use crate::support::origin::{Media, Origin, Record, SERVER_NAME};

/// The host of media and nothing else.
pub(crate) const MEDIA_HOST: &str = "media.example.com";

/// The homeserver's own host.
pub(crate) const HOMESERVER_HOST: &str = "matrix.example.com";

/// Small, and of every byte value.
pub(crate) const BODY: &[u8] = &{
    let mut bytes = [0; 256];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

/// How long anything may take that needs no deadline of the edge.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) origin: Origin,
    pub(crate) edge: Edge,
}

/// The world of all tests that can share one: those that touch no media, token or path of others.
pub(crate) fn shared() -> &'static World {
    static SHARED: LazyLock<World> = LazyLock::new(World::start);
    &SHARED
}

/// The same with leases that outlast every test.
pub(crate) fn leased() -> &'static World {
    static LEASED: LazyLock<World> =
        LazyLock::new(|| World::start_with(&[("LEASE_SECONDS", "600")]));
    &LEASED
}

impl World {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With variables on top of the required ones.
    pub(crate) fn start_with(vars: &[(&str, &str)]) -> Self {
        let origin = Origin::start();
        let edge = start_edge(&origin.url(), vars);
        Self { origin, edge }
    }

    /// With two isolates of the Worker.
    pub(crate) fn start_two_isolates(vars: &[(&str, &str)]) -> Self {
        Self::start_as(Layout { neighbors: 1, ..Layout::default() }, vars)
    }

    /// In another layout.
    pub(crate) fn start_as(layout: Layout, vars: &[(&str, &str)]) -> Self {
        let origin = Origin::start();
        let url = origin.url();
        let edge = with_required(&url, vars, |vars| Edge::start_as(layout, vars));
        Self { origin, edge }
    }

    /// Media that the edge has never seen.
    pub(crate) fn media(&self) -> String {
        self.origin.homeserver().add(Media::new("image/png", BODY))
    }

    /// The same, of before media needed a token: it is at the open door as well.
    pub(crate) fn legacy_media(&self) -> String {
        let media = Media { is_legacy: true, ..Media::new("image/png", BODY) };
        self.origin.homeserver().add(media)
    }

    /// Media that the edge has stored, and no trace of how.
    pub(crate) fn stored_media(&self) -> String {
        let id = self.media();
        self.store(&id);
        id
    }

    /// Has the edge store this media, in memory and at the data centre.
    pub(crate) fn store(&self, id: &str) {
        let token = self.token();
        self.store_by(&download_path(id), || download(id, &token).send(&self.edge.address));
        // It comes out of memory before.
        wait_for_entry(&self.edge, MEDIA_HOST, &content_key(id));
    }

    /// Has the edge store what `ask` asks the origin's `path` for.
    pub(crate) fn store_by(&self, path: &str, ask: impl Fn() -> Answer) {
        wait_for("the edge stores it", PATIENCE, || {
            let answer = ask();
            assert!(matches!(answer.status, 200 | 206), "{}: {}", answer.status, answer.text());
            is_from_store(&answer).then_some(())
        });
        self.origin.forget(path);
    }

    /// Claims that the edge answers `ask` from its store without a word to the origin's `path`.
    #[track_caller]
    pub(crate) fn assert_unasked(&self, path: &str, request: &Request) -> Answer {
        self.origin.forget(path);
        let answer = request.send(&self.edge.address);
        assert!(self.origin.asked(path).is_empty(), "it was asked: {answer:?}");
        assert!(is_hit(&answer), "{answer:?}");
        answer
    }

    /// Claims that the edge asks the origin's `path` once before it answers, and no hit.
    #[track_caller]
    pub(crate) fn assert_asked(&self, path: &str, request: &Request) -> (Answer, Record) {
        self.origin.forget(path);
        let answer = request.send(&self.edge.address);
        assert!(!is_hit(&answer), "{answer:?}");
        (answer, self.origin.asked_once(path))
    }

    pub(crate) fn token(&self) -> String {
        self.origin.homeserver().log_in()
    }
}

/// Whether the edge took the answer out of its store, asked or unasked.
fn is_from_store(answer: &Answer) -> bool {
    is_hit(answer)
        || !tier(answer).is_empty()
        || answer.header("cache-status").is_some_and(|field| field.contains("fwd-status=304"))
}

/// Whether the edge answered without the origin.
pub(crate) fn is_hit(answer: &Answer) -> bool {
    answer.header("cache-status").is_some_and(|field| field.contains("; hit"))
}

/// The tier that the body came from, by the edge's own word; empty if it was none.
pub(crate) fn tier(answer: &Answer) -> &str {
    let timing = answer.header("server-timing").unwrap_or_default();
    timing.split(", ").find_map(|metric| metric.strip_prefix("tier;desc=")).unwrap_or_default()
}

/// Asks until the body comes from this tier.
pub(crate) fn wait_for_tier(name: &str, request: &Request, address: &str) -> Answer {
    wait_for(&format!("{request} from {name}"), PATIENCE, || {
        Some(request.send(address)).filter(|answer| tier(answer) == name)
    })
}

/// Waits until the cache shows what has just been put, where that has no name to look for: a Worker
/// begins its writes within this time of its answer, and they may take longer.
pub(crate) fn wait_until_shown(edge: &Edge) {
    thread::sleep(Duration::from_millis(300));
    edge.cache.wait_until_settled();
}

/// Waits until it comes from any tier.
pub(crate) fn wait_until_stored(request: &Request, address: &str) -> Answer {
    wait_for(&format!("{request} from a store"), PATIENCE, || {
        Some(request.send(address)).filter(|answer| !tier(answer).is_empty())
    })
}

/// Waits until the data centre whose media domain is `host` has an entry under `key`.
pub(crate) fn wait_for_entry(edge: &Edge, host: &str, key: &str) -> Answer {
    wait_for(&format!("{key} at {host}"), PATIENCE, || edge.stores.entry(&entry_name(host, key)))
}

/// The key of stored media.
pub(crate) fn content_key(id: &str) -> String {
    format!("v2/{SERVER_NAME}/media/{SERVER_NAME}/{id}/{SERVER_NAME}/content")
}

/// The name of a cache entry at the data centre whose media domain is `host`.
pub(crate) fn entry_name(host: &str, key: &str) -> String {
    format!("{host}/_edge/cache/{key}")
}

/// An edge before `origin`, which serves both the homeserver and the well-known documents.
pub(crate) fn start_edge(origin: &str, vars: &[(&str, &str)]) -> Edge {
    with_required(origin, vars, Edge::start)
}

/// The same, started in another way.
pub(crate) fn with_required(
    origin: &str,
    vars: &[(&str, &str)],
    start: impl FnOnce(&[(&str, &str)]) -> Edge,
) -> Edge {
    let media_url = format!("https://{MEDIA_HOST}");
    let required = [
        ("HOMESERVER_URL", origin),
        ("SERVER_NAME", SERVER_NAME),
        ("MEDIA_URL", media_url.as_str()),
        ("WELL_KNOWN_URL", origin),
        // Where stand-ins of buckets and of other hosts are.
        ("ORIGIN_REDIRECT_HOSTS", "127.0.0.1"),
    ];
    let is_set = |name: &str| vars.iter().any(|(n, _)| *n == name);
    let required = required.iter().filter(|(name, _)| !is_set(name));
    start(&required.chain(vars).copied().collect::<Vec<_>>())
}

/// A request on the media domain.
pub(crate) fn media_domain(method: &str, target: impl AsRef<[u8]>) -> Request {
    Request::new(method, target).header("Host", MEDIA_HOST)
}

/// A request on the homeserver's own host.
pub(crate) fn same_host(method: &str, target: impl AsRef<[u8]>) -> Request {
    Request::new(method, target).header("Host", HOMESERVER_HOST)
}

/// The path of a download with a token.
pub(crate) fn download_path(id: &str) -> String {
    format!("/_matrix/client/v1/media/download/{SERVER_NAME}/{id}")
}

pub(crate) fn download(id: &str, token: &str) -> Request {
    media_domain("GET", download_path(id)).bearer(token)
}

/// The path of a download at the open door.
pub(crate) fn legacy_path(id: &str) -> String {
    format!("/_matrix/media/v3/download/{SERVER_NAME}/{id}")
}

pub(crate) fn legacy_download(id: &str) -> Request {
    media_domain("GET", legacy_path(id))
}

/// The path of a download by another server.
pub(crate) fn federation_path(id: &str) -> String {
    format!("/_matrix/federation/v1/media/download/{id}")
}
