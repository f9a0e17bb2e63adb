//! A page of another site, in a real browser, can read every answer: its status, its error code, and
//! the headers that players need. That takes CORS on each of them, and a preflight before most.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use test_support::edge::Edge;
use test_support::profile::Profile;
use test_support::script::tell;

use crate::support::origin::{Origin, Reply, UPLOAD_LIMIT_BYTES};
use crate::support::world::{
    BODY, MEDIA_HOST, World, download, download_path, legacy_path, start_edge,
};

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
fn every_status_and_error_code_is_readable() {
    for (ask, answer) in told() {
        let body = answer["body"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let errcode = body["errcode"].as_str().unwrap_or_default();
        let expected = (&json!(ask.status), ask.errcode.as_str());
        assert_eq!((&answer["status"], errcode), expected, "{}: {answer}", ask.name);
    }
}

#[test]
fn headers_that_players_and_clients_need_are_readable() {
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
        assert!(answer_to(name)["headers"]["etag"].is_string(), "{name}");
    }
}

/// Or any page could ask who near its visitor has read what.
#[test]
fn the_cache_status_is_not_readable() {
    for (ask, answer) in told() {
        for header in ["cache-status", "server-timing"] {
            assert!(answer["headers"][header].is_null(), "{}: {header}: {answer}", ask.name);
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
fn an_answer_without_cors_is_not_readable() {
    // Or the page could read whatever there is, and nothing here would be the edge's doing.
    let answer = answer_to("a server that allows nothing");
    assert!(answer["error"].is_string(), "{answer}");
}

/// What the page asks for, and what it is to be told.
struct Ask {
    name: String,
    request: Value,
    status: Option<u16>,
    errcode: String,
}

impl Ask {
    fn get(name: &str, url: &str) -> Self {
        let request = json!({ "url": url, "headers": {} });
        Self { name: name.to_owned(), request, status: None, errcode: String::new() }
    }

    /// Sends a body of this length.
    fn send(name: &str, method: &str, url: &str, length: usize) -> Self {
        let mut ask = Self::get(name, url).method(method);
        ask.request["length"] = length.into();
        ask
    }

    fn method(mut self, method: &str) -> Self {
        self.request["method"] = method.into();
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.request["headers"][name] = value.into();
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    fn told(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    fn refused(self, status: u16, errcode: &str) -> Self {
        Self { errcode: errcode.to_owned(), ..self.told(status) }
    }
}

fn ask_all() -> Vec<(Ask, Value)> {
    let limit = MAX_UPLOAD_BYTES.to_string();
    let usual = World::start_with(&[("ADMIN_TOKEN", ADMIN_TOKEN), ("MAX_UPLOAD_BYTES", &limit)]);
    let redirecting = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let store = Origin::start();
    let alone = World::start();
    alone.origin.stop();
    let misconfigured = start_edge(&usual.origin.url(), &[("LEASE_SECONDS", "soon")]);

    let mut asks = answers(&usual);
    asks.extend(refusals(&usual));
    asks.extend(relayed_errors(&usual));
    asks.extend(redirects(&redirecting, &store));
    asks.extend(failures(&alone.edge, &misconfigured));
    store.reply("/silent", Reply::new(200).body(BODY));
    asks.push(Ask::get("a server that allows nothing", &format!("{}/silent", store.url())));

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
    let answer = download(&id, &token).send(&world.edge.address);
    let etag = answer.header("etag").expect("it has an entity tag");
    world.origin.reply(WELL_KNOWN, Reply::new(200).body(r#"{"m.homeserver":{}}"#));

    let at = |path: &str| at(&world.edge, path);
    let media = |name| Ask::get(name, &at(&download_path(&id))).bearer(&token);
    let put = at(&format!("{UPLOAD}/example.com/put"));
    vec![
        media("a download").told(200),
        media("HEAD").method("HEAD").told(200),
        media("OPTIONS").method("OPTIONS").told(204),
        media("a part").header("Range", "bytes=0-9").told(206),
        media("a part beyond the end").header("Range", "bytes=999-").told(416),
        media("what the page has already").header("If-None-Match", etag).told(304),
        Ask::get("the open door", &at(&legacy_path(&world.legacy_media()))).told(200),
        Ask::send("an upload", "POST", &at(UPLOAD), 3).bearer(&token).told(200),
        Ask::send("an upload to an ID", "PUT", &put, 3).bearer(&token).told(200),
        Ask::get("limits", &at("/_matrix/client/v1/media/config")).bearer(&token).told(200),
        Ask::get("well-known", &at(WELL_KNOWN)).told(200),
    ]
}

fn refusals(world: &World) -> Vec<Ask> {
    let (id, token) = (world.stored_media(), world.token());
    let at = |path: &str| at(&world.edge, path);
    let media = at(&download_path(&id));
    let taken = at(&format!("{UPLOAD}/example.com/{id}"));
    let upload = |name, length| Ask::send(name, "POST", &at(UPLOAD), length).bearer(&token);
    let elsewhere = format!("http://{MEDIA_HOST}/_matrix/client/versions");
    let purge = |name| Ask::send(name, "POST", &format!("http://{MEDIA_HOST}/_edge/purge"), 1);
    vec![
        Ask::get("no token", &media).refused(401, "M_MISSING_TOKEN"),
        Ask::get("a stranger", &media).bearer("syt_nobody").refused(401, "M_UNKNOWN_TOKEN"),
        Ask::get("unknown media", &at(&download_path("unknown")))
            .bearer(&token)
            .refused(404, "M_NOT_FOUND"),
        Ask::send("an ID that is taken", "PUT", &taken, 3)
            .bearer(&token)
            .refused(409, "M_CANNOT_OVERWRITE_MEDIA"),
        upload("too large for the homeserver", UPLOAD_LIMIT_BYTES + 1).refused(413, "M_TOO_LARGE"),
        upload("too large for the edge", 2 * MAX_UPLOAD_BYTES).refused(413, "M_TOO_LARGE"),
        Ask::get("no media, on the media domain", &elsewhere).refused(404, "M_UNRECOGNIZED"),
        purge("a purge of nothing").bearer(ADMIN_TOKEN).refused(400, "M_BAD_JSON"),
        purge("a stranger's purge").bearer("guess").refused(403, "M_FORBIDDEN"),
        Ask::send("a method that well-known hasn't", "PUT", &at(WELL_KNOWN), 1)
            .refused(405, "M_UNRECOGNIZED"),
    ]
}

fn relayed_errors(world: &World) -> impl Iterator<Item = Ask> {
    let token = world.token();
    RELAYED.into_iter().map(move |(status, errcode)| {
        let path = download_path(&format!("relayed{status}"));
        let reply = Reply::error(status, errcode, "As the homeserver says");
        world.origin.reply(&path, reply.header("Retry-After", "3"));
        let name = format!("{status} of the homeserver's");
        Ask::get(&name, &at(&world.edge, &path)).bearer(&token).refused(status, errcode)
    })
}

/// Where redirects are the client's to follow.
fn redirects(world: &World, store: &Origin) -> Vec<Ask> {
    let blob = Reply::new(200).header("Access-Control-Allow-Origin", "*");
    store.reply("/blob", blob.body(BODY));
    let token = world.token();
    let redirect = |status: u16| {
        let path = download_path(&format!("redirected{status}"));
        let reply = Reply::new(status).header("Location", format!("{}/blob", store.url()));
        world.origin.reply(&path, reply);
        let name = format!("a redirect by {status}");
        Ask::get(&name, &at(&world.edge, &path)).bearer(&token).told(200)
    };
    vec![redirect(307), redirect(308)]
}

/// Of a homeserver that is gone, and of the edge itself.
fn failures(alone: &Edge, misconfigured: &Edge) -> Vec<Ask> {
    let media = |name, edge| Ask::get(name, &at(edge, &download_path("any"))).bearer("syt_any");
    let upload = |name, edge| Ask::send(name, "POST", &at(edge, UPLOAD), 300_000).bearer("syt_any");
    // With a token there would be a preflight, which is the homeserver's to answer.
    let other = at(alone, "/_matrix/client/versions");
    let anything = Ask::get("anything without homeserver", &other);
    vec![
        media("a download without homeserver", alone).refused(502, "M_UNKNOWN"),
        upload("an upload without homeserver", alone).refused(502, "M_UNKNOWN"),
        match Profile::current() {
            // Cloudflare's page, which lets no other page read it.
            Profile::Cloudflare => anything,
            Profile::Plain => anything.refused(502, "M_UNKNOWN"),
        },
        media("a misconfigured edge", misconfigured).refused(500, "M_UNKNOWN"),
        upload("an upload to a misconfigured edge", misconfigured).refused(500, "M_UNKNOWN"),
    ]
}

fn at(edge: &Edge, path: &str) -> String {
    format!("http://{}{path}", edge.address)
}
