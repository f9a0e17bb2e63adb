//! Synapse and its media, which all contenders serve.

use test_support::http::Request;
use test_support::noise::noise;
use test_support::signature::ServerKey;
use test_support::synapse::Synapse;

const USER: &str = "alice";

/// Its thumbnail of 320 × 240 pixels has 4108 bytes.
const PICTURE: &[u8] = include_bytes!("../circles.jpg");

/// Synapse makes no thumbnails of this type, and so nothing looks into the noise.
const OPAQUE_IMAGE: &str = "image/avif";

const FEDERATION: &str = "/_matrix/federation/v1/media/";

/// The thumbnails of a timeline.
const TIMELINE_LENGTH: usize = 60;

/// What all contenders serve, by their targets.
pub(crate) struct World {
    pub(crate) synapse: Synapse,
    key: ServerKey,
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
            key: ServerKey::read(&synapse.signing_key),
            synapse,
        }
    }

    /// Media that nobody has asked for yet.
    pub(crate) fn unseen(&self) -> String {
        upload(&self.synapse, OPAQUE_IMAGE, &noise(BIG_BYTES))
    }

    /// Returns the target by which other homeservers get the media of a download.
    pub(crate) fn federated(download: &str) -> String {
        let (_, media_id) = download.rsplit_once('/').expect("a target has segments");
        format!("{FEDERATION}download/{media_id}")
    }

    /// Returns the `Authorization` of the reader, or of another homeserver where those ask.
    pub(crate) fn authorization(&self, method: &str, target: &str) -> String {
        if target.starts_with(FEDERATION) {
            self.key.authorization(method, target, &self.synapse.server_name)
        } else {
            format!("Bearer {}", self.synapse.token(USER))
        }
    }
}

/// Uploads to Synapse itself; returns the target of a download.
fn upload(synapse: &Synapse, content_type: &str, body: &[u8]) -> String {
    let answer = Request::new("POST", "/_matrix/media/v3/upload")
        .header("Host", "localhost")
        .header("Content-Type", content_type)
        .bearer(synapse.token(USER))
        .body(body)
        .send(&synapse.address);
    let uri = answer.json()["content_uri"].as_str().map(str::to_owned);
    let uri = uri.unwrap_or_else(|| panic!("Synapse took no upload: {}", answer.text()));
    format!("/_matrix/client/v1/media/download/{}", uri.trim_start_matches("mxc://"))
}
