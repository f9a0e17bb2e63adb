//! Media in pages of another site, in a real browser: it shows under every embedder policy and can be
//! sought in. And media as a page of its own, which must not act as one of the homeserver's.
//!
//! The homeserver here forgets every header that says so.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use test_support::script::tell;

use crate::support::origin::{Origin, Reply};
use crate::support::world::{World, download_path, legacy_path, shared};

const PICTURE: &[u8] = include_bytes!("../../synapse/squares.png");

/// By type: what leaves a mark if anything of it runs.
const DOCUMENTS: [(&str, &str); 3] = [
    (
        "text/html",
        "<!doctype html><script>document.documentElement.dataset.ran = 'script'</script>\
         <img src='' onerror=\"document.documentElement.dataset.ran = 'handler'\"><p>shown</p>",
    ),
    (
        "application/xhtml+xml",
        "<html xmlns='http://www.w3.org/1999/xhtml'><body>shown\
         <script>document.documentElement.dataset.ran = 'script'</script></body></html>",
    ),
    (
        "image/svg+xml",
        "<svg xmlns='http://www.w3.org/2000/svg'><text y='20'>shown</text>\
         <script>document.documentElement.dataset.ran = 'script'</script></svg>",
    ),
];

const SCRIPT: &str = "globalThis.ran = 'script'";

/// What the browser saw.
fn told() -> &'static Value {
    static TOLD: LazyLock<Value> = LazyLock::new(look);
    &TOLD
}

#[test]
fn media_shows_under_every_embedder_policy() {
    for (policy, is_isolated) in
        [("unsafe-none", false), ("require-corp", true), ("credentialless", true)]
    {
        let page = told()["pages"][policy].as_object().expect("the page is told");
        assert_eq!(page["isIsolated"], is_isolated, "{policy}");
        for (name, shows) in page {
            let is_ours = name != "isIsolated" && !name.ends_with("of the homeserver itself");
            assert!(!is_ours || *shows == true, "{policy}, {name}: {shows}");
        }
    }
}

#[test]
fn media_of_the_homeserver_alone_does_not_show() {
    let page = &told()["pages"]["require-corp"];
    for kind in ["img", "fetch"] {
        assert_eq!(page[format!("{kind}: of the homeserver itself")], false, "{kind}: {page}");
    }
}

#[test]
fn audio_is_seekable_only_through_the_edge() {
    let heard = &told()["audio"]["edge"];
    assert_eq!((&heard["duration"], &heard["seekableUntil"]), (&json!(45), &json!(45)), "{heard}");
    assert!(heard["playedUntil"].as_f64() > Some(40.0), "{heard}");
    let sought = heard["soughtByte"].as_u64().expect("it is a number");
    let is_near = |part: &Value| {
        let range = part["contentRange"].as_str().and_then(|range| range.strip_prefix("bytes "));
        let first = range.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        part["status"] == 206 && first.is_some_and(|first| first.abs_diff(sought) < 1 << 20)
    };
    let parts = heard["parts"].as_array().expect("the parts are listed");
    assert!(parts.iter().any(is_near), "{heard}");
    assert_eq!(told()["audio"]["alone"]["seekableUntil"], 0);
}

#[test]
fn a_document_is_shown_and_runs_no_script() {
    for (content_type, _) in DOCUMENTS {
        let seen = &told()["documents"][content_type];
        for time in ["first", "again"] {
            let expected = json!({ "ran": null, "type": content_type, "text": "shown" });
            assert_eq!(without_source(&seen[time]), expected, "{content_type}, {time}");
        }
        assert!(seen["own"]["ran"].is_string(), "{content_type} runs where nobody forbids it");
    }
}

#[test]
fn a_text_is_no_script_whatever_it_holds() {
    let seen = &told()["scripts"]["text/plain"];
    for time in ["first", "again"] {
        assert_eq!(seen[time]["ran"], Value::Null, "{time}");
    }
    assert_eq!(seen["own"]["ran"], "script", "it runs where nobody forbids it");
}

/// The text of a document has that of its scripts in it.
fn without_source(seen: &Value) -> Value {
    let mut seen = seen.clone();
    let text = seen["text"].as_str().unwrap_or_default();
    seen["text"] = text.contains("shown").then_some("shown").into();
    seen
}

fn look() -> Value {
    let world = shared();
    let token = world.token();
    let forget = |path: &str, content_type: &str, body: &[u8]| {
        let reply = Reply::new(200).header("Content-Type", content_type).header("ETag", "1");
        let reply = reply.header("Content-Disposition", "inline");
        let reply = reply.body(body);
        world.origin.on(path, move |call| match call.head.headers.get("if-none-match") {
            Some(_) => call.reply(&Reply::new(304)),
            None => call.reply(&reply),
        });
    };
    let at = |address: &str, path: &str| format!("http://{address}{path}");
    let edge = &world.edge.address;

    let picture = download_path("forgotten");
    let thumbnail = picture.replace("download", "thumbnail");
    let small = "width=32&height=32";
    forget(&picture, "image/png", PICTURE);
    forget(&thumbnail, "image/png", PICTURE);
    let with_token = format!("access_token={token}");
    let (redirecting, store) =
        (World::start_with(&[("ORIGIN_REDIRECTS", "pass")]), Origin::start());
    let allowed = Reply::new(200).header("Cross-Origin-Resource-Policy", "cross-origin");
    store.reply("/blob", allowed.header("Content-Type", "image/png").body(PICTURE));
    let redirect = Reply::new(307).header("Location", format!("{}/blob", store.url()));
    redirecting.origin.reply(&picture, redirect);
    let pictures = json!({
        "download": at(edge, &format!("{picture}?{with_token}")),
        "thumbnail": at(edge, &format!("{thumbnail}?{small}&{with_token}")),
        "by a redirect": at(&redirecting.edge.address, &format!("{picture}?{with_token}")),
        "of the homeserver itself": at(&world.origin.address, &picture),
    });

    let pages = |prefix: &str, items: &[(&str, &str)]| {
        let mut pages = Map::new();
        for (number, (content_type, body)) in items.iter().enumerate() {
            let path = legacy_path(&format!("{prefix}{number}"));
            forget(&path, content_type, body.as_bytes());
            let page = json!({ "url": at(edge, &path), "type": content_type, "body": body });
            pages.insert((*content_type).to_owned(), page);
        }
        pages
    };
    let task = json!({
        "homeserver": world.origin.address,
        "edge": edge,
        "token": token,
        "pictures": pictures,
        "documents": pages("document", &DOCUMENTS),
        "scripts": pages("script", &[("text/plain", SCRIPT)]),
    });
    tell("embeds.mjs", &[&task.to_string()])
}
