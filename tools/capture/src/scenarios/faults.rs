//! What the origin may answer to a download instead of media, in strict mode: refusals, failures,
//! pages of others, and media that may not be stored.

use super::{BODY, GZIPPED, content_key, download, download_path, media_domain};
use crate::origin::{Media, Reply, Script};
use crate::worlds::{Ask, World};

pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("faults");
    refusals_of_what_is_stored(world);
    answers_to_a_miss(world);
    media_of_all_kinds(world);
    validators(world);
    broken(world);
}

fn limited() -> Reply {
    Reply::error(429, "M_LIMIT_EXCEEDED", "Too Many Requests").header("Retry-After", "3")
}

fn refusals_of_what_is_stored(world: &mut World<'_>) {
    for id in ["kept", "gone", "changed"] {
        world.origin.homeserver().add(id, Media::new(BODY));
        let request = download(id, "syt_alice");
        world.fill(&format!("media to be {id}"), request, &content_key(id));
    }
    let login = Reply::page(200, "<form>").header("Set-Cookie", "session=1");
    let gone = Reply::error(404, "M_NOT_FOUND", "Gone");
    let other = Reply::media("other").header("ETag", "2");
    for (id, title, script) in [
        ("kept", "a 401", Reply::error(401, "M_UNKNOWN_TOKEN", "Unknown").into()),
        ("kept", "a 403", Reply::error(403, "M_FORBIDDEN", "Not for you").into()),
        ("kept", "a 404 page", Reply::page(404, "<h1>Not found</h1>").into()),
        ("kept", "a 429", limited().into()),
        ("kept", "a 500", Reply::error(500, "M_UNKNOWN", "Internal").into()),
        ("kept", "a 502 page", Reply::page(502, "<h1>Bad Gateway</h1>").into()),
        ("kept", "a login page", login.into()),
        ("kept", "a redirect", Reply::redirect(302, "https://127.0.0.1:9/login").into()),
        ("kept", "nothing", Script::HangUp),
        ("gone", "a 404", gone.into()),
        ("changed", "other media", other.into()),
    ] {
        let path = download_path(id);
        world.origin.on(&path, script);
        world.ask(&format!("{title} about what is stored"), download(id, "syt_alice"));
        world.origin.restore(&path);
    }
    for id in ["kept", "gone", "changed"] {
        world.ask(&format!("media that was {id}"), download(id, "syt_alice"));
    }
}

fn answers_to_a_miss(world: &mut World<'_>) {
    let own = format!("{}/elsewhere", world.origin.url());
    for (id, title, reply) in [
        ("m403", "a 403", Reply::error(403, "M_FORBIDDEN", "Not for you")),
        ("m429", "a 429", limited()),
        ("m500", "a 500", Reply::error(500, "M_UNKNOWN", "Internal")),
        ("m502", "a 502 page", Reply::page(502, "<h1>Bad Gateway</h1>")),
        ("m504", "media that isn't uploaded yet", Reply::error(504, "M_NOT_YET_UPLOADED", "Wait")),
        ("m700", "an odd status", Reply::new(700).body("odd")),
        ("login", "a login page", Reply::page(200, "<form>")),
        ("own", "a 302 to its own host", Reply::redirect(302, &own)),
        ("foreign", "a 302 to another host", Reply::redirect(302, "http://example.org/x")),
    ] {
        world.origin.on(&download_path(id), reply);
        world.ask(&format!("{title} to a miss"), download(id, "syt_alice"));
    }
    let no_head = Reply::error(405, "M_UNRECOGNIZED", "No HEAD");
    world.origin.in_turn(
        &download_path("headless"),
        vec![no_head.into(), Reply::media(BODY).header("ETag", "1").into()],
    );
    let head = media_domain("HEAD", &download_path("headless")).bearer("syt_alice");
    world.ask("HEAD of an origin that knows no HEAD", head);
}

fn media_of_all_kinds(world: &mut World<'_>) {
    let media = || Reply::media(BODY).header("ETag", "1").conditional();
    let cached = |value| media().without("Cache-Control").header("Cache-Control", value);
    let typed = |value| media().without("Content-Type").header("Content-Type", value);
    for (id, title, reply) in [
        ("nostore", "no-store", cached("no-store")),
        ("private", "private", cached("private, max-age=60")),
        ("cookie", "a cookie", media().header("Set-Cookie", "a=1")),
        ("vary", "Vary: User-Agent", media().header("Vary", "User-Agent")),
        ("html", "a type that browsers run", typed("text/html")),
        ("plain", "no disposition", media().without("Content-Disposition")),
        ("gzip", "a gzipped body", media().header("Content-Encoding", "gzip").body(GZIPPED)),
        ("chunked", "a body without a length", media().chunked()),
        ("close", "a body that ends with the connection", media().until_close()),
        ("traced", "a trace ID", media().header("Synapse-Trace-Id", "trace").header("Link", "</>")),
    ] {
        world.origin.on(&download_path(id), reply);
        world.ask(&format!("media with {title}"), download(id, "syt_alice"));
    }
}

fn validators(world: &mut World<'_>) {
    let strong = Reply::media(BODY).header("ETag", "\"v1\"").conditional();
    world.origin.on(&download_path("strong"), strong);
    let request = || download("strong", "syt_alice");
    world.fill("an origin with an ETag of its own", request(), &content_key("strong"));
    world.ask("an origin with an ETag of its own, again", request());
    let newer = Reply::media("newer").header("ETag", "\"v2\"").conditional();
    world.origin.on(&download_path("strong"), newer);
    world.ask("an ETag that has changed", request());
    world.origin.on(&download_path("bare"), Reply::media(BODY));
    world.ask("an origin without validators", download("bare", "syt_alice"));
    let head = media_domain("HEAD", &download_path("bare")).bearer("syt_alice");
    world.ask("HEAD of an origin without validators", head);
}

fn broken(world: &mut World<'_>) {
    let media = || Reply::media(BODY).header("ETag", "1");
    world.origin.in_turn(&download_path("once"), vec![Script::HangUp, media().into()]);
    world.fill("an origin that hangs up once", download("once", "syt_alice"), &content_key("once"));
    world.origin.on(&download_path("never"), Script::HangUp);
    world.ask("an origin that hangs up", download("never", "syt_alice"));
    world.origin.on(&download_path("short"), media().short());
    let request = || download("short", "syt_alice");
    // The Worker looks for the end of what was stored, again and again.
    world.play(Ask::new("a body that breaks off", request()).slowly());
    world.ask("a body that breaks off, again", request());
}
