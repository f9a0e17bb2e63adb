//! What is asked: each module plays through a world from top to bottom.

mod admin;
mod bucket;
mod downloads;
mod endpoints;
mod faults;
mod leases;
mod redirects;
mod representations;
mod stale;
mod uploads;
mod well_known;

use std::cell::RefCell;

use test_support::edge::Layout;
use test_support::http::Request;

use crate::origin::{Origin, SERVER_NAME};
use crate::record::Record;
use crate::worlds::{HOMESERVER_HOST, MEDIA_HOST, World};

/// Where the client connects from, by the platform's word.
const CLIENT: &str = "203.0.113.7";

/// Small, and of every byte value.
const BODY: &[u8] = &{
    let mut bytes = [0; 256];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

/// `{"a":1}`, gzipped.
const GZIPPED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32,
    0xac, 0x05, 0x00, 0xaf, 0xac, 0x1b, 0x56, 0x07, 0x00, 0x00, 0x00,
];

const ADMIN_TOKEN: &str = "0123456789abcdef";

const SIGNATURE: &str =
    r#"X-Matrix origin="other.example",destination="example.com",key="ed25519:1",sig="c2ln""#;

/// Plays all scenarios.
pub(crate) fn play_all(record: &RefCell<Record>) {
    by_default(record);
    with_a_website(record);
    with_leases(record);
    stale::play(record);
    admin::play(record);
    bucket::play(record);
}

/// A world where no variable is set that need not be.
fn by_default(record: &RefCell<Record>) {
    let mut world = World::start(record, &[]);
    downloads::play(&mut world);
    representations::play(&mut world);
    endpoints::play(&mut world);
    faults::play(&mut world);
    well_known::play(&mut world);
    admin::play_without(&mut world);
}

/// A world whose well-known documents are at another server.
fn with_a_website(record: &RefCell<Record>) {
    let vars = |_: &Origin, website: &Origin| {
        vec![
            ("WELL_KNOWN_URL", website.url()),
            ("WELL_KNOWN_FIELDS", "unstable".to_owned()),
            ("ORIGIN_HEADERS", r#"{"X-Tunnel":"s3cret"}"#.to_owned()),
            ("MAX_UPLOAD_BYTES", "1000".to_owned()),
        ]
    };
    let mut world = World::start_as(record, Layout::default(), vars);
    well_known::play_of_website(&mut world);
    redirects::play(&mut world);
    uploads::play(&mut world);
}

/// Worlds of both kinds of leases, the second of them with all else that is off by default.
fn with_leases(record: &RefCell<Record>) {
    let mut world = World::start(record, &[("LEASE_SECONDS", "600")]);
    leases::play(&mut world);
    drop(world);
    let vars = [
        ("LEASE_SECONDS", "600"),
        ("LEASE_SCOPE", "token+media"),
        ("WELL_KNOWN_GENERATE", "true"),
        ("WELL_KNOWN_FIELDS", "stable"),
        ("ORIGIN_REDIRECTS", "pass"),
    ];
    let mut world = World::start(record, &vars);
    leases::play_by_media(&mut world);
    well_known::play_generated(&mut world);
    redirects::play_passed_on(&mut world);
}

/// A request to a host, as Cloudflare hands it on.
fn to_host(host: &str, method: &str, target: &str) -> Request {
    Request::new(method, target).header("Host", host).header("CF-Connecting-IP", CLIENT)
}

/// A request to the media domain.
fn media_domain(method: &str, target: &str) -> Request {
    to_host(MEDIA_HOST, method, target).header("User-Agent", "capture")
}

/// A request to the homeserver's own host.
fn same_host(method: &str, target: &str) -> Request {
    to_host(HOMESERVER_HOST, method, target).header("User-Agent", "capture")
}

fn download_path(id: &str) -> String {
    format!("/_matrix/client/v1/media/download/{SERVER_NAME}/{id}")
}

fn thumbnail_path(id: &str, query: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/{SERVER_NAME}/{id}?{query}")
}

fn legacy_path(id: &str) -> String {
    format!("/_matrix/media/v3/download/{SERVER_NAME}/{id}")
}

fn federation_path(id: &str) -> String {
    format!("/_matrix/federation/v1/media/download/{id}")
}

/// A download by the user with this token.
fn download(id: &str, token: &str) -> Request {
    media_domain("GET", &download_path(id)).bearer(token)
}

/// The key of stored media.
fn content_key(id: &str) -> String {
    format!("v2/{SERVER_NAME}/media/{SERVER_NAME}/{id}/{SERVER_NAME}/content")
}
