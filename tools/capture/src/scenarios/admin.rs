//! What is for the admin: the status, purges, and a Worker whose variables are wrong.

use std::cell::RefCell;

use serde_json::json;
use test_support::edge::{Layout, Metrics};
use test_support::http::Request;

use super::{
    ADMIN_TOKEN, BODY, content_key, download, download_path, media_domain, same_host, to_host,
};
use crate::origin::{Media, Origin, Reply};
use crate::record::Record;
use crate::worlds::{Ask, World};

pub(super) fn play(record: &RefCell<Record>) {
    let layout = Layout { metrics: Metrics::Told, ..Layout::default() };
    let vars = |_: &Origin, _: &Origin| vec![("ADMIN_TOKEN", ADMIN_TOKEN.to_owned())];
    let mut world = World::start_as(record, layout, vars);
    world.turn_to("admin");
    status(&mut world);
    purges(&mut world);
    drop(world);
    misconfigured(record);
    same_domain(record);
}

fn status(world: &mut World<'_>) {
    let get = |path: &str| media_domain("GET", path);
    world
        .origin
        .on("/_matrix/client/versions", Reply::json(200, &json!({ "versions": ["v1.11"] })));
    world.origin.on("/.well-known/matrix/client", Reply::json(200, &json!({ "m.homeserver": {} })));
    world.play(Ask::new("the status, for anyone", get("/_edge/status")).asking_at_once());
    world.ask("the status, for the admin", get("/_edge/status").bearer(ADMIN_TOKEN));
    world.ask("the status, with another token", get("/_edge/status").bearer("another"));
    world.ask("the page, for anyone", get("/"));
    world.ask("the page, for the admin", get("/_edge/").bearer(ADMIN_TOKEN));
    world.ask("the page, with another token", get("/").bearer("another"));
    let form = |token: &str| {
        let form = media_domain("POST", "/").body(format!("token={token}"));
        form.header("Content-Type", "application/x-www-form-urlencoded")
    };
    world.ask("the form", form(ADMIN_TOKEN));
    world.ask("the form with another token", form("another"));
}

fn purge(what: &serde_json::Value) -> Request {
    media_domain("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body(what.to_string())
}

/// Whatever is stored within some seconds after a purge is covered by it too, so what was purged is
/// read once after each, and stays purged.
fn purges(world: &mut World<'_>) {
    for id in ["a", "b"] {
        world.origin.homeserver().add(id, Media::new(BODY));
        world.fill(&format!("{id} is stored"), download(id, "syt_alice"), &content_key(id));
        world.ask(&format!("{id} is read"), download(id, "syt_alice"));
    }
    world.origin.homeserver().add_of("example.org", "d", Media::new(BODY));
    let theirs = "/_matrix/client/v1/media/download/example.org/d";
    let theirs = || media_domain("GET", theirs).bearer("syt_alice");
    world.fill("d is stored", theirs(), "v2/example.com/media/example.org/d/example.org/content");
    world.ask("purge one", purge(&json!({ "mxc": "mxc://example.com/a" })));
    world.ask("a after its purge", download("a", "syt_alice"));
    world.ask("b after the purge of a", download("b", "syt_alice"));
    world.ask("purge a server", purge(&json!({ "server_name": "example.com" })));
    world.ask("b after its server's purge", download("b", "syt_alice"));
    world.ask("d after another server's purge", theirs());
    world.ask("purge everything", purge(&json!({ "everything": true })));
    world.ask("d after the purge of everything", theirs());
    world.ask("purge nothing", purge(&json!({})));
    let stranger = media_domain("POST", "/_edge/purge").body("{\"everything\":true}");
    world.ask("purge without a token", stranger.clone());
    world.ask("purge with another token", stranger.bearer("0123456789abcdeF"));
    world.ask("GET of a purge", media_domain("GET", "/_edge/purge").bearer(ADMIN_TOKEN));
    let elsewhere = same_host("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body("{}");
    world.ask("purge at the homeserver's host", elsewhere);
}

/// Plays through a world that has no admin.
pub(super) fn play_without(world: &mut World<'_>) {
    world.turn_to("no admin");
    let request = media_domain("POST", "/_edge/purge").bearer(ADMIN_TOKEN).body("{}");
    world.ask("a purge", request);
    let page = media_domain("GET", "/").bearer(ADMIN_TOKEN);
    world.play(Ask::new("the page", page).asking_at_once());
}

fn misconfigured(record: &RefCell<Record>) {
    let mut world = World::start(record, &[("WELL_KNOWN_FIELDS", "all")]);
    world.turn_to("misconfigured");
    world.ask("a download", download("a", "syt_alice"));
    world.ask("a preflight", media_domain("OPTIONS", &download_path("a")));
}

/// The homeserver's own host is the media domain as well, and only failures are logged.
fn same_domain(record: &RefCell<Record>) {
    let vars = |origin: &Origin, _: &Origin| {
        vec![
            ("MEDIA_URL", origin.url().replace("http", "https")),
            ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
            ("LOG_REQUESTS", "failures".to_owned()),
        ]
    };
    let mut world = World::start_as(record, Layout::default(), vars);
    world.turn_to("one domain, failures logged");
    world.origin.homeserver().add("a", Media::new(BODY));
    let host = world.origin.address.clone();
    let at = |method: &str, path: &str| to_host(&host, method, path);
    let request = at("GET", &download_path("a")).bearer("syt_alice");
    world.play(Ask::new("a miss", request.clone()).unlogged());
    world.play(Ask::new("a hit", request).unlogged());
    world.ask("a refusal", at("GET", &download_path("a")).bearer("syt_nobody"));
    world.origin.on("/", Reply::new(418).body("theirs"));
    world.play(Ask::new("the front page is the homeserver's", at("GET", "/")));
    world.ask("a purge without a token", at("POST", "/_edge/purge").body("{}"));
}
