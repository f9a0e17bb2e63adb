//! A page of another site, in a real browser, can read every answer: its status, its error code, and
//! the headers that players need. That takes CORS on each of them, and a preflight before most.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use test_support::edge::Edge;
use test_support::script::tell;

use crate::origin::{Origin, Reply, UPLOAD_LIMIT_BYTES};
use crate::world::{BODY, MEDIA_HOST, World, download, download_path, legacy_path, start_edge};

const ADMIN_TOKEN: &str = "0123456789abcdef";

/// More than the homeserver takes.
const MAX_UPLOAD_BYTES: usize = UPLOAD_LIMIT_BYTES + 1;

const UPLOAD: &str = "/_matrix/media/v3/upload";
const WELL_KNOWN: &str = "/.well-known/matrix/client";

/// Errors of the homeserver that are relayed, beside those that its stand-in has by itself.
const RELAYED: [(u16, &str); 7] = [
    (400, "M_MISSING_PARAM"),
    (403, "M_GUEST_ACCESS_FORBIDDEN"),
    (429, "M_LIMIT_EXCEEDED"),
    (500, "M_UNKNOWN"),
    (502, "M_UNKNOWN"),
    (503, "M_UNKNOWN"),
    (504, "M_NOT_YET_UPLOADED"),
];

/// What the page asks for, and what it is to be told.
struct Ask {
    name: String,
    request: Value,
    /// Null where it is to be told nothing.
    status: Value,
    errcode: String,
}

/// All that the page asks for, and what it was told.
fn told() -> &'static [(Ask, Value)] {
    static TOLD: LazyLock<Vec<(Ask, Value)>> = LazyLock::new(ask_all);
    &TOLD
}

fn answer_to(name: &str) -> &'static Value {
    let (_, answer) = told().iter().find(|(ask, _)| ask.name == name).expect("it was asked");
    answer
}

#[test]
fn every_status_and_error_code_is_read() {
    for (ask, answer) in told() {
        let body = answer["body"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let errcode = body["errcode"].as_str().unwrap_or_default();
        let expected = (&ask.status, ask.errcode.as_str());
        assert_eq!((&answer["status"], errcode), expected, "{}: {answer}", ask.name);
    }
}

#[test]
fn what_players_and_clients_need_is_read() {
    for (name, header, value) in [
        ("a download", "content-length", "256"),
        ("a download", "content-type", "image/png"),
        ("a download", "content-disposition", "inline"),
        ("a download", "accept-ranges", "bytes"),
        ("a part", "content-length", "10"),
        ("a part", "content-range", "bytes 0-9/256"),
        ("a part beyond the end", "content-range", "bytes */256"),
        ("HEAD", "content-length", "256"),
        ("429 of the homeserver's", "retry-after", "3"),
    ] {
        assert_eq!(answer_to(name)["headers"][header], value, "{name}: {header}");
    }
    for name in ["a download", "a part", "what the page has already"] {
        for header in ["etag", "cache-status"] {
            assert!(answer_to(name)["headers"][header].is_string(), "{name}: {header}");
        }
    }
}

#[test]
fn a_redirect_is_followed() {
    for name in ["a redirect by 307", "a redirect by 308"] {
        assert_eq!(answer_to(name)["isRedirected"], true, "{name}");
    }
}

#[test]
fn what_allows_nothing_is_not_read() {
    // Or the page could read whatever there is, and nothing here would be the edge's doing.
    let answer = answer_to("a server that allows nothing");
    assert!(answer["error"].is_string(), "{answer}");
}

fn ask_all() -> Vec<(Ask, Value)> {
    let limit = MAX_UPLOAD_BYTES.to_string();
    let usual = World::start_with(&[("ADMIN_TOKEN", ADMIN_TOKEN), ("MAX_UPLOAD_BYTES", &limit)]);
    let (redirecting, store) =
        (World::start_with(&[("ORIGIN_REDIRECTS", "pass")]), Origin::start());
    let alone = World::start();
    alone.origin.stop();
    let misconfigured = start_edge(&usual.origin.url(), &[("LEASE_SECONDS", "soon")]);

    let mut asks = answers(&usual);
    asks.extend(refusals(&usual));
    asks.extend(redirects(&redirecting, &store));
    asks.extend(failures(&alone.edge, &misconfigured));
    store.reply("/silent", Reply::new(200).body(BODY));
    let url = format!("{}/silent", store.url());
    asks.push(ask("a server that allows nothing", Value::Null, "", json!({ "url": url })));

    let requests = asks.iter().map(|ask| (ask.name.clone(), ask.request.clone()));
    let task = json!({
        "hosts": { MEDIA_HOST: usual.edge.address },
        "asks": requests.collect::<Map<_, _>>(),
    });
    let mut told = tell("fetches.mjs", &[&task.to_string()]);
    let with_answer = |ask: Ask| {
        let answer = told[&ask.name].take();
        (ask, answer)
    };
    asks.into_iter().map(with_answer).collect()
}

fn answers(world: &World) -> Vec<Ask> {
    let (id, token) = (world.media(), world.token());
    let media = at(&world.edge, &download_path(&id));
    let legacy = at(&world.edge, &legacy_path(&world.legacy_media()));
    let answer = download(&id, &token).send(&world.edge.address);
    let etag = answer.header("etag").expect("it has an entity tag");
    let with = |name: &str, value: &str| json!({ "Authorization": format!("Bearer {token}"), name: value });
    let bearer = with("Accept", "*/*");
    world.origin.reply(WELL_KNOWN, Reply::new(200).body(r#"{"m.homeserver":{}}"#));
    let well_known = at(&world.edge, WELL_KNOWN);
    let upload = at(&world.edge, UPLOAD);
    let put = at(&world.edge, &format!("{UPLOAD}/example.com/put"));
    let config = at(&world.edge, "/_matrix/client/v1/media/config");
    vec![
        ask("a download", 200, "", json!({ "url": media, "headers": bearer })),
        ask("HEAD", 200, "", json!({ "url": media, "method": "HEAD", "headers": bearer })),
        ask("OPTIONS", 204, "", json!({ "url": media, "method": "OPTIONS", "headers": bearer })),
        ask("a part", 206, "", json!({ "url": media, "headers": with("Range", "bytes=0-9") })),
        ask(
            "a part beyond the end",
            416,
            "",
            json!({ "url": media, "headers": with("Range", "bytes=999-") }),
        ),
        ask(
            "what the page has already",
            304,
            "",
            json!({ "url": media, "headers": with("If-None-Match", etag) }),
        ),
        ask("the open door", 200, "", json!({ "url": legacy })),
        ask(
            "an upload",
            200,
            "",
            json!({ "url": upload, "method": "POST", "headers": bearer, "length": 3 }),
        ),
        ask(
            "an upload to an ID",
            200,
            "",
            json!({ "url": put, "method": "PUT", "headers": bearer, "length": 3 }),
        ),
        ask("limits", 200, "", json!({ "url": config, "headers": bearer })),
        ask("well-known", 200, "", json!({ "url": well_known })),
    ]
}

fn refusals(world: &World) -> Vec<Ask> {
    let (id, token) = (world.stored_media(), world.token());
    let media = at(&world.edge, &download_path(&id));
    let bearer = |token: &str| json!({ "Authorization": format!("Bearer {token}") });
    let upload = |path: &str, method: &str, length| {
        let url = at(&world.edge, path);
        json!({ "url": url, "method": method, "headers": bearer(&token), "length": length })
    };
    let taken = format!("{UPLOAD}/example.com/{id}");
    let on_media_domain = |path| format!("http://{MEDIA_HOST}{path}");
    let purge = |token| {
        let url = on_media_domain("/_edge/purge");
        json!({ "url": url, "method": "POST", "headers": bearer(token), "length": 1 })
    };
    let well_known = json!({ "url": at(&world.edge, WELL_KNOWN), "method": "PUT", "length": 1 });
    let mut asks = vec![
        ask("no token", 401, "M_MISSING_TOKEN", json!({ "url": media })),
        ask(
            "an unknown token",
            401,
            "M_UNKNOWN_TOKEN",
            json!({ "url": media, "headers": bearer("syt_nobody") }),
        ),
        ask(
            "unknown media",
            404,
            "M_NOT_FOUND",
            json!({ "url": format!("{media}0"), "headers": bearer(&token) }),
        ),
        ask("an ID that is taken", 409, "M_CANNOT_OVERWRITE_MEDIA", upload(&taken, "PUT", 3)),
        ask(
            "too large for the homeserver",
            413,
            "M_TOO_LARGE",
            upload(UPLOAD, "POST", UPLOAD_LIMIT_BYTES + 1),
        ),
        ask(
            "too large for the edge",
            413,
            "M_TOO_LARGE",
            upload(UPLOAD, "POST", 2 * MAX_UPLOAD_BYTES),
        ),
        ask(
            "no media, on the media domain",
            404,
            "M_UNRECOGNIZED",
            json!({ "url": on_media_domain("/_matrix/client/versions") }),
        ),
        ask("a purge of nothing", 400, "M_BAD_JSON", purge(ADMIN_TOKEN)),
        ask("a stranger's purge", 403, "M_FORBIDDEN", purge("guess")),
        ask("a method that well-known hasn't", 405, "M_UNRECOGNIZED", well_known),
    ];
    for (status, errcode) in RELAYED {
        let path = download_path(&format!("relayed{status}"));
        let reply =
            Reply::error(status, errcode, "As the homeserver says").header("Retry-After", "3");
        world.origin.reply(&path, reply);
        let request = json!({ "url": at(&world.edge, &path), "headers": bearer(&token) });
        asks.push(ask(&format!("{status} of the homeserver's"), status, errcode, request));
    }
    asks
}

/// Where redirects are the client's to follow.
fn redirects(world: &World, store: &Origin) -> Vec<Ask> {
    let blob = Reply::new(200).header("Access-Control-Allow-Origin", "*");
    store.reply("/blob", blob.body(BODY));
    let headers = json!({ "Authorization": format!("Bearer {}", world.token()) });
    let redirect = |status: u16| {
        let path = download_path(&format!("redirected{status}"));
        let reply = Reply::new(status).header("Location", format!("{}/blob", store.url()));
        world.origin.reply(&path, reply);
        let request = json!({ "url": at(&world.edge, &path), "headers": headers });
        ask(&format!("a redirect by {status}"), 200, "", request)
    };
    vec![redirect(307), redirect(308)]
}

/// Of a homeserver that is gone, and of the edge itself.
fn failures(alone: &Edge, misconfigured: &Edge) -> Vec<Ask> {
    let headers = json!({ "Authorization": "Bearer syt_1" });
    let media = download_path("media");
    let get = |edge, path: &str| json!({ "url": at(edge, path), "headers": headers });
    let post = |edge, path: &str| json!({ "url": at(edge, path), "method": "POST", "headers": headers, "length": 300_000 });
    vec![
        ask("a download without homeserver", 502, "M_UNKNOWN", get(alone, &media)),
        ask("an upload without homeserver", 502, "M_UNKNOWN", post(alone, UPLOAD)),
        ask(
            "anything without homeserver",
            502,
            "M_UNKNOWN",
            json!({ "url": at(alone, "/_matrix/client/versions") }),
        ),
        ask("a misconfigured edge", 500, "M_UNKNOWN", get(misconfigured, &media)),
        ask("an upload to a misconfigured edge", 500, "M_UNKNOWN", post(misconfigured, UPLOAD)),
    ]
}

fn ask(name: &str, status: impl Into<Value>, errcode: &str, request: Value) -> Ask {
    Ask { name: name.to_owned(), request, status: status.into(), errcode: errcode.to_owned() }
}

fn at(edge: &Edge, path: &str) -> String {
    format!("http://{}{path}", edge.address)
}
