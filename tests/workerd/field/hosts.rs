//! Homeservers that choose by the public host which of several they are, as matrix-media-repo does: all
//! that they are asked tells that host, whoever asks under which name.

use test_support::http::Request;

use crate::download::federation::signed;
use crate::support::world::{
    BODY, HOMESERVER_HOST, World, download_path, federation_path, legacy_path, wait_until_stored,
};

const ADMIN_TOKEN: &str = "0123456789abcdef";

/// Every kind of request that leads to a question.
fn requests(world: &World, id: &str) -> Vec<Request> {
    let token = world.token();
    let get = |target: &str| Request::new("GET", target);
    let thumbnail = format!("/_matrix/client/v1/media/thumbnail/example.com/{id}");
    let upload = "/_matrix/media/v3/upload?filename=hosts";
    let mine = [
        get(&download_path(id)),
        get(&format!("{}/name.png", download_path(id))),
        get(&format!("{}?x=y", download_path(id))),
        get(&format!("{thumbnail}?width=32&height=32&method=crop")),
        get(&download_path(id)).header("Range", "bytes=1-2"),
        Request::new("HEAD", download_path(id)),
        get("/_matrix/client/v1/media/config"),
        get("/_matrix/client/v1/media/preview_url?url=hosts"),
        Request::new("POST", "/_matrix/media/v1/create").body("{}"),
        Request::new("POST", upload).body(BODY),
        Request::new("POST", upload).chunked(BODY),
        Request::new("PUT", "/_matrix/media/v3/upload/example.com/hosts").body(BODY),
        get("/_matrix/client/v3/sync"),
    ];
    let mut all: Vec<_> = mine.into_iter().map(|request| request.bearer(&token)).collect();
    all.extend([
        get(&legacy_path(id)),
        get(&download_path(id)).header("Cookie", "auth=alice"),
        signed("GET", &federation_path(id)).without("Host"),
        get("/_edge/status"),
        Request::new("POST", "/_edge/selftest").bearer(ADMIN_TOKEN).body(""),
    ]);
    all
}

#[test]
fn every_question_carries_the_public_host_alone() {
    for lease_seconds in ["0", "600"] {
        let public_url = format!("https://{HOMESERVER_HOST}");
        let vars = [("PUBLIC_URL", public_url.as_str()), ("ADMIN_TOKEN", ADMIN_TOKEN)];
        let leases = [("LEASE_SECONDS", lease_seconds), ("STALE_IF_ERROR_SECONDS", "600")];
        let world = World::start_with(&[&vars[..], &leases].concat());
        let id = world.legacy_media();
        for host in [HOMESERVER_HOST, "media.example.com"] {
            let host = |request: Request| {
                let request = request.header("Host", host);
                request.header("X-Forwarded-Host", "evil.example.org")
            };
            for request in requests(&world, &id) {
                host(request).send(&world.edge.address);
            }
            let stored = Request::new("GET", download_path(&id)).bearer(&world.token());
            wait_until_stored(&host(stored), &world.edge.address);
        }
        let records = world.origin.records();
        let of_homeserver =
            records.iter().filter(|asked| asked.head.target.starts_with("/_matrix/"));
        let mut count = 0;
        for asked in of_homeserver {
            let told: Vec<_> = asked.head.headers.all("x-forwarded-host").collect();
            assert_eq!(told, [HOMESERVER_HOST], "{:?}", asked.head);
            count += 1;
        }
        assert!(count > 25, "{count} questions");
    }
}
