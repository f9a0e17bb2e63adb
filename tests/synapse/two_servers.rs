//! Two homeservers, each behind an edge of its own that speaks TLS at its server name: one's users
//! read the other's media, which travels from Synapse through an edge to Synapse.
//!
//! The *owner* keeps its media behind authentication, as Synapse does by default; media of the
//! *reader* is open at the legacy door too.

use std::net::TcpListener;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::scope;
use std::time::Duration;

use serde_json::Value;
use test_support::edge::Edge;
use test_support::noise::noise;
use test_support::synapse::Synapse;
use test_support::time::wait_for;

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY};
use crate::parity::Parity;
use crate::servers::{start_synapse, start_tls_edge};
use crate::world::SQUARES;

const USER: &str = "alice";

/// How long the edge may take to store what it sent.
const PATIENCE: Duration = Duration::from_secs(20);

struct Site {
    synapse: Synapse,
    edge: Edge,
}

static OWNER: LazyLock<Site> = LazyLock::new(|| Site::start(&[]));
static READER: LazyLock<Site> = LazyLock::new(|| Site::start(&["--open-media"]));

/// Media of one site.
struct Item {
    site: &'static Site,
    id: String,
    bytes: Vec<u8>,
}

#[test]
fn media_reaches_another_homeserver_whole_and_later_on_a_304() {
    federate(|owner| {
        // Synapse sends no empty file to other servers: see `federation`.
        let sizes = [1, 16_383, 16_384, 16_385, 1 << 20, 30 << 20];
        for item in sizes.map(|size| owner.upload("image/png", "", noise(size))) {
            assert_arrives(&item);
            assert_eq!(item.answers_to_servers(), [200], "{} bytes", item.bytes.len());
            wait_for("the owner's edge serves what it has stored", PATIENCE, || {
                READER.forget_remote_media();
                assert_arrives(&item);
                item.answers_to_servers().ends_with(&[304]).then_some(())
            });
        }
    });
}

#[test]
fn types_and_names_reach_another_homeserver() {
    let types = ["image/png", "text/plain; charset=utf-8", "application/pdf", "garbage"];
    let names = ["", "plain.bin", "%C3%A9t%C3%A9%20%E2%98%80.bin", "a%3Bb%22c.bin", "a%2Fb.bin"];
    federate(|owner| {
        for (content_type, name) in types.iter().flat_map(|t| names.map(|name| (t, name))) {
            let item = owner.upload(content_type, name, b"bytes".to_vec());
            let theirs = item.download_by(owner);
            for state in ["from Synapse", "from the edge"] {
                let ours = item.download_by(&READER);
                for header in ["content-type", "content-disposition"] {
                    assert_eq!(ours.header(header), theirs.header(header), "{name} {state}");
                }
                READER.forget_remote_media();
            }
        }
    });
}

#[test]
fn media_that_is_gone_is_gone_for_other_homeservers() {
    federate(|owner| {
        let item = owner.upload("image/png", "", b"soon deleted".to_vec());
        assert_arrives(&item);
        READER.forget_remote_media();
        let path = format!("/_synapse/admin/v1/media/{}/{}", owner.synapse.server_name, item.id);
        assert_eq!(owner.as_admin(Ask::get(&path).method("DELETE")).status, 200);
        let answer = READER.direct(&item.client_download().token(READER.synapse.token(USER)));
        assert_eq!((answer.status, answer.errcode().as_str()), (404, "M_NOT_FOUND"));
    });
}

#[test]
fn quarantined_media_of_another_homeserver_is_listed_by_its_owners_name_and_refused() {
    federate(|owner| {
        let item = owner.upload("image/png", "", b"soon quarantined by others".to_vec());
        assert_arrives(&item);
        let server = &owner.synapse.server_name;
        let path = format!("/_synapse/admin/v1/media/quarantine/{server}/{}", item.id);
        assert_eq!(READER.as_admin(Ask::post(&path, b"{}")).status, 200);
        let list = Ask::get("/_synapse/admin/v1/media/quarantine_changes");
        let changes = READER.as_admin(list).json()["changes"].take();
        let is_listed = |change: &Value| {
            change["origin"] == server.as_str() && change["media_id"] == item.id.as_str()
        };
        assert!(changes.as_array().is_some_and(|all| all.iter().any(is_listed)), "{changes}");
        let ask = item.client_download().token(READER.synapse.token(USER));
        assert_eq!(READER.direct(&ask.header("If-None-Match", "1")).status, 404);
    });
}

#[test]
fn open_media_is_the_same_at_the_legacy_door() {
    let mut parity = Parity::default();
    let item = READER.upload("image/png", "squares.png", SQUARES.to_vec());
    for state in ["cold", "warm", "warm again"] {
        for version in ["r0", "v1", "v3"] {
            let download = Ask::get(&item.legacy_path(version, "download"));
            let thumbnail = Ask::get(&item.legacy_path(version, "thumbnail"))
                .query("width=320&height=240&method=scale");
            let named = download.clone().path_suffix("/other.png");
            for ask in [named, download.clone().method("HEAD"), download, thumbnail] {
                let name = format!("{} {state}", ask.target());
                let told = parity.compare(&name, &READER.direct(&ask), &READER.edge(&ask));
                assert_eq!(told, (200, String::new()), "Synapse itself on: {name}");
            }
        }
    }
    parity.expect_none();
}

#[test]
fn media_stored_at_the_client_door_is_served_at_the_legacy_door_on_its_own_304() {
    let item = READER.upload("image/png", "", SQUARES.to_vec());
    let by_client = item.client_download().token(READER.synapse.token(USER));
    wait_for("it is stored", PATIENCE, || READER.edge(&by_client).is_revalidated().then_some(()));

    let legacy = Ask::get(&item.legacy_path("v3", "download"));
    let answer = READER.edge(&legacy);
    assert_eq!((answer.status, &answer.body[..]), (200, SQUARES));
    assert_eq!(READER.synapse.answers_with(&legacy.target()), [304]);
    let part = READER.edge(&legacy.header("Range", "bytes=8-15"));
    assert_eq!((part.status, &part.body[..]), (206, &SQUARES[8..16]));
}

#[test]
fn media_stored_at_the_legacy_door_grants_nothing_at_the_client_door() {
    let item = READER.upload("image/png", "", SQUARES.to_vec());
    let legacy = Ask::get(&item.legacy_path("v3", "download"));
    wait_for("it is stored", PATIENCE, || READER.edge(&legacy).is_revalidated().then_some(()));
    let answer = READER.edge(&item.client_download().token("syt_nobody"));
    assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_UNKNOWN_TOKEN"));
}

/// Starts both homeservers at the same time, and runs a test to which they belong alone: what one
/// test makes the reader forget would be missing in the middle of another's download.
fn federate(test: impl FnOnce(&'static Site)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    scope(|scope| {
        scope.spawn(|| LazyLock::force(&READER));
        LazyLock::force(&OWNER);
    });
    test(&OWNER);
}

/// Claims that the reader's user gets the item as it was uploaded.
fn assert_arrives(item: &Item) {
    let answer = item.download_by(&READER);
    assert!(answer.body == item.bytes, "{} of {} bytes", answer.body.len(), item.bytes.len());
    assert_eq!(answer.header("content-type"), Some("image/png"));
}

impl Site {
    fn start(options: &[&str]) -> Self {
        // The name must be known before anything can listen there: the port is kept meanwhile.
        let port = TcpListener::bind("127.0.0.1:0").expect("no port is free");
        let address = port.local_addr().expect("it has an address");
        let synapse = start_synapse(&address.to_string(), &[USER], options);
        drop(port);
        let edge = start_tls_edge(&synapse, address.port());
        Self { synapse, edge }
    }

    fn direct(&self, ask: &Ask) -> Answer {
        ask.send(&self.synapse.address, HOMESERVER_AUTHORITY)
    }

    fn edge(&self, ask: &Ask) -> Answer {
        ask.send(&self.edge.direct_address, HOMESERVER_AUTHORITY)
    }

    fn as_admin(&self, ask: Ask) -> Answer {
        self.direct(&ask.token(self.synapse.token("admin")))
    }

    /// Uploads to the homeserver itself; the file name is percent-encoded.
    fn upload(&'static self, content_type: &str, file_name: &str, bytes: Vec<u8>) -> Item {
        let upload = Ask::post("/_matrix/media/v3/upload", &bytes)
            .query(&format!("filename={file_name}"))
            .header("Content-Type", content_type)
            .token(self.synapse.token(USER));
        let json = self.direct(&upload).json();
        let uri = json["content_uri"].as_str().unwrap_or_else(|| panic!("no content_uri: {json}"));
        let id = uri.rsplit('/').next().unwrap_or_default().to_owned();
        Item { site: self, id, bytes }
    }

    /// Makes the homeserver forget all that it holds of others' media.
    fn forget_remote_media(&self) {
        const FAR_FUTURE_UNIX_MS: u64 = 4_000_000_000_000;
        let path = format!("/_synapse/admin/v1/purge_media_cache?before_ts={FAR_FUTURE_UNIX_MS}");
        let answer = self.as_admin(Ask::post(&path, b"{}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

impl Item {
    fn client_download(&self) -> Ask {
        let server = &self.site.synapse.server_name;
        Ask::get(&format!("/_matrix/client/v1/media/download/{server}/{}", self.id))
    }

    fn legacy_path(&self, version: &str, what: &str) -> String {
        format!("/_matrix/media/{version}/{what}/{}/{}", self.site.synapse.server_name, self.id)
    }

    /// Downloads it as a user of `site`, from that homeserver itself.
    fn download_by(&self, site: &Site) -> Answer {
        let answer = site.direct(&self.client_download().token(site.synapse.token(USER)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// How its homeserver answered others who asked for it.
    fn answers_to_servers(&self) -> Vec<u16> {
        let path = format!("/_matrix/federation/v1/media/download/{}?", self.id);
        self.site.synapse.answers_with(&path)
    }
}
