//! What clients are told about limits: never more than the edge takes, and everything else as the
//! origin said it, to the byte.

use std::sync::LazyLock;

use test_support::assertions::{assert_cache_status, assert_matrix_error};
use test_support::http::Answer;
use test_support::profile::Profile;

use crate::support::origin::{Reply, Then};
use crate::support::world::{World, media_domain, same_host};

const PATHS: [&str; 6] = [
    "/_matrix/client/v1/media/config",
    "/_matrix/media/r0/config",
    "/_matrix/media/v1/config",
    "/_matrix/media/v3/config",
    "/_matrix/media/config",
    "/_matrix/client/unstable/org.matrix.msc3916/media/config",
];

/// An edge that takes no more than 1000 bytes.
fn limited() -> &'static World {
    static LIMITED: LazyLock<World> =
        LazyLock::new(|| World::start_with(&[("MAX_UPLOAD_BYTES", "1000")]));
    &LIMITED
}

/// What the client gets where the origin answers this at this target.
fn answer_to(target: &str, reply: &Reply) -> Answer {
    let world = limited();
    world.origin.reply(target, reply.clone());
    let answer = media_domain("GET", target).bearer(&world.token()).send(&world.edge.address);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{target}");
    answer
}

fn json(text: impl AsRef<[u8]>) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(text)
}

#[test]
fn a_higher_limit_is_lowered_on_every_path() {
    for path in PATHS {
        let answer = answer_to(&format!("{path}?higher"), &json(r#"{"m.upload.size":2000}"#));
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"m.upload.size":1000}"#));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_cache_status(&answer, "fwd=bypass; fwd-status=200; detail=endpoint");
    }
}

#[test]
fn all_other_bytes_of_the_answer_stay() {
    for (number, (told, expected)) in [
        (
            "{ \"b\" : 1e400,\n\t\"m.upload.size\" : 50000000 , \"é\\u0041\":[{}, -0.0 ] }\n",
            "{ \"b\" : 1e400,\n\t\"m.upload.size\" : 1000 , \"é\\u0041\":[{}, -0.0 ] }\n",
        ),
        (
            r#"{"m.upload.size":1001,"org.example.limits":{"m.upload.size":9999}}"#,
            r#"{"m.upload.size":1000,"org.example.limits":{"m.upload.size":9999}}"#,
        ),
        (r#"{"m.upload.size":null,"a":null}"#, r#"{"m.upload.size":1000,"a":null}"#),
        (r#"{"a":"m.upload.size"}"#, r#"{"m.upload.size":1000,"a":"m.upload.size"}"#),
        ("{}", r#"{"m.upload.size":1000}"#),
        (r#"{"m.upload.size":18446744073709551616}"#, r#"{"m.upload.size":1000}"#),
        (r#"{"m.upload\u002esize":2000}"#, r#"{"m.upload\u002esize":1000}"#),
    ]
    .into_iter()
    .enumerate()
    {
        for reply in [json(told), json(told).chunked()] {
            let answer = answer_to(&format!("{}?{number}", PATHS[0]), &reply);
            assert_eq!(answer.text(), expected);
        }
    }
}

#[test]
fn an_answer_without_a_limit_to_lower_is_unchanged() {
    let long = format!(r#"{{"m.upload.size":2000,"a":"{}"}}"#, "x".repeat(70_000));
    let refusal = r#"{"errcode":"M_GUEST_ACCESS_FORBIDDEN","error":"No","m.upload.size":2000}"#;
    for (number, (status, type_, body)) in [
        (200, "application/json", &b"{ \"m.upload.size\" : 1000 }"[..]),
        (200, "application/json", b"{\"m.upload.size\":0,\"a\":1}\n"),
        (200, "application/json", br#"{"m.upload.size":"2000"}"#),
        (200, "application/json", br#"[{"m.upload.size":2000}]"#),
        (200, "application/json", b""),
        (200, "application/json", b"{\"m.upload.size\":2000"),
        (200, "application/json", b"{\"m.upload.size\":2000,\"a\":\"\xff\"}"),
        (200, "application/json", long.as_bytes()),
        (200, "text/plain", b"<p>2000</p>"),
        (206, "application/json", br#"{"m.upload.size":2000}"#),
        (403, "application/json", refusal.as_bytes()),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = Reply::new(status).header("Content-Type", type_).body(body);
        for reply in [reply.clone(), reply.chunked()] {
            let answer = answer_to(&format!("{}?untouched={number}", PATHS[0]), &reply);
            assert_eq!((answer.status, &answer.body[..]), (status, body), "{number}");
            assert_eq!(answer.header("content-type"), Some(type_));
        }
    }
}

#[test]
fn an_intermediarys_answer_is_an_error() {
    for (number, (status, type_, body)) in [
        (200, "text/html", "<p>2000</p>"),
        (404, "text/html", "<h1>Not found</h1>"),
        (500, "text/plain", "{\"m.upload.size\":2000}"),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = Reply::new(status).header("Content-Type", type_).body(body);
        let answer = answer_to(&format!("{}?page={number}", PATHS[0]), &reply);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
    }
}

/// But for that Cloudflare's proxy decodes what the edge did not ask for.
#[test]
fn an_encoded_answer_stays_encoded() {
    // {"m.upload.size":2000}
    let encoded = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xd5\x2b\x2d\xc8\xc9\x4f\x4c\xd1\x2b\xce\xac\x4a\x55\xb2\x32\x32\x30\x30\xa8\x05\x00\xe9\x7b\xdb\xc0\x16\x00\x00\x00";
    let world = limited();
    let target = "/_matrix/client/v1/media/config?encoded";
    world.origin.reply(target, json(encoded).header("Content-Encoding", "gzip"));
    let request = media_domain("GET", target).bearer(&world.token());
    let answer = request.header("Accept-Encoding", "gzip").send(&world.edge.direct_address);
    let (body, encoding) = match Profile::current() {
        Profile::Cloudflare => (&br#"{"m.upload.size":1000}"#[..], None),
        Profile::Plain => (&encoded[..], Some("gzip")),
    };
    assert_eq!((answer.status, &answer.body[..]), (200, body));
    assert_eq!(answer.header("content-encoding"), encoding);
}

#[test]
fn an_answer_that_breaks_off_is_not_made_whole() {
    let world = limited();
    let target = "/_matrix/client/v1/media/config?broken";
    world.origin.on(target, |call| {
        call.receive()?;
        call.send(json("").head_bytes(100))?;
        call.send(r#"{"m.upload.size":2000}"#)?;
        Ok(Then::Close)
    });
    let request = media_domain("GET", target).bearer(&world.token());
    let answer = request.try_send(&world.edge.address);
    assert!(answer.is_err(), "it looks complete: {answer:?}");
}

#[test]
fn every_user_is_answered_by_the_origin_each_time() {
    let world = limited();
    let target = "/_matrix/client/v1/media/config?each";
    let token = world.token();
    for told in [500, 400] {
        let told = format!(r#"{{"m.upload.size":{told}}}"#);
        world.origin.reply(target, json(&told));
        for token in [&token, &world.token()] {
            world.origin.forget(target);
            let answer = same_host("GET", target).bearer(token).send(&world.edge.address);
            assert_eq!(answer.text(), told);
            let asked = world.origin.asked_once(target);
            assert_eq!(asked.header("authorization"), Some(format!("Bearer {token}").as_str()));
        }
    }
}

#[test]
fn refusals_and_failures_are_as_at_any_endpoint() {
    let world = limited();
    let target = "/_matrix/client/v1/media/config?default";
    let refused = media_domain("GET", target).send(&world.edge.address);
    assert_matrix_error(&refused, 401, "M_MISSING_TOKEN");

    let target = "/_matrix/client/v1/media/config?reset";
    world.origin.on(target, |_| Ok(Then::Reset));
    let failed = media_domain("GET", target).bearer(&world.token()).send(&world.edge.address);
    assert_matrix_error(&failed, 502, "M_UNKNOWN");

    let preflight = media_domain("OPTIONS", target).send(&world.edge.address);
    assert_eq!((preflight.status, preflight.body.len()), (204, 0));
}
