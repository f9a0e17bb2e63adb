//! Synapse, its media, and one contender with the distance at which it is measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use test_support::http::{Answer, Request};
use test_support::noise::noise;
use test_support::synapse::Synapse;
use test_support::time::now;

use crate::client::{Client, Transfer};
use crate::contenders::{Contender, Id};
use crate::process_stats::Processes;
use crate::sample::{Figure, Figures};

const USER: &str = "alice";

/// Its thumbnail of 320 × 240 pixels has 4108 bytes.
const PICTURE: &[u8] = include_bytes!("../circles.jpg");

/// Synapse makes no thumbnails of this type, and so nothing looks into the noise.
const OPAQUE_IMAGE: &str = "image/avif";

/// The thumbnails of a timeline.
const TIMELINE_LENGTH: usize = 60;

/// What all contenders serve, by their targets.
pub(crate) struct World {
    pub(crate) synapse: Synapse,
    pub(crate) thumbnails: Vec<String>,
    pub(crate) image: String,
    pub(crate) big: String,
    pub(crate) huge: String,
}

pub(crate) const IMAGE_BYTES: usize = 256 << 10;
pub(crate) const BIG_BYTES: usize = 10_000_000;
pub(crate) const HUGE_BYTES: usize = 50_000_000;

impl World {
    pub(crate) fn start(folder: &str) -> Self {
        let synapse = Synapse::start(folder, "localhost", &[USER], &[]);
        let upload = |content_type: &str, body: &[u8]| upload(&synapse, content_type, body);
        let thumbnail = |_| {
            let path = upload("image/jpeg", PICTURE).replace("/download/", "/thumbnail/");
            path + "?width=320&height=240&method=scale"
        };
        Self {
            thumbnails: (0..TIMELINE_LENGTH).map(thumbnail).collect(),
            image: upload(OPAQUE_IMAGE, &noise(IMAGE_BYTES)),
            big: upload(OPAQUE_IMAGE, &noise(BIG_BYTES)),
            huge: upload("video/mp4", &noise(HUGE_BYTES)),
            synapse,
        }
    }

    /// Media that nobody has asked for yet.
    pub(crate) fn unseen(&self) -> String {
        upload(&self.synapse, OPAQUE_IMAGE, &noise(BIG_BYTES))
    }

    /// The `Authorization` of the reader.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.synapse.token(USER))
    }
}

/// Uploads to Synapse itself; returns the target of a download.
fn upload(synapse: &Synapse, content_type: &str, body: &[u8]) -> String {
    let answer: Answer = Request::new("POST", "/_matrix/media/v3/upload")
        .header("Host", "localhost")
        .header("Content-Type", content_type)
        .bearer(synapse.token(USER))
        .body(body)
        .send(&synapse.address);
    let uri = answer.json()["content_uri"].as_str().map(str::to_owned);
    let uri = uri.unwrap_or_else(|| panic!("Synapse took no upload: {}", answer.text()));
    format!("/_matrix/client/v1/media/download/{}", uri.trim_start_matches("mxc://"))
}

/// What a workload sees of a contender.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) contender: &'a Contender,
    pub(crate) round_trip_ms: u64,
    /// How long requests are made.
    pub(crate) seconds: u64,
}

impl Scene<'_> {
    pub(crate) fn address(&self) -> &str {
        self.contender.address(self.round_trip_ms)
    }

    /// A request of the reader.
    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target)
            .header("Host", self.address())
            .header("Authorization", self.world.authorization())
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address()).expect("the contender can't be reached")
    }

    /// A client that is connected to the contender, and the contender to Synapse.
    pub(crate) fn warm_client(&self) -> Client {
        static ASKED: AtomicU64 = AtomicU64::new(0);
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let mut client = self.client();
        // Nobody can have cached this.
        let target = format!("/_matrix/client/versions?{number}");
        client.get(&self.request("GET", &target)).expect("it breaks off");
        client
    }

    /// Asks three times, with a pause in which it can be stored.
    pub(crate) fn warm(&self, target: &str) {
        if self.contender.id == Id::Synapse {
            return;
        }
        for _ in 0..3 {
            let Transfer { status, .. } =
                self.client().get(&self.request("GET", target)).expect("it breaks off");
            assert_eq!(status, 200, "{} {target}", self.contender.id.title());
            sleep(Duration::from_millis(50));
        }
    }

    /// Does something, and tells besides what it says itself what it cost. `act` returns how many
    /// requests it has made.
    pub(crate) fn observe(&self, act: impl FnOnce() -> (u64, Figures)) -> Figures {
        let own = &self.contender.processes;
        let origin = Processes::of(self.world.synapse.id);
        own.forget_peak();
        let before = (own.cpu_ms(), origin.cpu_ms(), self.contender.link.passed());
        let (requests, mut figures) = act();
        let requests = requests as f64;
        let passed = self.contender.link.passed();
        figures.insert(Figure::PeakResidentMib, own.peak_resident_mib());
        if self.contender.id != Id::Synapse {
            figures.insert(Figure::CpuMsPerRequest, (own.cpu_ms() - before.0) / requests);
        }
        figures.insert(Figure::OriginCpuMsPerRequest, (origin.cpu_ms() - before.1) / requests);
        // Without a distance Synapse alone is met directly, where nobody counts.
        if self.contender.id != Id::Synapse || self.round_trip_ms > 0 {
            let asked = (passed.requests - before.2.requests) as f64;
            let bytes = (passed.bytes - before.2.bytes) as f64;
            figures.insert(Figure::OriginRequestsPer1000, asked * 1000.0 / requests);
            figures.insert(Figure::OriginKilobytesPer1000, bytes / requests);
        }
        figures
    }
}

/// Runs something and tells how long it took, in milliseconds.
pub(crate) fn timed_ms(act: impl FnOnce()) -> f64 {
    let started = now();
    act();
    started.elapsed().as_secs_f64() * 1000.0
}
