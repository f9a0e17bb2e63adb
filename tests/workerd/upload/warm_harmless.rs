//! Fetching new media for readers who may come makes nobody worse off: not the uploader, not the
//! readers, not what is stored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::json;
use test_support::time::{now, wait_for};

use crate::support::origin::{Call, Reply, Then};
use crate::support::world::{BODY, PATIENCE, download, download_path, shared};
use crate::upload::warm::{is_unconditional, post, put, send, take_as};

type Answering = fn(&mut Call<'_>) -> io::Result<Then>;

#[test]
fn an_answer_that_names_no_media_is_relayed_and_nothing_is_prefetched() {
    let world = shared();
    let long =
        format!(r#"{{"content_uri":"mxc://example.com/long","a":"{}"}}"#, "x".repeat(70_000));
    for (number, body) in [
        "",
        "{}",
        "taken",
        r#"{"content_uri":null}"#,
        r#"{"content_uri":"mxc://example.com/a/../../b"}"#,
        r#"{"content_uri":"mxc://example.com/a?b"}"#,
        r#"{"content_uri":"mxc://exa mple.com/a"}"#,
        r#"{"content_uri":"https://example.com/a"}"#,
        r#"{"content_uri":"mxc://example.com/cut"#,
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("nameless{number}");
        let target = format!("/_matrix/media/v3/upload?filename={name}");
        let token = world.token();
        let reply = Reply::new(200).header("Content-Type", "application/json").body(body);
        for reply in [reply.clone(), reply.chunked()] {
            world.origin.reply(&target, reply);
            let answer = send(world, &post(&token, &name, BODY));
            assert_eq!(answer.text(), body);
        }
        sleep(Duration::from_millis(50));
        let own = format!("Bearer {token}");
        let asked = world.origin.records();
        let asked: Vec<_> =
            asked.iter().filter(|a| a.header("authorization") == Some(&own)).collect();
        assert!(asked.iter().all(|a| a.head.method == "POST"), "{body}: {asked:?}");
    }
}

#[test]
fn the_origins_answer_reaches_the_uploader_to_the_byte() {
    let world = shared();
    let body = "{ \"content_uri\" :\n\t\"mxc://example.com/warmExact\" , \"é\": 1e400 , \"a\":1,\"a\":2 }\n";
    for reply in [Reply::new(200).body(body), Reply::new(200).body(body).chunked()] {
        let target = "/_matrix/media/v3/upload?filename=exact";
        world.origin.reply(target, reply.header("Content-Type", "application/json; charset=x"));
        let answer = send(world, &post(&world.token(), "exact", BODY));
        assert_eq!(answer.text(), body);
        assert_eq!(answer.header("content-type"), Some("application/json; charset=x"));
        let path = download_path("warmExact");
        wait_for("it is fetched", PATIENCE, || world.origin.asked(&path).pop());
        world.origin.forget(&path);
    }
}

#[test]
fn a_prefetch_that_fails_is_forgotten() {
    let world = shared();
    let failures: [(&str, Answering); 6] = [
        ("warm404", |call| call.reply(&Reply::error(404, "M_NOT_FOUND", "Not found"))),
        ("warm401", |call| call.reply(&Reply::error(401, "M_UNKNOWN_TOKEN", "No"))),
        ("warm500", |call| call.reply(&Reply::error(500, "M_UNKNOWN", "Oops"))),
        ("warm504", |call| call.reply(&Reply::error(504, "M_NOT_YET_UPLOADED", "Wait"))),
        ("warmReset", |_| Ok(Then::Reset)),
        ("warmShort", |call| {
            let head = Reply::new(200)
                .header("Content-Type", "image/png")
                .header("Content-Disposition", "inline")
                .header("ETag", "1");
            call.send(head.head_bytes(BODY.len()))?;
            call.send(&BODY[..100])?;
            Ok(Then::Close)
        }),
    ];
    for (id, fail) in failures {
        let path = download_path(id);
        world.origin.on(&path, fail);
        send(world, &put(&world.token(), id, BODY));
        wait_for(id, PATIENCE, || world.origin.asked(&path).pop());
        world.origin.on(&path, |call| call.reply_by_default());
        wait_for("the origin is asked for the whole", PATIENCE, || {
            world.origin.forget(&path);
            // A broken transfer is honest as well.
            let answer = download(id, &world.token()).try_send(&world.edge.address).ok()?;
            assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{id}");
            world.origin.asked(&path).iter().any(is_unconditional).then_some(())
        });
        world.store(id);
    }
}

#[test]
fn a_prefetch_that_hangs_delays_neither_uploader_nor_readers_for_long() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    let path = download_path(&id);
    let hung = format!("Bearer {token}");
    world.origin.on(&path, move |call| match call.head.headers.get("authorization") {
        Some(own) if own == hung => call.wait_for_end(),
        _ => call.reply_by_default(),
    });
    take_as(world, "hangs", &id);
    let taken = format!("/_matrix/media/v3/upload/example.com/{id}");
    world.origin.reply(&taken, Reply::json(200, &json!({})));
    for upload in [post(&token, "hangs", BODY), put(&token, &id, BODY)] {
        world.origin.forget(&path);
        let begun = now();
        send(world, &upload);
        assert!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
        wait_for("it is fetched", PATIENCE, || world.origin.asked(&path).pop());
    }

    let asked = now();
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert!(asked.elapsed() < Duration::from_secs(5), "it waited {:?}", asked.elapsed());
}

#[test]
fn a_reader_who_waited_for_the_upload_spoils_nothing() {
    let world = shared();
    let (id, token) = ("warmAwaited", world.token());
    let is_uploaded = Arc::new(AtomicBool::new(false));
    world.origin.on(&format!("/_matrix/media/v3/upload/example.com/{id}"), {
        let is_uploaded = Arc::clone(&is_uploaded);
        move |call| {
            let then = call.reply_by_default();
            is_uploaded.store(true, Ordering::Relaxed);
            then
        }
    });
    let path = download_path(id);
    world.origin.on(&path, move |call| {
        while !is_uploaded.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(5));
        }
        call.reply_by_default()
    });
    scope(|scope| {
        let reader = scope.spawn(|| download(id, &token).send(&world.edge.address));
        wait_for("the reader waits", PATIENCE, || world.origin.asked(&path).pop());
        send(world, &put(&token, id, BODY));
        assert_eq!(reader.join().expect("an answer").body, BODY);
    });
    world.store(id);
    assert_eq!(download(id, &token).send(&world.edge.address).body, BODY);
}
