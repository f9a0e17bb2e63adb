//! One thing in many spellings: paths that hide where they lead, hosts of the media domain, and the
//! names of servers in purges.

use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::edge::BucketKind;
use test_support::http::Request;
use test_support::time::wait_for;

use super::{Door, media, validate};
use crate::admin::purge::{assert_gone, mxc, purge, start};
use crate::download::federation::signed;
use crate::support::origin::{Origin, Reply};
use crate::support::world::{
    BODY, PATIENCE, World, federation_path, media_domain, same_host, shared, start_edge, tier,
    wait_for_tier,
};

#[test]
fn a_path_with_hidden_dot_segments_is_refused() {
    let world = shared();
    let token = world.token();
    for path in [
        "/_matrix/client/v1/media/download/example.com/..%2f..%2f_elsewhere%2fhidden",
        "/_matrix/client/v1/media/download/example.com/..%2F..%2F_elsewhere/hidden",
        "/_matrix/client/v1/media/download/example.com/..%5c..%5C_elsewhere/hidden",
        "/_matrix/client/v1/media/download/%2e%2e%2f_elsewhere/hidden",
        "/_matrix/client/v1/media/download/.%2E%5C_elsewhere/hidden",
        "/_matrix/client/v1/media/thumbnail/example.com/x%2f..%2f_elsewhere%2fhidden",
        "/_matrix/client/v1/media/..%2f..%2f_elsewhere/hidden",
        "/_matrix/media/v3/..%2f..%2f..%2f_elsewhere/hidden",
        "/_matrix/media/..%5c..%5c_elsewhere/hidden",
        "/_matrix/media/v3/download/example.com/x%5c..%5c_elsewhere%5chidden",
        "/_matrix/federation/v1/media/download/..%2f_elsewhere%2fhidden",
        "/_matrix/client/unstable/org.matrix.msc3916/media/..%2f_elsewhere/hidden",
        "/_matrix/media/v3/..%252f..%252f_elsewhere/hidden",
        "/_matrix/media/v3/%252e%252e%252f_elsewhere/hidden",
        "/_matrix/media/v3/%252E%252e%255c_elsewhere/hidden",
        "/_matrix/media/v3/..%255C_elsewhere/hidden",
    ] {
        for request in [media_domain("GET", path), same_host("GET", path)] {
            let answer = request.bearer(&token).send(&world.edge.direct_address);
            assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        }
    }
    let asked: Vec<_> = world.origin.records().into_iter().map(|r| r.head.target).collect();
    assert!(!asked.iter().any(|target| target.contains("hidden")), "{asked:?}");
}

#[test]
fn an_upload_to_a_path_with_hidden_dot_segments_is_refused() {
    let world = shared();
    for (method, path) in [
        ("POST", "/_matrix/media/v3/..%2f..%2f_elsewhere/uploaded"),
        ("PUT", "/_matrix/media/v3/upload/example.com/..%2f..%2f_elsewhere%2fuploaded"),
        ("PUT", "/_matrix/media/v3/upload/..%5c_elsewhere/uploaded"),
    ] {
        let request = media_domain(method, path).bearer(&world.token()).body(BODY);
        let answer = request.send(&world.edge.direct_address);
        assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        assert_eq!(world.origin.asked(path).len(), 0, "{path}");
    }
}

#[test]
fn harmless_dots_and_escapes_are_forwarded() {
    let world = shared();
    for path in [
        "/_matrix/client/v1/media/download/example.com/a%2fb",
        "/_matrix/client/v1/media/download/example.com/a%5cb",
        "/_matrix/client/v1/media/download/example.com/...",
        "/_matrix/client/v1/media/download/example.com/a..b",
    ] {
        world.origin.forget(path);
        let answer = media_domain("GET", path).bearer(&world.token());
        let answer = answer.send(&world.edge.direct_address);
        assert_matrix_error(&answer, 404, "M_NOT_FOUND");
        world.origin.asked_once(path);
    }
    let target = "/_matrix/client/v1/media/preview_url?url=https:%2f%2fa.example%2f..%2fb%5c..%5cc";
    let answer = media_domain("GET", target).bearer(&world.token());
    assert_eq!(answer.send(&world.edge.direct_address).status, 200);
    world.origin.asked_once(target);
}

/// Claims that on a host nothing but media is served.
#[track_caller]
fn assert_media_only(media_url: &str, host: &str) {
    let origin = Origin::start();
    origin.reply("/_synapse/admin", Reply::new(200).body("theirs"));
    let edge = start_edge(&origin.url(), &[("MEDIA_URL", media_url)]);
    let answer = Request::new("GET", "/_synapse/admin").header("Host", host);
    let answer = answer.send(&edge.direct_address);
    assert_matrix_error(&answer, 404, "M_UNRECOGNIZED");
    assert!(origin.records().is_empty(), "{media_url} at {host}");
}

#[test]
fn a_media_domain_with_a_padded_port_serves_media_only() {
    assert_media_only("https://media.example.com:0443", "media.example.com");
}

#[test]
fn a_media_domain_with_a_padded_port_of_its_own_serves_media_only() {
    assert_media_only("https://media.example.com:08448", "media.example.com:8448");
}

#[test]
fn a_media_domain_with_a_long_address_serves_media_only() {
    assert_media_only("https://[FD00:0DB8:0:0:0:0:0:1]", "[fd00:db8::1]");
}

#[test]
fn an_address_that_is_oddly_written_is_refused() {
    for (variable, host) in [
        ("MEDIA_URL", "127.1"),
        ("MEDIA_URL", "0x7f.0.0.1"),
        ("MEDIA_URL", "2130706433"),
        ("HOMESERVER_URL", "127.1"),
        ("WELL_KNOWN_URL", "0x7f.0.0.1"),
    ] {
        let url = format!("https://{host}");
        let edge = start_edge("http://127.0.0.1:9", &[(variable, &url)]);
        let answer = same_host("GET", "/_matrix/client/versions").send(&edge.address);
        assert_matrix_error(&answer, 500, "M_UNKNOWN");
        assert!(answer.text().contains(variable), "{url}: {}", answer.text());
    }
}

fn purging() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| start(BucketKind::R2));
    &WORLD
}

/// Has the edge store media of these spellings of a server's name, in every tier.
fn store_spellings(servers: &[&str], id: &str) -> Vec<Request> {
    let world = purging();
    let requests: Vec<_> = servers
        .iter()
        .map(|server| {
            let path = format!("/_matrix/client/v1/media/download/{server}/{id}");
            let reply = media(200).header("Content-Type", "image/png").body(BODY);
            validate(&world.origin, &path, "1", reply);
            same_host("GET", path).bearer(&world.token())
        })
        .collect();
    store_everywhere(id, &requests);
    requests
}

fn store_everywhere(id: &str, requests: &[Request]) {
    let world = purging();
    for request in requests {
        wait_for_tier("memory", request, &world.edge.direct_address);
    }
    wait_for("all are in the bucket", PATIENCE, || (objects(id) == requests.len()).then_some(()));
}

/// How many objects of this media are in the bucket.
fn objects(id: &str) -> usize {
    let keys = purging().edge.stores.keys();
    keys.iter().filter(|key| key.contains(&format!("/{id}/"))).count()
}

const SPELLINGS: [&str; 5] =
    ["example.org", "EXAMPLE.org", "Example.Org:443", "example.org:8448", "EXAMPLE.ORG:8448"];

#[test]
fn a_purge_of_a_media_covers_all_spellings_of_its_server() {
    let world = purging();
    for (number, named) in ["example.org", "EXAMPLE.ORG", "Example.org:8448"].iter().enumerate() {
        let id = format!("spelled{number}");
        let requests = store_spellings(&SPELLINGS, &id);
        purge(world, &json!({ "mxc": format!("mxc://{named}/{id}") }).to_string());
        assert_eq!(objects(&id), 0, "{named}");
        for request in &requests {
            assert_gone(request, &world.edge.direct_address);
        }
    }
}

/// Servers of its own, for a purge of one is of everything that the other tests have of it.
#[test]
fn a_purge_of_a_server_covers_all_its_spellings() {
    let world = purging();
    let spellings = ["many.example", "MANY.example", "many.example:8448", "Many.Example:1"];
    for (number, named) in ["Many.EXAMPLE", "many.example:8448"].iter().enumerate() {
        let id = format!("many{number}");
        let requests = store_spellings(&spellings, &id);
        purge(world, &json!({ "server_name": named }).to_string());
        assert_eq!(objects(&id), 0, "{named}");
        for request in &requests {
            assert_gone(request, &world.edge.direct_address);
        }
    }
}

/// A server is asked for what is its own, and so under no name.
#[test]
fn a_purge_of_own_media_in_another_spelling_covers_all_its_forms() {
    let world = purging();
    for named in ["EXAMPLE.com", "example.com:8448"] {
        let id = world.media();
        let requests = [
            Door::Client.get(world, &Door::Client.download(&id)),
            signed("GET", &federation_path(&id)),
        ];
        store_everywhere(&id, &requests);
        purge(world, &json!({ "mxc": format!("mxc://{named}/{id}") }).to_string());
        assert_eq!(objects(&id), 0, "{named}");
        for request in &requests {
            assert_gone(request, &world.edge.direct_address);
        }
    }
}

#[test]
fn a_purge_covers_no_server_with_a_similar_name() {
    let world = purging();
    let others = ["alike.example.net", "xalike.example", "alike.exampl", "like.example"];
    let requests = store_spellings(&others, "alike");
    let longer = store_spellings(&["alike.example"], "alike2");
    purge(world, r#"{"mxc":"mxc://alike.example/alike"}"#);
    purge(world, r#"{"mxc":"mxc://ALIKE.example:8448/alike"}"#);
    for request in requests.iter().chain(&longer) {
        assert_eq!(tier(&request.send(&world.edge.direct_address)), "memory", "{request}");
    }
}

/// The clock that an entry was dated by may be some seconds ahead of the one that a purge was.
#[test]
fn an_entry_stored_seconds_after_a_purge_is_not_served() {
    let world = start(BucketKind::None);
    let id = world.media();
    let request = Door::Client.get(&world, &Door::Client.download(&id));
    purge(&world, &mxc(&id));
    sleep(Duration::from_secs(2));
    assert_eq!(request.send(&world.edge.direct_address).status, 200);
    sleep(Duration::from_millis(500));
    assert_gone(&request, &world.edge.direct_address);
    wait_for_tier("memory", &request, &world.edge.direct_address);
}
