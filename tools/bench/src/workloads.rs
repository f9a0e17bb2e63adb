//! What is asked of the contenders.

mod hits;
mod start_up;
mod timeline;
mod transfers;

pub(crate) use self::start_up::start_up_ms;
use crate::contenders::Id::{self, *};
use crate::sample::{Figure, Figures};
use crate::scene::Scene;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The figure that is plotted.
    pub(crate) headline: Figure,
    pub(crate) contenders: &'static [Id],
    pub(crate) measure: fn(&Scene<'_>) -> Figures,
}

/// The name under which start-up times are kept.
pub(crate) const START_UP: &str = "start-up";

const ALL: &[Id] = &[Synapse, Nginx, CachingWorker, BareWorker, Strict, Leased];

/// Also those that are in between, and those that have Miniflare's cache.
const ALL_IN_DETAIL: &[Id] = &[
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
];

/// Those that may fetch bodies from Synapse.
const FETCHING: &[Id] = &[Synapse, Nginx, CachingWorker, Strict, Leased];

/// Those that ask Synapse whether a token is good.
const AUTHORIZING: &[Id] = &[Synapse, Nginx, Strict, Leased];

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "thumbnail",
        title: "4 KiB thumbnail, hit",
        headline: Figure::RequestsPerSecond,
        contenders: ALL_IN_DETAIL,
        measure: hits::thumbnail,
    },
    Workload {
        name: "thumbnail-alone",
        title: "4 KiB thumbnail, hit, one connection",
        headline: Figure::P50Ms,
        contenders: ALL,
        measure: hits::thumbnail_alone,
    },
    Workload {
        name: "image",
        title: "256 KiB image, hit",
        headline: Figure::RequestsPerSecond,
        contenders: ALL_IN_DETAIL,
        measure: hits::image,
    },
    Workload {
        name: "big",
        title: "10 MB, hit",
        headline: Figure::MegabytesPerSecond,
        contenders: ALL,
        measure: hits::big,
    },
    Workload {
        name: "federation",
        title: "10 MB for another homeserver, in 16 KiB pieces, hit",
        headline: Figure::CpuMsPerRequest,
        contenders: &[CachingWorker, Strict],
        measure: hits::federation,
    },
    Workload {
        name: "miss",
        title: "10 MB, miss",
        headline: Figure::FirstByteMs,
        contenders: FETCHING,
        measure: transfers::miss,
    },
    Workload {
        name: "range",
        title: "1 MB from the middle of 50 MB, hit",
        headline: Figure::TotalMs,
        contenders: FETCHING,
        measure: transfers::range,
    },
    Workload {
        name: "upload",
        title: "100 MB upload",
        headline: Figure::MegabytesPerSecond,
        contenders: FETCHING,
        measure: transfers::upload,
    },
    Workload {
        name: "well-known",
        title: "Well-known document",
        headline: Figure::RequestsPerSecond,
        contenders: ALL,
        measure: hits::well_known,
    },
    Workload {
        name: "preflight",
        title: "Preflight",
        headline: Figure::RequestsPerSecond,
        contenders: ALL,
        measure: hits::preflight,
    },
    Workload {
        name: "refused",
        title: "A token that Synapse doesn't know (401)",
        headline: Figure::RequestsPerSecond,
        contenders: AUTHORIZING,
        measure: hits::refused,
    },
    Workload {
        name: "timeline",
        title: "Timeline: 60 thumbnails over 6 new connections, hits",
        headline: Figure::TotalMs,
        contenders: ALL,
        measure: timeline::open,
    },
];
