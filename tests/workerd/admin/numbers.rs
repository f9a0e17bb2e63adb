//! What is told of each request: a line in the log, a data point where one is wanted, and
//! `Server-Timing`.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use test_support::edge::{Layout, Metrics};
use test_support::http::{Answer, Request};
use test_support::profile::Profile;
use test_support::time::wait_for;

use crate::support::origin::{Media, Reply};
use crate::support::world::{
    BODY, PATIENCE, World, download, download_path, media_domain, same_host, wait_for_tier,
};

/// A world in which one request at a time is told of.
struct Told(World);

/// Asks about every request.
fn strict() -> MutexGuard<'static, Told> {
    static STRICT: LazyLock<Mutex<Told>> = LazyLock::new(|| Mutex::new(Told::start(&[])));
    STRICT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves on leases that outlast every test.
fn leased() -> MutexGuard<'static, Told> {
    static LEASED: LazyLock<Mutex<Told>> =
        LazyLock::new(|| Mutex::new(Told::start(&[("LEASE_SECONDS", "600")])));
    LEASED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    fn start(vars: &[(&str, &str)]) -> Self {
        let layout = Layout { metrics: Metrics::Told, ..Layout::default() };
        Self(World::start_as(layout, vars))
    }

    fn events(&self) -> Vec<Value> {
        self.logged(|line| line.starts_with('{').then_some(line))
    }

    fn points(&self) -> Vec<Value> {
        self.logged(|line| line.strip_prefix("POINT "))
    }

    fn logged(&self, json_in: impl Fn(&str) -> Option<&str>) -> Vec<Value> {
        let log = self.0.edge.log();
        let read = |json| serde_json::from_str(json).expect("it is JSON");
        log.lines().filter_map(json_in).map(read).collect()
    }

    /// Waits until all that was asked before has been told: lines come in order, but later than
    /// answers.
    fn settle(&self) {
        let settled = || {
            let is_settled = |told: &&Value| told["route"] == "unrecognized";
            let points = self.points();
            let is_last = |point: &&Value| point["blobs"][0] == "unrecognized";
            (self.events().iter().filter(is_settled).count(), points.iter().filter(is_last).count())
        };
        let (events, points) = settled();
        media_domain("GET", "/settled").send(&self.0.edge.address);
        wait_for("what was asked is told", PATIENCE, || {
            let now = settled();
            (now.0 > events && now.1 > points).then_some(())
        });
    }

    /// The answer, its line and its data point.
    fn ask(&self, request: &Request) -> (Answer, Value, Value) {
        self.settle();
        let before = (self.events().len(), self.points().len());
        let answer = request.send(&self.0.edge.address);
        let (event, point) = wait_for("it is told", PATIENCE, || {
            let (mut events, mut points) = (self.events(), self.points());
            let are_told = events.len() > before.0 && points.len() > before.1;
            are_told.then(|| (events.pop().expect("it is there"), points.pop().expect("so is it")))
        });
        assert_eq!(event["status"], answer.status);
        (answer, event, point)
    }

    /// Claims what is told of a request, as far as it is named.
    #[track_caller]
    fn assert_told(&self, request: &Request, expected: &Value) -> Answer {
        let (answer, event, _) = self.ask(request);
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&event[name], value, "{name}: {event}");
        }
        answer
    }
}

#[test]
fn a_miss_is_reported_with_the_origins_bytes() {
    let told = strict();
    let (id, token) = (told.0.media(), told.0.token());
    let expected = json!({
        "route": "media", "door": "client", "outcome": "miss", "tier": null, "reason": null,
        "stored": true, "status": 200, "origin_status": 200, "body_bytes": 256,
        "origin_requests": 1, "origin_body_bytes": 256,
    });
    let answer = told.assert_told(&download(&id, &token), &expected);
    let timing = answer.header("server-timing").unwrap_or_default();
    assert!(timing.strip_prefix("origin;dur=").is_some_and(|ms| ms.parse::<u64>().is_ok()));
}

#[test]
fn a_revalidation_is_reported_with_its_tier_and_no_origin_body() {
    let told = strict();
    let id = told.0.stored_media();
    let request = download(&id, &told.0.token());
    wait_for_tier("memory", &request, &told.0.edge.address);
    let expected = json!({
        "route": "media", "outcome": "revalidated", "tier": "memory", "stored": false,
        "status": 200, "origin_status": 304, "body_bytes": 256,
        "origin_requests": 1, "origin_body_bytes": 0,
    });
    let answer = told.assert_told(&request, &expected);
    let timing = answer.header("server-timing").unwrap_or_default();
    assert!(timing.starts_with("tier;desc=memory, origin;dur="), "{timing}");
}

#[test]
fn a_hit_is_reported_with_its_tier_and_no_origin() {
    let told = leased();
    let small = (told.0.media(), "memory");
    let large = Media::new("video/webm", vec![7; 2 << 20]);
    let large = (told.0.origin.homeserver().add(large), "pop");
    for (id, tier) in [small, large] {
        let request = download(&id, &told.0.token());
        wait_for_tier(tier, &request, &told.0.edge.address);
        let expected = json!({
            "route": "media", "door": "client", "outcome": "hit", "tier": tier, "status": 200,
            "origin_status": null, "origin_requests": 0, "origin_body_bytes": 0, "origin_ms": 0,
        });
        let answer = told.assert_told(&request, &expected);
        assert_eq!(answer.header("server-timing"), Some(format!("tier;desc={tier}").as_str()));
    }
}

#[test]
fn a_range_counts_the_bytes_that_were_sent() {
    let told = leased();
    let id = told.0.stored_media();
    let request = download(&id, &told.0.token());
    wait_for_tier("memory", &request, &told.0.edge.address);
    let part = request.clone().header("Range", "bytes=0-9");
    told.assert_told(&part, &json!({ "outcome": "hit", "status": 206, "body_bytes": 10 }));
    let beyond = request.header("Range", "bytes=256-");
    told.assert_told(&beyond, &json!({ "outcome": "hit", "status": 416, "body_bytes": 0 }));
}

#[test]
fn an_answer_without_a_body_counts_no_bytes() {
    let told = strict();
    let token = told.0.token();
    let head = |id: &str| media_domain("HEAD", download_path(id)).bearer(&token);
    let nothing = json!({ "status": 200, "body_bytes": 0 });
    told.assert_told(&head(&told.0.stored_media()), &nothing);
    told.assert_told(&head(&told.0.media()), &nothing);
    let config = media_domain("HEAD", "/_matrix/media/v3/config").bearer(&token);
    told.assert_told(&config, &json!({ "body_bytes": 0, "origin_body_bytes": 0 }));
}

#[test]
fn a_304_with_a_length_brought_no_body() {
    let told = strict();
    let id = told.0.stored_media();
    let path = download_path(&id);
    told.0.origin.on(&path, |call| {
        call.receive()?;
        call.send("HTTP/1.1 304 Not Modified\r\nETag: 1\r\nContent-Length: 256\r\n\r\n")?;
        Ok(crate::support::origin::Then::KeepOpen)
    });
    let expected = json!({ "origin_status": 304, "origin_body_bytes": 0 });
    told.assert_told(&download(&id, &told.0.token()), &expected);
}

#[test]
fn refusals_of_the_origin_are_reported_as_refused() {
    let told = strict();
    let (stored, token) = (told.0.stored_media(), told.0.token());
    for (request, status) in [
        (download(&stored, "nobody"), 401),
        (download("nothing", &token), 404),
        (media_domain("GET", "/_matrix/media/v3/config"), 401),
        (same_host("GET", "/_matrix/client/v3/nothing"), 404),
    ] {
        let expected = json!({ "outcome": "refused", "status": status, "origin_status": status });
        told.assert_told(&request, &expected);
    }
}

#[test]
fn a_bypass_is_reported_with_its_reason() {
    let told = strict();
    let (id, token) = (told.0.media(), told.0.token());
    let preview = media_domain("GET", "/_matrix/media/v3/preview_url?url=x").bearer(&token);
    let upload = media_domain("POST", "/_matrix/media/v3/upload").bearer(&token).body(BODY);
    let unusual = media_domain("GET", download_path(&id)).bearer(&token);
    let unusual = unusual.header("Authorization", "Bearer another");
    for (request, route, reason) in [(preview, "forward", "endpoint"), (upload, "upload", "upload")]
    {
        let expected = json!({
            "route": route, "door": "other", "outcome": "bypass", "reason": reason, "tier": null,
            "stored": false, "status": 200, "origin_status": 200, "origin_requests": 1,
        });
        told.assert_told(&request, &expected);
    }
    told.assert_told(&unusual, &json!({ "route": "media", "reason": "credential" }));
}

#[test]
fn a_passthrough_answer_is_reported_as_the_origins() {
    let told = strict();
    let path = "/_matrix/client/versions";
    told.0.origin.reply(path, Reply::new(200).body("theirs"));
    let expected = json!({
        "route": "passthrough", "door": null, "outcome": "bypass", "status": 200,
        "origin_status": 200, "origin_requests": 1, "body_bytes": 6, "origin_body_bytes": 6,
    });
    told.assert_told(&same_host("GET", path), &expected);
}

#[test]
fn errors_of_the_edge_are_reported_with_their_reason() {
    let told = strict();
    let token = told.0.token();
    let upload = media_domain("POST", "/_matrix/media/v3/upload").bearer(&token);
    let looped = media_domain("GET", "/x").header("X-Matrix-Media-Edge", "example.com");
    for (request, reason) in [
        (media_domain("GET", "/x"), "unrecognized"),
        (media_domain("PUT", "/"), "status-method"),
        (upload.header("Content-Length", "5000000000"), "too-large"),
        (looped, "loop"),
    ] {
        let expected = json!({ "outcome": "rejected", "reason": reason, "origin_requests": 0 });
        told.assert_told(&request, &expected);
    }
}

#[test]
fn an_origin_that_gives_no_answer_is_reported() {
    let told = strict();
    let path = "/_matrix/client/v3/broken";
    told.0.origin.on(path, |_| Ok(crate::support::origin::Then::Reset));
    let expected = match Profile::current() {
        Profile::Plain => json!({
            "outcome": "rejected", "reason": "origin-unreachable", "status": 502,
            "origin_status": null, "origin_requests": 1,
        }),
        // Cloudflare's page passes through.
        Profile::Cloudflare => json!({
            "outcome": "refused", "reason": null, "status": 520,
            "origin_status": 520, "origin_requests": 1,
        }),
    };
    told.assert_told(&same_host("GET", path), &expected);
}

#[test]
fn answers_of_the_edge_alone_are_reported_as_local() {
    let told = strict();
    let preflight = media_domain("OPTIONS", "/_matrix/media/v3/upload");
    for (request, route, status) in
        [(preflight, "preflight", 204), (media_domain("GET", "/"), "status", 200)]
    {
        let expected = json!({
            "route": route, "door": null, "outcome": "local", "status": status, "tier": null,
            "origin_requests": 0, "origin_status": null,
        });
        let answer = told.assert_told(&request, &expected);
        assert_eq!(answer.header("server-timing"), None, "there is nothing to tell");
    }
}

#[test]
fn a_document_is_reported_as_bypass_until_it_is_cached() {
    let told = strict();
    let path = "/.well-known/matrix/client";
    let document = Reply::json(200, &json!({})).header("Cache-Control", "max-age=600");
    told.0.origin.reply(path, document);
    let expected = json!({
        "route": "well-known", "outcome": "bypass", "status": 200, "origin_status": 200,
        "origin_requests": 1, "origin_body_bytes": 2,
    });
    let request = same_host("GET", path);
    told.assert_told(&request, &expected);
    wait_for("it is kept", PATIENCE, || (told.ask(&request).1["outcome"] == "local").then_some(()));
}

#[test]
fn a_document_that_is_sent_again_is_a_hit() {
    let told = leased();
    let path = "/.well-known/matrix/server";
    told.0.origin.reply(path, Reply::json(200, &json!({ "m.server": "matrix.example.com:443" })));
    let request = same_host("GET", path);
    request.send(&told.0.edge.address);
    let expected = json!({
        "route": "well-known", "door": null, "outcome": "hit", "status": 200, "tier": "memory",
        "reason": null, "stored": false, "origin_requests": 0, "origin_status": null,
    });
    let answer = told.assert_told(&request, &expected);
    assert_eq!(answer.header("server-timing"), Some("tier;desc=memory"));
}

#[test]
fn background_work_is_not_reported() {
    let told = strict();
    let (path, token) = ("/_matrix/media/v3/upload", told.0.token());
    let before = told.events().len();
    let upload = media_domain("POST", path).bearer(&token).body(BODY);
    let id = upload.send(&told.0.edge.address).json()["content_uri"]
        .as_str()
        .and_then(|uri| uri.rsplit('/').next().map(str::to_owned))
        .expect("it is uploaded");
    wait_for("the edge fetches it", PATIENCE, || {
        (!told.0.origin.asked(&download_path(&id)).is_empty()).then_some(())
    });
    told.0.store(&id);
    let told_of = told.events().split_off(before);
    let media: Vec<_> = told_of.iter().filter(|event| event["outcome"] == "miss").collect();
    assert!(media.is_empty(), "the upload's own fetch is nobody's request: {media:?}");
}

#[test]
fn a_data_point_is_the_event_in_columns() {
    let told = strict();
    let id = told.0.stored_media();
    let (_, event, point) = told.ask(&download(&id, &told.0.token()));
    let text = |name: &str| match &event[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let words = ["route", "door", "outcome", "tier", "reason", "status", "origin_status", "pop"];
    let numbers =
        ["body_bytes", "origin_body_bytes", "origin_requests", "duration_ms", "origin_ms"];
    let expected = json!({
        "indexes": ["client"],
        "blobs": words.map(text),
        "doubles": numbers.map(|name| event[name].clone()),
    });
    assert_eq!(point, expected);
}

#[test]
fn each_request_is_reported_once() {
    let told = strict();
    told.settle();
    let before = (told.events().len(), told.points().len());
    for _ in 0..10 {
        same_host("GET", "/_matrix/client/versions").send(&told.0.edge.address);
    }
    // Which is one more.
    told.settle();
    assert_eq!(told.events().len(), before.0 + 11);
    assert_eq!(told.points().len(), before.1 + 11);
}

#[test]
fn the_log_alone_is_written_without_a_dataset() {
    let world = World::start();
    let (id, token) = (world.media(), world.token());
    assert_eq!(download(&id, &token).send(&world.edge.address).body, BODY);
    wait_for("it is told", PATIENCE, || world.edge.log().contains("miss").then_some(()));
    let log = world.edge.log();
    assert!(!log.contains("POINT") && !log.contains("metrics"), "{log}");
}

#[test]
fn a_dataset_is_written_though_the_log_is_off() {
    let told = Told::start(&[("LOG_REQUESTS", "none")]);
    media_domain("GET", "/x").send(&told.0.edge.address);
    wait_for("a data point", PATIENCE, || (!told.points().is_empty()).then_some(()));
    assert!(told.events().is_empty());
}

#[test]
fn a_dataset_that_fails_harms_no_answer() {
    let layout = Layout { metrics: Metrics::Failing, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    let (id, token) = (world.media(), world.token());
    for _ in 0..3 {
        let answer = download(&id, &token).send(&world.edge.address);
        assert_eq!((answer.status, answer.body.as_slice()), (200, BODY));
    }
    wait_for("the log says so", PATIENCE, || world.edge.log().contains("metrics: ").then_some(()));
    assert!(!world.edge.log().contains("secret"), "{}", world.edge.log());
}
