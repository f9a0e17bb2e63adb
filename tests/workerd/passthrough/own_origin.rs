//! A homeserver that the edge reaches at an address of its own: clients know another host, which is
//! all that they ever hear of.

use std::sync::LazyLock;

use serde_json::json;
use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use crate::support::origin::{Origin, Received, Reply};
use crate::support::world::{
    BODY, HOMESERVER_HOST, MEDIA_HOST, World, content_key, download_path, federation_path,
    legacy_path, same_host, shared, start_edge, tier, wait_for_entry, wait_until_stored,
};

const PUBLIC_URL: &str = "https://matrix.example.com";
const ADMIN_TOKEN: &str = "0123456789abcdef";
const CLIENT: &str = "/.well-known/matrix/client";
const SERVER: &str = "/.well-known/matrix/server";
const VERSIONS: &str = "/_matrix/client/versions";

/// Media on the homeserver's own host, and nothing announced elsewhere.
const SAME_HOST: [(&str, &str); 3] =
    [("PUBLIC_URL", PUBLIC_URL), ("MEDIA_URL", PUBLIC_URL), ("ADMIN_TOKEN", ADMIN_TOKEN)];

fn start_with(vars: &[(&str, &str)]) -> World {
    World::start_with(&[&SAME_HOST, vars].concat())
}

/// For all tests that touch no media, token or path of others.
fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| start_with(&[]));
    &WORLD
}

fn get(world: &World, path: &str) -> Answer {
    same_host("GET", path).send(&world.edge.address)
}

fn document(json: &serde_json::Value) -> Reply {
    Reply::json(200, json).header("Access-Control-Allow-Origin", "*")
}

/// Claims that neither a header nor the body tells where the edge reaches the homeserver.
#[track_caller]
fn assert_hides_origin(answer: &Answer) {
    let head = format!("{:?}", answer.headers);
    for text in [head.as_str(), &answer.text()] {
        assert!(!text.contains("127.0.0.1"), "{}: {text}", answer.status);
    }
}

#[test]
fn a_download_at_the_public_host_is_asked_of_the_origin_and_stored() {
    let world = world();
    let (id, token) = (world.media(), world.token());
    let request = same_host("GET", download_path(&id)).bearer(&token);
    let answer = request.send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(world.origin.asked(&download_path(&id)).len(), 1);
    assert_hides_origin(&answer);
    let again = wait_until_stored(&request, &world.edge.address);
    assert_eq!((again.status, &again.body[..]), (200, BODY));
}

#[test]
fn an_upload_at_the_public_host_reaches_the_origin_whole() {
    let world = world();
    let target = "/_matrix/media/v3/upload?filename=own-origin";
    let request = same_host("POST", target).bearer(&world.token()).body(BODY);
    let answer = request.send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.origin.asked_once(target).body, Received::whole(BODY));
    assert_hides_origin(&answer);
}

#[test]
fn the_rest_of_the_public_host_passes_to_the_origin() {
    let world = world();
    for path in ["/", "/_matrix/client/own-origin"] {
        world.origin.reply(path, Reply::new(418).body("theirs"));
        assert_eq!(get(world, path).text(), "theirs", "{path}");
    }
}

#[test]
fn generated_documents_lead_to_the_public_host() {
    let world = start_with(&[("WELL_KNOWN_GENERATE", "true"), ("WELL_KNOWN_FIELDS", "stable")]);
    let base = json!({ "base_url": PUBLIC_URL });
    let authority = format!("{HOMESERVER_HOST}:443");
    for (path, expected) in [
        (CLIENT, json!({ "m.homeserver": base, "m.media_server": base })),
        (SERVER, json!({ "m.server": authority, "m.media_server": authority })),
    ] {
        for host in ["example.com", HOMESERVER_HOST] {
            let answer = Request::new("GET", path).header("Host", host).send(&world.edge.address);
            assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{host}{path}");
        }
    }
}

#[test]
fn existing_documents_gain_the_media_url_and_keep_the_rest() {
    let world = start_with(&[("WELL_KNOWN_FIELDS", "stable")]);
    let own = json!({ "base_url": "https://own.example.com" });
    world.origin.reply(CLIENT, document(&json!({ "m.homeserver": own })));
    let expected = json!({ "m.homeserver": own, "m.media_server": { "base_url": PUBLIC_URL } });
    assert_eq!(get(&world, CLIENT).json(), expected);
}

#[test]
fn the_status_is_at_the_public_host() {
    let world = world();
    for path in ["/_edge/", "/_edge/status"] {
        let public = get(world, path);
        assert_eq!(public.status, 200, "{path}");
        assert_hides_origin(&public);
        let answer = same_host("GET", path).bearer(ADMIN_TOKEN).send(&world.edge.address);
        assert!(answer.text().contains("Homeserver"), "{path}: {}", answer.text());
    }
}

#[test]
fn a_purge_at_the_public_host_removes_what_is_stored() {
    let world = world();
    let (id, token) = (world.media(), world.token());
    let download = same_host("GET", download_path(&id)).bearer(&token);
    wait_until_stored(&download, &world.edge.address);
    wait_for_entry(&world.edge, HOMESERVER_HOST, &content_key(&id));
    let what = json!({ "mxc": format!("mxc://example.com/{id}") }).to_string();
    let purge = same_host("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body(&what);
    let answer = purge.send(&world.edge.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_hides_origin(&answer);
    assert_eq!(tier(&download.send(&world.edge.address)), "", "it is still stored");
    let stranger = same_host("POST", "/_edge/purge").bearer("another").body(&what);
    assert_matrix_error(&stranger.send(&world.edge.address), 403, "M_FORBIDDEN");
}

#[test]
fn the_status_is_at_the_public_host_beside_a_media_domain_as_well() {
    let media_url = format!("https://{MEDIA_HOST}");
    let world = start_with(&[("MEDIA_URL", &media_url)]);
    for host in [HOMESERVER_HOST, MEDIA_HOST] {
        let request = Request::new("GET", "/_edge/status").header("Host", host);
        assert_eq!(
            request.send(&world.edge.address).json()["server_name"],
            "example.com",
            "{host}"
        );
    }
    assert_matrix_error(
        &Request::new("GET", VERSIONS).header("Host", MEDIA_HOST).send(&world.edge.address),
        404,
        "M_UNRECOGNIZED",
    );
}

/// The homeserver is told the public host, whatever a client makes of it.
#[test]
fn the_origin_gets_the_public_host_and_nothing_forged() {
    let world = world();
    let (id, token) = (world.media(), world.token());
    let upload = "/_matrix/media/v3/upload?filename=told";
    for (request, path) in [
        (Request::new("GET", download_path(&id)).bearer(&token), download_path(&id)),
        (Request::new("GET", legacy_path(&id)), legacy_path(&id)),
        (Request::new("GET", federation_path(&id)), federation_path(&id)),
        (Request::new("POST", upload).bearer(&token).body(BODY), upload.to_owned()),
        (
            Request::new("GET", "/_matrix/client/v1/media/config"),
            "/_matrix/client/v1/media/config".to_owned(),
        ),
        (Request::new("GET", "/_matrix/client/told"), "/_matrix/client/told".to_owned()),
    ] {
        world.origin.forget(&path);
        let request = request.header("Host", "localhost:8787");
        let request = request.header("X-Forwarded-Host", "evil.example.org");
        request.header("Forwarded", "host=evil.example.org").send(&world.edge.address);
        let asked = world.origin.asked(&path);
        assert!(!asked.is_empty(), "{path}");
        for record in asked {
            let told: Vec<_> = record.head.headers.all("x-forwarded-host").collect();
            assert_eq!(told, [HOMESERVER_HOST], "{path}");
            assert_eq!(record.header("forwarded"), None, "{path}");
        }
    }
}

#[test]
fn the_edges_own_questions_carry_the_public_host() {
    let world = start_with(&[]);
    get(&world, "/_edge/status");
    let asked = world.origin.asked(VERSIONS);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("x-forwarded-host"), Some(HOMESERVER_HOST));
}

#[test]
fn an_origin_at_the_public_host_gets_no_forwarded_host() {
    let world = shared();
    let id = world.media();
    for (host, path) in [
        (HOMESERVER_HOST, download_path(&id)),
        (MEDIA_HOST, download_path(&id)),
        (HOMESERVER_HOST, "/_matrix/client/untold".to_owned()),
    ] {
        world.origin.forget(&path);
        let request = Request::new("GET", &path).bearer(&world.token()).header("Host", host);
        request.header("X-Forwarded-Host", "evil.example.org").send(&world.edge.address);
        let asked = world.origin.asked(&path);
        assert!(!asked.is_empty(), "{host}{path}");
        for record in asked {
            assert_eq!(record.header("x-forwarded-host"), None, "{host}{path}");
        }
    }
}

#[test]
fn a_host_of_documents_alone_gets_no_forwarded_host() {
    let website = Origin::start();
    let url = website.url();
    let world = start_with(&[("WELL_KNOWN_URL", &url)]);
    for path in [CLIENT, "/.well-known/matrix/support"] {
        get(&world, path);
        assert_eq!(website.asked_once(path).header("x-forwarded-host"), None, "{path}");
    }
}

/// At its public address the request would come back to the edge.
#[test]
fn a_redirect_of_media_to_the_public_host_is_followed_at_the_origin() {
    let world = start_with(&[("ORIGIN_HEADERS", r#"{"X-Tunnel":"s3cret"}"#)]);
    let id = world.media();
    let location = format!("{PUBLIC_URL}/_matrix/media/file?signed");
    world.origin.reply(&download_path(&id), Reply::new(307).header("Location", location));
    let file = Reply::new(200).header("Content-Type", "image/png");
    world
        .origin
        .reply("/_matrix/media/file", file.header("Content-Disposition", "inline").body(BODY));
    let request = same_host("GET", download_path(&id)).bearer(&world.token());
    let answer = request.send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    let asked = world.origin.asked_once("/_matrix/media/file?signed");
    assert_eq!(asked.header("x-tunnel"), Some("s3cret"));
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn a_redirect_back_to_what_was_asked_ends_at_once() {
    let world = world();
    let id = world.media();
    let location = format!("{PUBLIC_URL}{}", download_path(&id));
    world.origin.reply(&download_path(&id), Reply::new(301).header("Location", location));
    let request = same_host("GET", download_path(&id)).bearer(&world.token());
    assert_matrix_error(&request.send(&world.edge.address), 502, "M_UNKNOWN");
    assert_eq!(world.origin.asked(&download_path(&id)).len(), 1);
}

#[test]
fn a_redirect_that_names_the_origin_leads_clients_to_the_public_host() {
    let world = start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let (id, token) = (world.media(), world.token());
    let origin = world.origin.url();
    let preview = "/_matrix/client/v1/media/preview_url";
    let target = format!("{}?allow_redirect=true", download_path(&id));
    for (path, asked) in [
        (download_path(&id), target.as_str()),
        (preview.to_owned(), preview),
        ("/_matrix/static".to_owned(), "/_matrix/static"),
    ] {
        for (told, expected) in [
            (format!("{origin}/there?a=b"), format!("{PUBLIC_URL}/there?a=b")),
            (
                "https://cdn.example.org/there".to_owned(),
                "https://cdn.example.org/there".to_owned(),
            ),
            ("/there".to_owned(), "/there".to_owned()),
        ] {
            let reply = Reply::new(307).header("Location", &told).header("Set-Cookie", "a=b");
            world.origin.reply(&path, reply.body("moved"));
            let answer = same_host("GET", asked).bearer(&token).send(&world.edge.address);
            assert_eq!(answer.status, 307, "{asked}: {}", answer.text());
            assert_eq!(answer.header("location"), Some(expected.as_str()), "{asked}");
            assert_hides_origin(&answer);
        }
    }
    let passed = get(&world, "/_matrix/static");
    assert_eq!((passed.text(), passed.header("set-cookie")), ("moved".into(), Some("a=b")));
}

#[test]
fn answers_hide_the_origins_address() {
    let world = start_with(&[]);
    let (id, token) = (world.media(), world.token());
    let requests = || {
        [
            same_host("GET", download_path(&id)).bearer(&token),
            same_host("GET", download_path("none")).bearer(&token),
            same_host("GET", download_path(&id)).bearer("syt_nobody"),
            same_host("GET", federation_path(&id)),
            same_host("POST", "/_matrix/media/v3/upload").bearer(&token).body(BODY),
            same_host("GET", "/_matrix/client/v1/media/config").bearer(&token),
            same_host("OPTIONS", download_path(&id)),
            same_host("GET", VERSIONS),
            same_host("GET", CLIENT),
            same_host("GET", "/_edge/purge"),
            same_host("GET", "/_edge/"),
            same_host("GET", download_path(&id)).header("X-Matrix-Media-Edge", "example.com"),
        ]
    };
    for request in requests() {
        assert_hides_origin(&request.send(&world.edge.address));
    }
    world.origin.stop();
    for request in requests() {
        assert_hides_origin(&request.send(&world.edge.address));
    }
}

/// Claims what a check of the status has found, and the beginning of its cure.
#[track_caller]
fn assert_finding(edge: &str, [check, found, cure]: [&str; 3]) {
    let request = same_host("GET", "/_edge/status").bearer(ADMIN_TOKEN);
    let status = request.send(edge).json();
    let checks = status["checks"].as_array().expect("the checks are told");
    let finding = checks.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check}: {status}"));
    assert_eq!((&finding["level"], &finding["found"]), (&json!("bad"), &json!(found)));
    assert!(finding["cure"].as_str().is_some_and(|told| told.starts_with(cure)), "{finding}");
}

#[test]
fn a_media_url_at_the_origins_host_is_found_by_the_status() {
    let origin = Origin::start();
    let media_url = origin.url().replace("http:", "https:");
    let vars = [
        ("PUBLIC_URL", PUBLIC_URL),
        ("MEDIA_URL", media_url.as_str()),
        ("ADMIN_TOKEN", ADMIN_TOKEN),
    ];
    let edge = start_edge(&origin.url(), &vars);
    let expected = [
        "Configuration",
        "MEDIA_URL has the host of HOMESERVER_URL.",
        "Set MEDIA_URL to PUBLIC_URL",
    ];
    assert_finding(&edge.address, expected);
}

#[test]
fn a_document_that_names_the_origin_is_found_by_the_status() {
    let world = start_with(&[]);
    let base = json!({ "base_url": world.origin.url() });
    world.origin.reply(CLIENT, document(&json!({ "m.homeserver": base })));
    let expected = [
        "Well-known for clients",
        "It names HOMESERVER_URL, not PUBLIC_URL.",
        "Let the document name PUBLIC_URL",
    ];
    assert_finding(&world.edge.address, expected);
}
