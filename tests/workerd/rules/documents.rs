//! Well-known documents: whoever they redirect, nothing but the two documents of the homeserver is
//! asked for with its secrets, and what one reader came with is in nobody's document.

use test_support::assertions::assert_matrix_error;
use test_support::http::{Answer, Request};

use crate::support::origin::{Origin, Reply};
use crate::support::world::{World, download, download_path, media_domain, same_host};

const CLIENT: &str = "/.well-known/matrix/client";
const SERVER: &str = "/.well-known/matrix/server";

/// What nobody but the homeserver's admin may see.
const METRICS: &str = "metrics of the homeserver";

/// A website that has the documents, before a homeserver that wants a secret.
struct Site {
    website: Origin,
    world: World,
}

impl Site {
    fn start() -> Self {
        let website = Origin::start();
        let url = website.url();
        let secret = ("ORIGIN_HEADERS", r#"{"X-Tunnel":"secret"}"#);
        let world = World::start_with(&[("WELL_KNOWN_URL", url.as_str()), secret]);
        for path in ["/_synapse/metrics", "/metrics", "/x/_synapse/metrics"] {
            world.origin.reply(path, Reply::new(200).body(METRICS));
        }
        Self { website, world }
    }

    /// The answer where the document has moved to this place.
    fn follow(&self, path: &str, to: &str) -> Answer {
        self.website.reply(path, Reply::new(302).header("Location", to));
        let request = same_host("GET", path).header("CF-Connecting-IP", "203.0.113.7");
        request.send(&self.world.edge.direct_address)
    }
}

#[test]
fn a_document_never_leads_to_another_path_of_the_homeservers() {
    let site = Site::start();
    let homeserver = site.world.origin.url();
    for path in [CLIENT, SERVER] {
        for way in [
            "/.well-known/../_synapse/metrics",
            "/.well-known/%2e%2e/_synapse/metrics",
            "/.well-known/.%2E/_synapse/metrics",
            "/.well-known/%2e./_synapse/metrics",
            "/.well-known\\..\\_synapse\\metrics",
            "/.well-known/..\\_synapse/metrics",
            "/.well-known/%2e%2e\\_synapse/metrics",
            "/.well-known/matrix/client/../../../_synapse/metrics",
            "/.well-known/matrix/server/../../../_synapse/metrics",
            "/.well-known/matrix/client/%2e%2e/%2e%2e/%2e%2e/_synapse/metrics",
        ] {
            let answer = site.follow(path, &format!("{homeserver}{way}"));
            assert!(!answer.text().contains(METRICS), "{way}: {}", answer.text());
            assert!(site.world.origin.records().is_empty(), "{way}");
        }
    }
}

/// As a URL is read by one, `%2f` is a slash to another.
#[test]
fn a_document_never_leads_to_hidden_dot_segments() {
    let site = Site::start();
    let homeserver = site.world.origin.url();
    for way in [
        "/.well-known/..%2f_synapse/metrics",
        "/.well-known/..%5c_synapse/metrics",
        "/.well-known/%2e%2e%2F_synapse/metrics",
        "/.well-known/x%5C..%5C..%5C_synapse/metrics",
    ] {
        site.follow(CLIENT, &format!("{homeserver}{way}"));
        assert!(site.world.origin.records().is_empty(), "{way}");
    }
}

#[test]
fn a_document_never_leads_to_dot_segments_on_another_host() {
    let (site, stranger) = (Site::start(), Origin::start());
    stranger.reply("/b", Reply::new(200).body("{}"));
    let (own, foreign) = (site.website.url(), stranger.url());
    site.website.reply("/b", Reply::new(200).body("{}"));
    for way in ["/a/../b", "/a/%2e%2e/b", "/a\\..\\b", "/./b"] {
        for host in [&own, &foreign] {
            site.follow(CLIENT, &format!("{host}{way}"));
            let asked: Vec<_> =
                site.website.records().into_iter().filter(|r| r.head.target != CLIENT).collect();
            assert!(asked.is_empty() && stranger.records().is_empty(), "{way}: {asked:?}");
        }
    }
}

#[test]
fn the_homeservers_secrets_go_to_the_two_documents_alone() {
    let site = Site::start();
    let homeserver = site.world.origin.url();
    for way in [
        "/.well-known/matrix/support",
        "/.well-known/matrix/clients",
        "/.well-known/matrix/client/",
        "/.well-known/matrix/client/x",
        "/.well-known/matrix/",
        "/.well-known/x",
        "/",
    ] {
        site.world.origin.reply(way, Reply::new(200).body("{}"));
        site.follow(CLIENT, &format!("{homeserver}{way}"));
        for asked in site.world.origin.asked(way) {
            for name in ["x-tunnel", "x-forwarded-proto"] {
                assert_eq!(asked.header(name), None, "{way}: {name}");
            }
            asked.assert_without_address();
        }
    }
}

#[test]
fn the_homeservers_secrets_go_to_its_own_documents() {
    let site = Site::start();
    let homeserver = site.world.origin.url();
    for path in [CLIENT, SERVER] {
        site.world.origin.reply(path, Reply::new(200).body("{}"));
        let answer = site.follow(path, &format!("{homeserver}{path}"));
        assert!(answer.text().contains("m.media_server"), "{}", answer.text());
        assert_eq!(site.world.origin.asked_once(path).header("x-tunnel"), Some("secret"));
    }
}

#[test]
fn media_never_leads_to_dot_segments() {
    let site = Site::start();
    let (origin, store) = (&site.world.origin, Origin::start());
    let token = site.world.token();
    for (number, way) in [
        "/blobs/../_synapse/metrics",
        "/blobs/%2e%2e/_synapse/metrics",
        "/blobs/.%2E/_synapse/metrics",
        "/blobs\\..\\_synapse\\metrics",
        "/blobs/..%2f_synapse/metrics",
        "/blobs/..%5c_synapse/metrics",
        "/./_synapse/metrics",
    ]
    .into_iter()
    .enumerate()
    {
        for (kind, host) in [("own", origin.url()), ("near", String::new()), ("far", store.url())] {
            let id = format!("dots{kind}{number}");
            let redirect = Reply::new(307).header("Location", format!("{host}{way}"));
            origin.reply(&download_path(&id), redirect);
            let answer = download(&id, &token).send(&site.world.edge.address);
            assert_matrix_error(&answer, 502, "M_UNKNOWN");
            let asked = origin.records().into_iter().map(|record| record.head.target);
            let asked: Vec<_> = asked.filter(|target| target.contains("_synapse")).collect();
            assert!(asked.is_empty() && store.records().is_empty(), "{way}: {asked:?}");
        }
    }
}

/// A signed link may name a file in any way.
#[test]
fn a_redirect_with_dots_in_its_query_is_followed() {
    let site = Site::start();
    let store = Origin::start();
    let blob = super::media(200).header("ETag", "\"b\"").header("Content-Type", "image/png");
    store.reply("/blob", blob.body("blob"));
    let to = format!("{}/blob?name=a/../b%5C..%2Fc", store.url());
    site.world.origin.reply(&download_path("query"), Reply::new(307).header("Location", &to));
    let answer = download("query", &site.world.token()).send(&site.world.edge.address);
    assert_eq!((answer.status, answer.text().as_str()), (200, "blob"));
}

/// A host that tells everyone the scheme that it was asked with, and lets that be kept.
fn tell_scheme(website: &Origin) {
    for path in [CLIENT, SERVER] {
        website.on(path, |call| {
            let scheme = call.head.headers.get("x-forwarded-proto").unwrap_or("https");
            let text = format!(r#"{{"m.homeserver":{{"base_url":"{scheme}://example.com"}}}}"#);
            let reply = Reply::new(200).header("Cache-Control", "max-age=600");
            call.reply(&reply.body(text))
        });
    }
}

#[test]
fn a_document_is_the_one_of_https_however_it_is_asked_for() {
    let site = Site::start();
    tell_scheme(&site.website);
    for path in [CLIENT, SERVER] {
        for _ in 0..2 {
            let answer = same_host("GET", path).send(&site.world.edge.address);
            let base_url = answer.json()["m.homeserver"]["base_url"].clone();
            assert_eq!(base_url, "https://example.com", "{path}");
        }
    }
}

#[test]
fn the_origin_gets_https_whatever_scheme_the_client_uses() {
    let site = Site::start();
    let world = &site.world;
    let token = world.token();
    let id = world.legacy_media();
    let target = "/_matrix/media/v3/upload?filename=scheme";
    for (path, request) in [
        (download_path(&id), download(&id, &token)),
        (super::Door::Legacy.download(&id), media_domain("GET", super::Door::Legacy.download(&id))),
        (
            format!("/_matrix/federation/v1/media/download/{id}"),
            crate::download::federation::signed(
                "GET",
                &format!("/_matrix/federation/v1/media/download/{id}"),
            ),
        ),
        (
            "/_matrix/client/v1/media/config".to_owned(),
            media_domain("GET", "/_matrix/client/v1/media/config").bearer(&token),
        ),
        (target.to_owned(), media_domain("POST", target).bearer(&token).body("x")),
    ] {
        let request = request.header("X-Forwarded-Proto", "http");
        request.send(&world.edge.address);
        let asked = world.origin.asked_once(&path);
        let told: Vec<_> = asked.head.headers.all("x-forwarded-proto").collect();
        assert_eq!(told, ["https"], "{path}");
    }
}

#[test]
fn a_passthrough_request_keeps_its_scheme() {
    let site = Site::start();
    let path = "/_matrix/client/v3/sync/scheme";
    site.world.origin.reply(path, Reply::new(200));
    same_host("GET", path).send(&site.world.edge.address);
    let asked = site.world.origin.asked_once(path);
    assert_eq!(asked.header("x-forwarded-proto"), Some("http"));
}

/// The answers on the host of media, which is the documents' host too.
fn assert_documents_first(world: &World, website: &Origin, host: &str) {
    for path in [CLIENT, SERVER] {
        website.reply(path, Reply::new(200).body(r#"{"a":1}"#));
        let answer = Request::new("GET", path).header("Host", host).send(&world.edge.address);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let json = answer.json();
        assert_eq!(json["a"], 1, "{path}");
        assert!(!json["m.media_server"].is_null(), "{path}: {json}");
    }
    for path in ["/_matrix/client/versions", "/index.html"] {
        let answer = Request::new("GET", path).header("Host", host).send(&world.edge.address);
        assert_matrix_error(&answer, 404, "M_UNRECOGNIZED");
    }
}

#[test]
fn documents_are_served_where_media_is_on_the_server_names_host() {
    let website = Origin::start();
    let url = website.url();
    let vars = [("MEDIA_URL", "https://example.com"), ("WELL_KNOWN_URL", url.as_str())];
    let world = World::start_with(&vars);
    assert_documents_first(&world, &website, "example.com");
}

#[test]
fn documents_are_served_where_media_is_on_their_own_host() {
    let website = Origin::start();
    let (url, media_url) = (website.url(), website.url().replace("http:", "https:"));
    let world = World::start_with(&[("MEDIA_URL", &media_url), ("WELL_KNOWN_URL", &url)]);
    assert_documents_first(&world, &website, &website.address);
}
