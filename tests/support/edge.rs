//! The built Worker in real workerd.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::ROOT;
use crate::cloudflare::StandIn;
use crate::http::Request;
use crate::process::{Server, descendant, resident_bytes};
use crate::profile::Profile;
use crate::proxy::Proxy;
use crate::script::{json_of, node};
use crate::stores::Stores;
use crate::time::wait_for;

/// Where our Worker lies, built.
const BUILD: &str = "build";

const START_PATIENCE: Duration = Duration::from_secs(60);
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// What stands in tokens, media, users and requests of the tests, and so in no log.
const SECRETS: [&str; 7] =
    ["syt_", "access_token", "Bearer ", "X-Matrix origin", "mxc://", "/_matrix/", "@alice"];

/// How many Workers there are, and what they share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Further isolates, which share the cache and nothing else.
    pub neighbors: usize,
    /// Further data centres, which share nothing but the bucket.
    pub pops: usize,
    /// The bucket of all.
    pub bucket: BucketKind,
    /// What takes data points.
    pub metrics: Metrics,
    /// The network around it, if not the one that all tests run in.
    pub profile: Option<Profile>,
    /// Whether nothing stays in a cache.
    pub is_without_cache: bool,
    /// Where the front speaks TLS, with a certificate that nobody trusts.
    pub tls_port: Option<u16>,
    /// Whether [`Edge::held`] can be told. An isolate takes one inspector at a time.
    pub is_inspected: bool,
    /// How long after the answer, or after its client's leaving, background work is cut off, in
    /// milliseconds: 30,000 on the platform. `None`: never, which is the local runtime's way.
    pub cuts_background_ms: Option<u32>,
    /// The largest heap that V8 lets an isolate have, in MiB: it collects garbage before, and ends the
    /// whole process where that is not enough. `None`: as large as the machine allows.
    pub max_heap_mib: Option<u32>,
}

/// What is bound as `MEDIA_BUCKET`.
#[derive(Clone, Copy, Debug, Default)]
pub enum BucketKind {
    /// Nothing.
    #[default]
    None,
    /// R2: the runtime's own, within the limits of Cloudflare's if that is the profile.
    R2,
    /// One that counts what it does, and fails as it is told.
    Faulty,
}

/// What is bound as `METRICS`.
#[derive(Clone, Copy, Debug, Default)]
pub enum Metrics {
    /// Nothing.
    #[default]
    None,
    /// What writes each data point to the log.
    Told,
    /// What takes none.
    Failing,
}

/// What an isolate holds when its garbage has just been collected, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Objects on V8's heap.
    pub heap: u64,
    /// Buffers beside it.
    pub external: u64,
    /// Wasm's memory, which never shrinks.
    pub wasm: u64,
}

impl Held {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.heap + self.external + self.wasm
    }
}

/// A Worker with an empty cache, which ends when this is dropped.
#[derive(Debug)]
pub struct Edge {
    /// Where it listens, `127.0.0.1:port`, behind a front that does some of what Cloudflare does.
    pub address: String,
    /// The same without that front: the Worker sees what was sent.
    pub direct_address: String,
    /// Where the Worker's second isolate listens, likewise; empty if there is none.
    pub neighbor_address: String,
    /// Where it listens in further data centres, likewise.
    pub pop_addresses: Vec<String>,
    /// What it has stored.
    pub stores: Stores,
    /// What stands before its origin.
    pub proxy: Proxy,
    /// The stand-in of Cloudflare's cache, in a layout or profile that has it.
    pub cache: StandIn,
    /// The stand-in of what R2 limits, likewise.
    pub bucket: StandIn,
    inspector_address: String,
    server: Server,
}

impl Edge {
    /// Starts the built Worker with these variables.
    ///
    /// # Panics
    /// When it isn't built, when Miniflare isn't installed, or when it doesn't start.
    pub fn start(vars: &[(&str, &str)]) -> Self {
        Self::launch(BUILD, Layout::default(), None, vars)
    }

    /// The same with the Worker in another folder of the repository.
    ///
    /// # Panics
    /// As [`Edge::start`].
    pub fn start_worker(folder: &str, vars: &[(&str, &str)]) -> Self {
        Self::launch(folder, Layout::default(), None, vars)
    }

    /// Starts a Worker of another folder in another layout.
    ///
    /// # Panics
    /// As [`Edge::start`].
    pub fn start_worker_as(folder: &str, layout: Layout, vars: &[(&str, &str)]) -> Self {
        Self::launch(folder, layout, None, vars)
    }

    /// The same in another layout.
    ///
    /// # Panics
    /// As [`Edge::start`], or when the port is taken.
    pub fn start_as(layout: Layout, vars: &[(&str, &str)]) -> Self {
        Self::launch(BUILD, layout, None, vars)
    }

    /// Starts the built Worker in a process of its own that shares the stand-in of the cache with
    /// this one, as isolates of a data centre do, and that ends without it.
    ///
    /// # Panics
    /// As [`Edge::start`], or when this one's cache is no stand-in.
    pub fn start_beside(&self, layout: Layout, vars: &[(&str, &str)]) -> Self {
        Self::launch(BUILD, layout, Some(&self.cache), vars)
    }

    fn launch(
        folder: &str,
        layout: Layout,
        shared: Option<&StandIn>,
        vars: &[(&str, &str)],
    ) -> Self {
        let main = format!("{folder}/index.js");
        for (path, remedy) in
            [(main.as_str(), "make build"), ("node_modules/miniflare", "make setup")]
        {
            assert!(Path::new(ROOT).join(path).exists(), "{path} is missing: run `{remedy}`");
        }
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::from(*value));
        let vars = Value::Object(vars.iter().map(text).collect::<Map<_, _>>());
        let mut command = node();
        command.current_dir(ROOT).args(["tests/support/edge.mjs", folder]);
        let mut layout_json = layout.to_json();
        layout_json["cacheAddress"] = json!(shared.map(StandIn::address));
        command.args([vars.to_string(), layout_json.to_string()]);
        let (server, ready) = Server::start_watched(command, START_PATIENCE, tells_nobodys_secret);
        let addresses: Value = serde_json::from_str(&ready).expect("edge.mjs prints JSON");
        let at = |pointer: &str| {
            addresses.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Self {
            address: at("/front"),
            direct_address: at("/isolates/0"),
            neighbor_address: at("/isolates/1"),
            pop_addresses: (0..layout.pops).map(|pop| at(&format!("/pops/{pop}"))).collect(),
            stores: Stores::at(&at("/stores")),
            proxy: Proxy::at(&at("/proxy")),
            cache: StandIn::at(&at("/cache")),
            bucket: StandIn::at(&at("/bucket")),
            inspector_address: at("/inspector"),
            server,
        }
    }

    /// Triggers a scheduled event, and waits for its end.
    ///
    /// # Panics
    /// When the Worker fails.
    pub fn run_scheduled(&self) {
        let trigger = Request::new("GET", "/cdn-cgi/local/scheduled");
        let trigger = trigger.header("Host", &self.address);
        let answer = trigger.send(&self.address);
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }

    /// The process whose descendants are all that runs it.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Waits until it has logged this, which may be a moment after it did what it tells of.
    ///
    /// # Panics
    /// When it doesn't.
    pub fn wait_for_log(&self, text: &str) {
        wait_for(&format!("`{text}` in the log"), LOG_PATIENCE, || {
            self.log().contains(text).then_some(())
        });
    }

    /// What its first isolate holds, in a layout that is inspected.
    ///
    /// # Panics
    /// In any other layout.
    pub fn held(&self) -> Held {
        self.try_held().unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The same where the isolate may be gone.
    ///
    /// # Errors
    /// Why it can't be told.
    pub fn try_held(&self) -> Result<Held, String> {
        let mut command = node();
        command.args(["tests/support/held.mjs", &self.inspector_address, &self.direct_address]);
        let told = json_of("held.mjs", command)?;
        let bytes = |name: &str| told[name].as_u64().ok_or_else(|| format!("{name}: {told}"));
        Ok(Held { heap: bytes("heap")?, external: bytes("external")?, wasm: bytes("wasm")? })
    }

    /// Returns the process of its workerd, which runs the Worker.
    ///
    /// # Panics
    /// When workerd is gone.
    pub fn workerd_id(&self) -> u32 {
        descendant(self.server.id(), "workerd").expect("workerd is gone")
    }

    /// The memory of its workerd, which runs the Worker and keeps the cache.
    ///
    /// # Panics
    /// When workerd is gone.
    pub fn workerd_resident_bytes(&self) -> u64 {
        resident_bytes(self.workerd_id())
    }
}

fn tells_nobodys_secret(line: &str) -> bool {
    !SECRETS.iter().any(|secret| line.contains(secret))
}

impl Layout {
    fn to_json(self) -> Value {
        let bucket = match self.bucket {
            BucketKind::None => None,
            BucketKind::R2 => Some("r2"),
            BucketKind::Faulty => Some("faulty"),
        };
        let metrics = match self.metrics {
            Metrics::None => None,
            Metrics::Told => Some("told"),
            Metrics::Failing => Some("fails"),
        };
        let profile = self.profile.unwrap_or_else(Profile::current);
        let is_on_cloudflare = profile == Profile::Cloudflare;
        json!({
            "metrics": metrics,
            "neighbors": self.neighbors,
            "pops": self.pops,
            "bucket": bucket,
            "cache": !self.is_without_cache,
            "tlsPort": self.tls_port,
            "isInspected": self.is_inspected,
            "cloudflareProxy": is_on_cloudflare,
            "cloudflareCache": is_on_cloudflare,
            "cloudflareBucket": is_on_cloudflare,
            "cutsBackgroundMs": self.cuts_background_ms,
            "maxHeapMib": self.max_heap_mib,
        })
    }
}
