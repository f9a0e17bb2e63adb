//! Stale: while the homeserver is down, those whom it has granted something keep reading that.

use std::cell::RefCell;

use super::{BODY, content_key, download, download_path};
use crate::origin::{Media, Reply};
use crate::record::Record;
use crate::worlds::World;

const PROBED: &str = "/_matrix/client/v3/account/whoami";

pub(super) fn play(record: &RefCell<Record>) {
    let mut world = World::start(record, &[("STALE_IF_ERROR_SECONDS", "600")]);
    world.turn_to("stale");
    for id in ["a", "b", "c"] {
        world.origin.homeserver().add(id, Media::new(BODY));
    }
    world.fill("a grant", download("a", "syt_alice"), &content_key("a"));
    world.ask("another's grant", download("a", "syt_bob"));
    one_media_alone(&mut world);
    an_outage(&mut world);
}

/// The probe finds the homeserver up: what fails is relayed.
fn one_media_alone(world: &mut World<'_>) {
    let path = download_path("c");
    world.fill("a grant of other media", download("c", "syt_carol"), &content_key("c"));
    world.origin.on(&path, Reply::page(502, "Bad Gateway"));
    world.ask("a 502 about one media", download("c", "syt_carol"));
    world.origin.on(&path, Reply::error(503, "M_UNKNOWN", "Busy"));
    world.ask("a 503 is no outage", download("c", "syt_carol"));
    world.origin.on(&path, Reply::error(404, "M_NOT_FOUND", "Gone"));
    world.ask("a refusal is one", download("c", "syt_carol"));
    world.origin.homeserver().log_out("syt_bob");
    world.ask("a token is refused", download("a", "syt_bob"));
}

/// The probes fail too. A further probe is due a second after the first, and two seconds after the
/// next: those are waited for, so that the same is asked every time.
fn an_outage(world: &mut World<'_>) {
    for path in [&*download_path("a"), &*download_path("b"), &*download_path("c"), PROBED] {
        world.origin.on(path, Reply::page(502, "Bad Gateway"));
    }
    world.ask("the first read is served after a probe", download("a", "syt_alice"));
    world.wait_a_second();
    world.ask("the next is served at once, and probes", download("a", "syt_alice"));
    world.wait_a_second();
    world.wait_a_second();
    let part = download("a", "syt_alice").header("Range", "bytes=8-15");
    world.origin.set_down(true);
    world.ask("a part, while the connection breaks", part);
    world.origin.set_down(false);
    // What fails for those who aren't served has the homeserver probed as well, but not so soon.
    world.ask("an unknown token", download("a", "syt_nobody"));
    world.ask("the token that was refused", download("a", "syt_bob"));
    world.ask("the media that was gone", download("c", "syt_carol"));
    world.origin.restore(PROBED);
    world.origin.restore(&download_path("a"));
    world.ask("the homeserver's own refusal ends the outage", download("a", "syt_nobody"));
    world.ask("who was served stale is asked about again", download("a", "syt_alice"));
}
