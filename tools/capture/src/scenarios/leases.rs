//! Leases: for a while what the homeserver granted is served without asking again.

use super::{
    BODY, content_key, download, download_path, legacy_path, media_domain, thumbnail_path,
};
use crate::origin::{Media, Reply};
use crate::worlds::World;

/// Plays through a world of leases.
pub(super) fn play(world: &mut World<'_>) {
    world.turn_to("leases");
    prepare(world);
    hits(world);
    ends(world);
    without_validators(world);
}

fn prepare(world: &World<'_>) {
    let mut homeserver = world.origin.homeserver();
    for id in ["a", "b", "c"] {
        homeserver.add(id, Media::new(BODY).legacy());
    }
}

fn hits(world: &mut World<'_>) {
    world.fill("the first read", download("a", "syt_alice"), &content_key("a"));
    world.ask("a hit that is asked about by nobody", download("a", "syt_alice"));
    let path = download_path("a");
    world.ask("a part", download("a", "syt_alice").header("Range", "bytes=8-15"));
    let known = download("a", "syt_alice").header("If-None-Match", "\"a-256\"");
    world.ask("If-None-Match", known);
    let in_query = media_domain("GET", &format!("{path}?access_token=syt_alice"));
    world.ask("the token in the query", in_query);
    let special = media_domain("GET", &format!("{path}?user_id=@b:example.com"));
    world.ask("a request with terms of its own", special.bearer("syt_alice"));
    world.ask("another token is asked about", download("a", "syt_bob"));
    world.ask("another token has a lease then", download("a", "syt_bob"));
    world.fill("other media", download("b", "syt_alice"), &content_key("b"));
    world.ask("other media, by one who never read it", download("b", "syt_bob"));
    let thumbnail = thumbnail_path("a", "width=32&height=32&method=crop");
    let thumbnail = || media_domain("GET", &thumbnail).bearer("syt_alice");
    let key = "v2/example.com/media/example.com/a/example.com/thumbnail/32x32-crop";
    world.fill("a thumbnail", thumbnail(), key);
    world.ask("the legacy endpoint has a lease of its own", media_domain("GET", &legacy_path("a")));
    world.ask("the legacy endpoint, leased", media_domain("GET", &legacy_path("a")));
}

fn ends(world: &mut World<'_>) {
    world.ask("an unknown token", download("a", "syt_nobody"));
    world.origin.homeserver().log_out("syt_bob");
    world.ask("a revoked token within its lease", download("a", "syt_bob"));
    let other = download("c", "syt_bob");
    world.ask("a revoked token where something must be asked", other);
    world.ask("a revoked token after that", download("a", "syt_bob"));
    world.origin.homeserver().remove("b");
    world.ask("removed media within its lease", download("b", "syt_alice"));
    world.ask("removed media, by one without a lease", download("b", "syt_carol"));
    world.ask("removed media after that", download("b", "syt_alice"));
}

fn without_validators(world: &mut World<'_>) {
    let path = download_path("bare");
    world.origin.on(&path, Reply::media(BODY));
    world.fill("an origin without validators", download("bare", "syt_alice"), &content_key("bare"));
    world.ask("an origin without validators, leased", download("bare", "syt_alice"));
    world.origin.homeserver().log_in("syt_dan");
    world.ask("another token is asked about by whoami", download("bare", "syt_dan"));
    world.ask("an unknown token is asked about by whoami", download("bare", "syt_nobody"));
}

/// Plays through a world where a token's lease covers the media alone that it was given for.
pub(super) fn play_by_media(world: &mut World<'_>) {
    world.turn_to("leases of each media");
    prepare(world);
    world.fill("the first read", download("a", "syt_alice"), &content_key("a"));
    world.ask("a hit", download("a", "syt_alice"));
    world.fill("other media", download("b", "syt_alice"), &content_key("b"));
    world.ask("another token", download("a", "syt_bob"));
    world.ask("other media by that token", download("b", "syt_bob"));
    world.origin.homeserver().log_out("syt_bob");
    world.ask("a revoked token, other media", download("c", "syt_bob"));
    world.ask("a revoked token within its lease", download("a", "syt_bob"));
}
