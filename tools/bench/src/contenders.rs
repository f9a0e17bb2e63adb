//! Those that are compared. All stand on this machine, in front of the same Synapse, each with a
//! way to it of its own.

mod nginx;
mod workerd;

use std::any::Any;

use serde::{Deserialize, Serialize};
use test_support::edge::Edge;
use test_support::synapse::Synapse;

pub(crate) use self::workerd::{OURS, OURS_NAMED, PROGRAM as WORKERD, Workerd};
use crate::link::Link;
use crate::process_stats::Processes;

/// One of those that are compared, by its name in the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Id {
    Synapse,
    Nginx,
    CachingWorker,
    BareWorker,
    HeadedWorker,
    WrappedWorker,
    Strict,
    Leased,
    MiniflareCachingWorker,
    MiniflareStrict,
    MiniflareLeased,
}

impl Id {
    pub(crate) const ALL: [Self; 11] = [
        Self::Synapse,
        Self::Nginx,
        Self::CachingWorker,
        Self::BareWorker,
        Self::HeadedWorker,
        Self::WrappedWorker,
        Self::Strict,
        Self::Leased,
        Self::MiniflareCachingWorker,
        Self::MiniflareStrict,
        Self::MiniflareLeased,
    ];

    pub(crate) fn is_in_miniflare(self) -> bool {
        matches!(self, Self::MiniflareCachingWorker | Self::MiniflareStrict | Self::MiniflareLeased)
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Synapse => "(a) Synapse alone",
            Self::Nginx => "(b) nginx proxy_cache",
            Self::CachingWorker => "(c) JS Worker, Cache API",
            Self::BareWorker => "(d) JS Worker, bare",
            Self::HeadedWorker => "(d) with our headers",
            Self::WrappedWorker => "(d) with our headers and entry",
            Self::Strict => "(e) ours, strict",
            Self::Leased => "(f) ours, leased",
            Self::MiniflareCachingWorker => "(c) in Miniflare",
            Self::MiniflareStrict => "(e) in Miniflare",
            Self::MiniflareLeased => "(f) in Miniflare",
        }
    }
}

/// The bare Worker with what ours can't do without.
const HEADED: &str = "tools/bench/workers/headed";

/// What runs a contender, and ends with it.
type Held = Box<dyn Any + Sync>;

/// A contender that runs.
pub(crate) struct Contender {
    pub(crate) id: Id,
    pub(crate) processes: Processes,
    /// Its way to Synapse.
    pub(crate) link: Link,
    address: String,
    _held: Held,
}

impl Contender {
    /// Starts it in a folder of its own within `folder`.
    pub(crate) fn start(id: Id, synapse: &Synapse, folder: &str) -> Self {
        Self::start_as(id, synapse, folder, OURS, None)
    }

    /// Starts one that runs in workerd, ours from a build that has names, with V8's inspector at a
    /// port.
    pub(crate) fn start_inspected(id: Id, synapse: &Synapse, folder: &str, port: u16) -> Self {
        Self::start_as(id, synapse, folder, OURS_NAMED, Some(port))
    }

    fn start_as(
        id: Id,
        synapse: &Synapse,
        folder: &str,
        ours: &str,
        inspector_port: Option<u16>,
    ) -> Self {
        let link = Link::to(&synapse.address);
        let origin = format!("http://{}", link.address);
        let folder = format!("{folder}/{id:?}");
        let origin_vars = [("ORIGIN", origin.as_str())];
        let our_vars = |lease_seconds| our_vars(&origin, &synapse.server_name, lease_seconds);
        let in_workerd = |worker, vars: &[(&str, &str)]| {
            let workerd = Workerd::start(&folder, worker, vars, inspector_port);
            (workerd.address.clone(), Processes::of(workerd.id()), Box::new(workerd) as Held)
        };
        let in_miniflare = |worker, vars: &[(&str, &str)]| {
            let edge = Edge::start_worker(worker, vars);
            (edge.direct_address.clone(), Processes::of(edge.id()), Box::new(edge) as Held)
        };
        let (address, processes, held): (_, _, Held) = match id {
            Id::Synapse => (synapse.address.clone(), Processes::of(synapse.id), Box::new(())),
            Id::Nginx => {
                let nginx = nginx::start(&folder, &link.address);
                (nginx.address.clone(), Processes::of(nginx.id()), Box::new(nginx))
            }
            Id::CachingWorker => in_workerd("tools/bench/workers/caching", &origin_vars),
            Id::BareWorker => in_workerd("tools/bench/workers/bare", &origin_vars),
            Id::HeadedWorker => in_workerd(HEADED, &origin_vars),
            Id::WrappedWorker => in_workerd(HEADED, &[origin_vars[0], ("ENTRY", "wrapped")]),
            Id::Strict => in_workerd(ours, &our_vars("0")),
            Id::Leased => in_workerd(ours, &our_vars("300")),
            Id::MiniflareCachingWorker => in_miniflare("tools/bench/workers/caching", &origin_vars),
            Id::MiniflareStrict => in_miniflare(OURS, &our_vars("0")),
            Id::MiniflareLeased => in_miniflare(OURS, &our_vars("300")),
        };
        Self { id, processes, link, address, _held: held }
    }

    /// Where the client meets it. Contenders at the edge are near; Synapse alone is as far away as
    /// it is for them, and without a distance it is met directly.
    pub(crate) fn address(&self, round_trip_ms: u64) -> &str {
        if self.id == Id::Synapse && round_trip_ms > 0 { &self.link.address } else { &self.address }
    }
}

/// The variables of our Worker.
pub(crate) fn our_vars<'a>(
    origin: &'a str,
    server_name: &'a str,
    lease_seconds: &'a str,
) -> [(&'a str, &'a str); 6] {
    [
        ("HOMESERVER_URL", origin),
        ("SERVER_NAME", server_name),
        ("MEDIA_URL", "https://media.example.org"),
        ("WELL_KNOWN_URL", origin),
        ("LEASE_SECONDS", lease_seconds),
        // The others log nothing either.
        ("LOG_REQUESTS", "none"),
    ]
}
