//! Leases: so long after its last yes Synapse isn't asked again, and not a moment longer.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::json;
use test_support::edge::Edge;
use test_support::time::{now, wait_for};

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, Media};
use crate::servers::start_edge;
use crate::world::{SQUARES, world};

const LEASE: Duration = Duration::from_secs(3);

/// How long it may take until media is stored and leased.
const PATIENCE: Duration = Duration::from_secs(10);

/// Through an edge that has leases.
fn send(ask: &Ask) -> Answer {
    static EDGE: LazyLock<Edge> = LazyLock::new(|| {
        start_edge(&world().synapse, &[("LEASE_SECONDS", &LEASE.as_secs().to_string())])
    });
    ask.send(&EDGE.address, HOMESERVER_AUTHORITY)
}

fn is_hit(answer: &Answer) -> bool {
    answer.header("cache-status").is_some_and(|status| status.contains("; hit"))
}

/// Asks until the answer is a leased hit.
fn leased(ask: &Ask) -> Answer {
    wait_for(&format!("{} is leased", ask.target()), PATIENCE, || Some(send(ask)).filter(is_hit))
}

/// Asks until the status is another; Synapse changed its mind at `changed`.
fn status_after_the_lease(ask: &Ask, changed: Instant) -> u16 {
    loop {
        let sent_after = changed.elapsed();
        let status = send(ask).status;
        if status != 200 {
            return status;
        }
        assert!(sent_after < LEASE, "served {sent_after:?} after Synapse changed its mind");
    }
}

#[test]
fn a_leased_hit_leaves_no_line_in_synapses_log() {
    let media = world().upload("image/png", SQUARES);
    let download = media.download().user("alice");
    let etag = leased(&download).header("etag").expect("no ETag").to_owned();
    let rows = [
        (200, SQUARES, download.clone()),
        (200, SQUARES, download.clone().path_suffix("/another.png")),
        (206, &SQUARES[100..200], download.clone().header("Range", "bytes=100-199")),
        (416, b"", download.clone().header("Range", "bytes=99999999-")),
        (304, b"", download.clone().header("If-None-Match", &etag)),
        (200, b"", download.method("HEAD")),
    ];
    for (status, body, ask) in rows {
        let answer = leased(&ask);
        assert_eq!((answer.status, &answer.body[..]), (status, body));
        assert!(answer.is_unknown_to_synapse(), "{status}");
    }
}

#[test]
fn a_lease_that_ended_is_renewed_by_a_304_of_synapses() {
    let media = world().upload("image/png", SQUARES);
    let ask = media.download().user("alice");
    leased(&ask);
    let asked = wait_for("the lease ends", PATIENCE, || Some(send(&ask)).filter(|a| !is_hit(a)));
    assert_eq!((asked.status, asked.asked_synapse()), (200, vec![304]));
    assert!(is_hit(&send(&ask)));
}

#[test]
fn a_token_that_synapse_never_accepted_is_asked_about() {
    let media = world().upload("image/png", SQUARES);
    leased(&media.download().user("alice"));
    let unknown = send(&media.download().token("syt_nobody"));
    assert_eq!((unknown.status, unknown.asked_synapse()), (401, vec![401]));
    let none = send(&media.download());
    assert_eq!((none.status, none.asked_synapse()), (401, vec![401]));
    let new = send(&media.download().token(&world().log_in("carol")));
    assert_eq!((new.status, new.asked_synapse()), (200, vec![304]));
}

#[test]
fn a_lease_at_the_client_door_grants_no_other_door() {
    let media = world().upload("image/png", SQUARES);
    leased(&media.download().user("alice"));
    for ask in [media.legacy("v3", "download"), media.legacy("v3", "download").user("alice")] {
        let answer = send(&ask);
        assert_eq!((answer.status, answer.asked_synapse()), (404, vec![404]));
    }
    // Nor does the other door's no close this one.
    assert_eq!(leased(&media.download().user("alice")).body, SQUARES);
}

#[test]
fn a_logged_out_token_is_refused_once_its_lease_has_ended() {
    let media = world().upload("image/png", SQUARES);
    let token = world().log_in("carol");
    let ask = media.download().token(&token);
    leased(&ask);
    world().log_out(&token);
    assert_eq!(status_after_the_lease(&ask, now()), 401);
    assert_eq!(send(&ask).status, 401);
    assert_eq!(send(&media.download().user("alice")).status, 200);
}

#[test]
fn quarantined_media_is_gone_once_its_lease_has_ended_and_comes_back_at_once() {
    let bytes = b"quarantined by its own hash behind a lease";
    let media = world().upload("image/png", bytes);
    let ask = media.download().user("alice");
    let admin = |action: &str| {
        let path = format!("/_synapse/admin/v1/media/{action}/localhost/{}", media.id);
        world().admin("POST", &path, &json!({}));
    };
    leased(&ask);
    admin("quarantine");
    assert_eq!(status_after_the_lease(&ask, now()), 404);
    assert_eq!(send(&media.download().user("bob")).status, 404);
    admin("unquarantine");
    assert_eq!(send(&ask).body, bytes);
}

#[test]
fn a_thumbnail_is_leased_like_its_media() {
    let media: Media = world().upload("image/png", SQUARES);
    let ask = media.thumbnail("width=320&height=240&method=scale").user("alice");
    let answer = leased(&ask);
    assert!(answer.is_unknown_to_synapse());
    assert_eq!(answer.body, ask.direct().body);
}
