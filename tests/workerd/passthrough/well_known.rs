//! The well-known documents: a client that is told nothing goes on, one that is told nonsense
//! can't log in. So nothing is ever broken that came whole.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::assertions::assert_matrix_error;
use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};
use test_support::time::{now, wait_for};

use crate::support::origin::{Origin, Reply, Then};
use crate::support::world::{MEDIA_HOST, PATIENCE, World, same_host, wait_for_entry};

const CLIENT: &str = "/.well-known/matrix/client";
const SERVER: &str = "/.well-known/matrix/server";

fn get(world: &World, path: &str) -> Answer {
    same_host("GET", path).send(&world.edge.address)
}

/// The same when the edge has a copy of it.
fn get_kept(world: &World, path: &str) -> Answer {
    let answer = get(world, path);
    let name = path.rsplit('/').next().unwrap_or_default();
    wait_for_entry(&world.edge, MEDIA_HOST, &format!("v2/example.com/well-known/{name}"));
    answer
}

/// Has each request ask the host: what that answers is what most tests are about. Those of
/// `well_known_copies` are about the others.
const ASKS: (&str, &str) = ("WELL_KNOWN_SECONDS", "0");

/// A world whose origin has this text under both names, and is asked for it each time.
fn world_with(text: impl AsRef<[u8]>) -> World {
    let world = World::start_with(&[ASKS]);
    for path in [CLIENT, SERVER] {
        world.origin.reply(path, document(text.as_ref()));
    }
    world
}

fn document(text: impl AsRef<[u8]>) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(text)
}

fn homeserver() -> Value {
    json!({ "base_url": "https://matrix.example.com" })
}

#[test]
fn clients_get_the_media_server() {
    let world = world_with(json!({ "m.homeserver": homeserver() }).to_string());
    let answer = get(&world, CLIENT);
    let media = json!({ "base_url": format!("https://{MEDIA_HOST}") });
    let expected = json!({
        "m.homeserver": homeserver(),
        "m.media_server": media,
        "com.beeper.msc3859.m.media_server": media,
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn servers_get_the_media_servers_host_and_port() {
    let world = world_with(r#"{"m.server":"matrix.example.com:443"}"#);
    let answer = get(&world, SERVER);
    let expected = json!({
        "m.server": "matrix.example.com:443",
        "m.media_server": "media.example.com:443",
        "com.beeper.msc3859.m.media_server": "media.example.com:443",
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn the_admin_chooses_the_names() {
    for (fields, names) in [
        ("both", &["com.beeper.msc3859.m.media_server", "m.media_server"][..]),
        ("stable", &["m.media_server"]),
        ("unstable", &["com.beeper.msc3859.m.media_server"]),
    ] {
        let vars = [("WELL_KNOWN_FIELDS", fields), ("MEDIA_URL", "https://media.example.com:8448")];
        let world = World::start_with(&vars);
        for path in [CLIENT, SERVER] {
            world.origin.reply(path, document("{}"));
            let json = get(&world, path).json();
            let object = json.as_object().expect("an object");
            let told: Vec<_> = object.keys().map(String::as_str).collect();
            assert_eq!(told, names, "{fields}");
            for name in names {
                let expected = if path == CLIENT {
                    json!({ "base_url": "https://media.example.com:8448" })
                } else {
                    json!("media.example.com:8448")
                };
                assert_eq!(json[name], expected);
            }
        }
    }
}

/// Nothing but our members is added; everything else stays to the byte.
#[test]
fn the_rest_of_the_document_stays_to_the_byte() {
    let text = "{\n  \"m.homeserver\": {\"base_url\": \"https://matrix.example.com\"},\n  \
                \"zz\": 12345678901234567890123456789.0e-1, \"aa\": [ 1.10, {} ], \"é\": \"\\u00e9é\",\n  \
                \"io.element.e2ee\" : { \"default\" : false }, \"dup\": 1, \"dup\": 2 }\n";
    let world = world_with(text);
    let told = get(&world, CLIENT).text();
    let before = text.trim_end().strip_suffix('}').expect("an object").trim_end();
    assert!(told.starts_with(before), "{told}");
    let added = &told[before.len()..];
    let json: Value = serde_json::from_str(&format!("{{\"x\":0{added}")).expect(added);
    assert_eq!(json.as_object().expect("an object").len(), 3, "{added}");
}

#[test]
fn a_media_server_already_named_stays() {
    for name in ["m.media_server", "com.beeper.msc3859.m.media_server"] {
        let text = format!(r#"{{"m.server":"x:1","{name}":"other.example:443"}}"#);
        let world = world_with(&text);
        for path in [CLIENT, SERVER] {
            assert_eq!(get(&world, path).text(), text);
        }
    }
}

#[test]
fn a_nested_media_server_is_not_the_documents_own() {
    let world = world_with(r#"{"a":{"m.media_server":1},"b":"m.media_server"}"#);
    assert!(get(&world, CLIENT).json()["m.media_server"]["base_url"].is_string());
}

#[test]
fn a_document_that_is_no_json_object_passes_untouched() {
    let world = World::start();
    for text in [
        "<!doctype html><h1>Welcome</h1>",
        "[]",
        "\"{}\"",
        "{\"m.homeserver\":",
        "{} {}",
        "",
        "\u{feff}{}",
        "{\"a\":1,}",
        "NaN",
    ] {
        for path in [CLIENT, SERVER] {
            world.origin.reply(path, document(text));
            let answer = get(&world, path);
            assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_pass_untouched() {
    let bytes = b"{\"a\":\"\xff\xfe\"}";
    let world = world_with(bytes);
    assert_eq!(get(&world, CLIENT).body, bytes);
}

#[test]
fn an_untouched_document_keeps_its_type() {
    let world = World::start();
    let page = Reply::new(200).header("Content-Type", "text/html; charset=utf-8").body("<p>");
    world.origin.reply(CLIENT, page);
    assert_eq!(get(&world, CLIENT).header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn a_huge_document_passes_without_being_buffered() {
    let world = World::start();
    world.origin.on(CLIENT, |call| {
        call.receive()?;
        let megabyte = vec![b'{'; 1 << 20];
        call.send(document("").head_bytes(50 << 20))?;
        (0..50).try_for_each(|_| call.send(&megabyte))?;
        Ok(Then::KeepOpen)
    });
    get(&world, "/.well-known/matrix/support");
    let before = world.edge.workerd_resident_bytes();
    let answer = get(&world, CLIENT);
    let growth = world.edge.workerd_resident_bytes().saturating_sub(before);
    assert_eq!((answer.status, answer.body.len()), (200, 50 << 20));
    assert!(answer.body.iter().all(|&byte| byte == b'{'));
    assert!(growth < 32 << 20, "workerd grew by {growth} bytes");
}

#[test]
fn an_encoded_document_is_read() {
    let world = World::start();
    // `{"a":1}`, gzipped.
    let gzipped = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x54, 0xb2,
        0x32, 0xac, 0x05, 0x00, 0xaf, 0xac, 0x1b, 0x56, 0x07, 0x00, 0x00, 0x00,
    ];
    world.origin.reply(CLIENT, document(gzipped).header("Content-Encoding", "gzip"));
    let answer = get(&world, CLIENT);
    assert_eq!(answer.json()["a"], 1);
    assert!(answer.json()["m.media_server"].is_object());
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn a_missing_document_stays_missing() {
    let world = World::start();
    for (path, reply) in [
        (CLIENT, Reply::error(404, "M_NOT_FOUND", "No")),
        (SERVER, Reply::new(404).header("Content-Type", "text/html").body("<h1>Not found</h1>")),
    ] {
        world.origin.reply(path, reply);
        let answer = get(&world, path);
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(!answer.text().contains("media_server"));
    }
}

#[test]
fn a_missing_document_is_generated_if_configured() {
    let world = World::start_with(&[("WELL_KNOWN_GENERATE", "true")]);
    for path in [CLIENT, SERVER] {
        world.origin.reply(path, Reply::new(404));
    }
    let client = get(&world, CLIENT);
    assert_eq!(client.json()["m.homeserver"]["base_url"], world.origin.url());
    assert!(client.json()["m.media_server"]["base_url"].is_string());
    let server = get(&world, SERVER);
    assert_eq!(server.json()["m.server"], world.origin.address);
    assert_eq!(server.json()["m.media_server"], "media.example.com:443");
}

#[test]
fn an_existing_document_is_not_replaced_by_a_generated_one() {
    let world = World::start_with(&[("WELL_KNOWN_GENERATE", "true")]);
    world.origin.reply(CLIENT, document(r#"{"m.homeserver":{"base_url":"https://own.example"}}"#));
    assert_eq!(get(&world, CLIENT).json()["m.homeserver"]["base_url"], "https://own.example");
}

#[test]
fn a_document_is_never_generated_because_its_host_is_down() {
    let world = World::start_with(&[("WELL_KNOWN_GENERATE", "true")]);
    world.origin.reply(CLIENT, Reply::new(503));
    assert!(get(&world, CLIENT).status >= 500);
}

#[test]
fn a_head_has_the_headers_of_a_get() {
    let world = world_with(r#"{"m.server":"x:1"}"#);
    for path in [CLIENT, SERVER] {
        let head = same_host("HEAD", path).send(&world.edge.address);
        assert_eq!((head.status, head.body.len()), (200, 0));
        let get = get(&world, path);
        for name in ["content-type", "cache-control", "access-control-allow-origin"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
    }
}

#[test]
fn a_document_refuses_other_methods() {
    let world = world_with("{}");
    for method in ["POST", "PUT", "DELETE"] {
        let answer = same_host(method, CLIENT).body("{}").send(&world.edge.address);
        assert_matrix_error(&answer, 405, "M_UNRECOGNIZED");
    }
    assert_eq!(world.origin.asked(CLIENT).len(), 0);
}

/// What the bucket has of this document.
fn in_bucket(world: &World, name: &str) -> Option<String> {
    let object = world.edge.stores.object(&format!("v2/example.com/well-known/{name}"))?;
    Some(String::from_utf8(object.body).expect("it is text"))
}

#[test]
fn a_data_centre_without_a_copy_serves_the_last_good_one_of_another() {
    let layout = Layout { pops: 1, bucket: BucketKind::R2, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    for (path, name, text) in [
        (CLIENT, "client", json!({ "m.homeserver": homeserver() }).to_string()),
        (SERVER, "server", r#"{"m.server":"matrix.example.com:443"}"#.to_owned()),
    ] {
        world.origin.reply(path, document(&text).header("Cache-Control", "max-age=0"));
        assert_eq!(get(&world, path).status, 200);
        wait_for("it is in the bucket", PATIENCE, || in_bucket(&world, name));
        let failures: [fn(&Origin, &str); 2] = [fail_with_reset, fail_with_a_page];
        for fail in failures {
            fail(&world.origin, path);
            let answer = same_host("GET", path).send(&world.edge.pop_addresses[0]);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.text().starts_with(text.trim_end_matches('}')), "{}", answer.text());
            assert!(answer.text().contains("pop0.media.example.com"), "{}", answer.text());
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
    }
}

#[test]
fn the_copy_in_the_bucket_changes_with_the_document() {
    let layout = Layout { bucket: BucketKind::Faulty, ..Layout::default() };
    let world = World::start_as(layout, &[ASKS]);
    let text = |version: u32| json!({ "m.homeserver": homeserver(), "v": version }).to_string();
    let tell = |version| {
        let reply = document(text(version)).header("Cache-Control", "max-age=0");
        world.origin.reply(CLIENT, reply);
        assert_eq!(get(&world, CLIENT).status, 200);
    };
    for version in [1, 2] {
        tell(version);
        wait_for("it is in the bucket", PATIENCE, || {
            in_bucket(&world, "client").filter(|kept| kept.ends_with(&text(version)))
        });
    }
    let entry = format!("{MEDIA_HOST}/_edge/cache/v2/example.com/well-known/client");
    wait_for("it is at the data centre", PATIENCE, || {
        world.edge.stores.entry(&entry).filter(|kept| kept.text() == text(2))
    });
    world.edge.stores.set_faults(&[]);
    for _ in 0..3 {
        tell(2);
    }
    assert_eq!(world.edge.stores.counts().get("put"), None, "it has not changed");
}

fn fail_with_a_page(origin: &Origin, path: &str) {
    origin.reply(path, Reply::new(502).body("Bad Gateway"));
}

fn fail_with_reset(origin: &Origin, path: &str) {
    origin.on(path, |_| Ok(Then::Reset));
}

#[test]
fn a_failing_hosts_document_is_served_from_the_last_good_copy() {
    let world = world_with(r#"{"m.server":"x:1"}"#);
    let good = [get_kept(&world, CLIENT).json(), get_kept(&world, SERVER).json()];
    let failures: [&dyn Fn(&str); 4] = [
        &|path| world.origin.reply(path, Reply::new(500)),
        &|path| world.origin.reply(path, Reply::new(503).body("<h1>Down</h1>")),
        &|path| fail_with_reset(&world.origin, path),
        &|path| {
            world.origin.on(path, |call| {
                call.send(document("").head_bytes(100))?;
                call.send("{\"m.server\":")?;
                Ok(Then::Close)
            });
        },
    ];
    for (i, fail) in failures.iter().enumerate() {
        for (path, good) in [CLIENT, SERVER].iter().zip(&good) {
            fail(path);
            let answer = get(&world, path);
            assert_eq!((answer.status, &answer.json()), (200, good), "failure {i}");
        }
    }
    world.origin.stop();
    assert_eq!(get(&world, CLIENT).json(), good[0]);
}

#[test]
fn a_hanging_hosts_document_is_served_from_the_copy_in_time() {
    let world = world_with(r#"{"m.server":"x:1"}"#);
    let good = get_kept(&world, CLIENT).json();
    world.origin.on(CLIENT, |call| call.wait_for_end());
    let asked = now();
    assert_eq!(get(&world, CLIENT).json(), good);
    assert!(asked.elapsed() < Duration::from_secs(5), "matrix-js-sdk has given up by now");
}

#[test]
fn a_failing_host_without_a_copy_is_an_error() {
    let world = World::start();
    world.origin.reply(CLIENT, Reply::new(503).header("Content-Type", "text/plain").body("down"));
    let answer = get(&world, CLIENT);
    assert!(answer.status >= 500, "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    fail_with_reset(&world.origin, CLIENT);
    assert_matrix_error(&get(&world, CLIENT), 502, "M_UNKNOWN");
    world.origin.stop();
    assert_matrix_error(&get(&world, CLIENT), 502, "M_UNKNOWN");
}

#[test]
fn a_document_that_breaks_off_is_never_a_whole_one() {
    let world = World::start();
    world.origin.on(CLIENT, |call| {
        call.send(document("").head_bytes(100))?;
        call.send("{\"m.homeserver\":{}}")?;
        Ok(Then::Close)
    });
    match same_host("GET", CLIENT).try_send(&world.edge.address) {
        Ok(answer) => assert!(answer.status >= 500, "{}: {}", answer.status, answer.text()),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
    }
}

#[test]
fn a_changed_document_is_seen_at_once_unless_its_host_allows_otherwise() {
    let world = world_with("{\"version\":1}");
    assert_eq!(get(&world, CLIENT).json()["version"], 1);
    world.origin.reply(CLIENT, document("{\"version\":2}").header("Cache-Control", "no-cache"));
    assert_eq!(get(&world, CLIENT).json()["version"], 2);
    world.origin.reply(CLIENT, document("{\"version\":3}").header("Cache-Control", "max-age=60"));
    assert_eq!(get(&world, CLIENT).json()["version"], 3);
}

#[test]
fn a_document_with_a_lifetime_is_not_asked_for_again_within_it() {
    let world = World::start();
    world.origin.reply(CLIENT, document("{}").header("Cache-Control", "public, max-age=60"));
    get(&world, CLIENT);
    wait_for("the document is reused", PATIENCE, || {
        world.origin.forget(CLIENT);
        get(&world, CLIENT);
        world.origin.asked(CLIENT).is_empty().then_some(())
    });
}

#[test]
fn clients_and_servers_get_documents_of_their_own() {
    let world = World::start();
    let lifetime = "public, max-age=60";
    world.origin.reply(CLIENT, document("{\"a\":1}").header("Cache-Control", lifetime));
    world.origin.reply(SERVER, document("{\"b\":1}").header("Cache-Control", lifetime));
    for _ in 0..3 {
        assert_eq!(get(&world, CLIENT).json()["a"], 1);
        assert_eq!(get(&world, SERVER).json()["b"], 1);
    }
}

/// Synapse asks for a document that may not be stored again for every request.
#[test]
fn servers_get_a_lifetime_that_they_can_use() {
    let world = World::start_with(&[ASKS]);
    for (of_host, expected) in [
        (None, 300..=172_800),
        (Some("no-store"), 300..=172_800),
        (Some("no-cache, no-store, must-revalidate"), 300..=172_800),
        (Some("max-age=0"), 300..=300),
        (Some("public, max-age=10000000"), 172_800..=172_800),
    ] {
        let reply = document(r#"{"m.server":"x:1"}"#);
        let reply = of_host.iter().fold(reply, |r, value| r.header("Cache-Control", value));
        world.origin.reply(SERVER, reply);
        let answer = get(&world, SERVER);
        let field = answer.header("cache-control").expect("a lifetime");
        assert!(!field.contains("no-store") && !field.contains("no-cache"), "{field}");
        let max_age = field.split("max-age=").nth(1).and_then(|age| age.parse().ok());
        assert!(max_age.is_some_and(|age: u32| expected.contains(&age)), "{of_host:?}: {field}");
    }
}

#[test]
fn clients_get_the_lifetime_that_the_host_says() {
    let world = World::start();
    for field in ["no-cache, no-store, must-revalidate", "public, max-age=77"] {
        world.origin.reply(CLIENT, document("{}").header("Cache-Control", field));
        assert_eq!(get(&world, CLIENT).header("cache-control"), Some(field));
    }
}

#[test]
fn redirects_on_the_way_to_a_document_are_followed() {
    let world = World::start();
    let other = Origin::start();
    other.reply("/there", document(r#"{"m.server":"x:1"}"#));
    world.origin.reply(SERVER, Reply::new(302).header("Location", "/moved"));
    let there = format!("{}/there", other.url());
    world.origin.reply("/moved", Reply::new(308).header("Location", there));
    assert_eq!(get(&world, SERVER).json()["m.server"], "x:1");
    assert_eq!(other.asked_once("/there").header("authorization"), None);
}

#[test]
fn a_redirects_target_gets_nothing_of_the_documents_reader() {
    let world = World::start_with(&[("ORIGIN_HEADERS", r#"{"X-Tunnel":"s3cret"}"#)]);
    let stranger = Origin::start();
    stranger.reply("/there", document("{}"));
    let there = format!("{}/there", stranger.url());
    world.origin.reply(CLIENT, Reply::new(302).header("Location", there));
    let request = same_host("GET", CLIENT).header("User-Agent", "reader");
    assert_eq!(request.send(&world.edge.address).status, 200);
    assert_eq!(world.origin.asked_once(CLIENT).connecting_address(), Some("127.0.0.1"));
    let asked = stranger.asked_once("/there");
    for name in ["x-forwarded-proto", "x-tunnel"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    asked.assert_without_address();
    assert_eq!(asked.header("user-agent"), Some("matrix-media-edge"), "the edge's own");
}

/// The documents' host may be another's than the homeserver.
#[test]
fn a_redirect_of_the_documents_host_gets_secrets_for_documents_alone() {
    let website = Origin::start();
    let url = website.url();
    let vars = [("WELL_KNOWN_URL", url.as_str()), ("ORIGIN_HEADERS", r#"{"X-Tunnel":"s3cret"}"#)];
    let world = World::start_with(&vars);
    for (document, path, is_told) in
        [(CLIENT, "/_synapse/metrics", false), (SERVER, "/.well-known/matrix/server", true)]
    {
        let to = format!("{}{path}", world.origin.url());
        website.reply(document, Reply::new(302).header("Location", to));
        get(&world, document);
        let asked = world.origin.asked_once(path);
        assert_eq!(asked.header("x-tunnel"), is_told.then_some("s3cret"), "{path}");
    }
}

#[test]
fn a_document_that_redirects_in_a_loop_is_a_502() {
    let world = World::start();
    world.origin.reply(CLIENT, Reply::new(302).header("Location", CLIENT));
    assert_matrix_error(&get(&world, CLIENT), 502, "M_UNKNOWN");
    assert!(world.origin.asked(CLIENT).len() < 20);
}

#[test]
fn a_clients_credentials_and_conditions_are_not_sent_for_a_document() {
    let world = world_with("{}");
    let request = same_host("GET", CLIENT).bearer("syt_secret").header("Cookie", "a=b");
    let request = request.header("If-None-Match", "*").header("Range", "bytes=0-0");
    let answer = request.send(&world.edge.address);
    assert!(answer.json()["m.media_server"].is_object(), "{}", answer.status);
    let asked = world.origin.asked_once(CLIENT);
    for name in ["authorization", "cookie", "if-none-match", "range"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

#[test]
fn a_query_does_not_change_the_document() {
    let world = world_with("{}");
    let answer = get(&world, &format!("{CLIENT}?cache=bust"));
    assert!(answer.json()["m.media_server"].is_object());
}

#[test]
fn the_documents_are_the_same_on_every_host_but_the_media_domain() {
    let world = world_with("{}");
    for host in ["example.com", "matrix.example.com", "localhost:8787"] {
        let answer = Request::new("GET", CLIENT).header("Host", host).send(&world.edge.address);
        assert!(answer.json()["m.media_server"].is_object(), "{host}");
    }
    let answer = Request::new("GET", CLIENT).header("Host", MEDIA_HOST).send(&world.edge.address);
    assert_matrix_error(&answer, 404, "M_UNRECOGNIZED");
}
