//! Behind nginx, which lets so many requests through and answers others itself: what it says of a
//! reader is no word of Synapse's, and makes no outage.

use std::collections::BTreeSet;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use test_support::edge::Edge;
use test_support::nginx::Nginx;
use test_support::synapse::Synapse;
use test_support::time::{now, wait_for};

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, Media};
use crate::servers::{SERVER_NAME, start_edge, start_synapse};
use crate::world::{SQUARES, world};

/// More than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whose requests are counted together: those of one reader's address, as the edge tells it, or all
/// that come from the edge.
const BY_READER: &str = "$http_x_forwarded_for";
const BY_CONNECTION: &str = "$binary_remote_addr";

const OUR_ADDRESS: &str = "203.0.113.1";
const ANOTHER_ADDRESS: &str = "203.0.113.2";

/// An nginx in front of Synapse, and an edge before both behind which what is stored outlasts them.
struct Wall {
    edge: Edge,
    _nginx: Nginx,
}

impl Wall {
    /// Lets one request a second through of all that have the same `key`, and answers the others
    /// 503, as nginx does by default.
    fn before(synapse: &Synapse, key: &str) -> Self {
        Self::that_says(503, synapse, key)
    }

    /// The same with another status.
    fn that_says(status: u16, synapse: &Synapse, key: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = format!("{}/nginx-{}-{number}", env!("CARGO_TARGET_TMPDIR"), process::id());
        let nginx = Nginx::start(&folder, |address| {
            format!(
                "  limit_req_zone {key} zone=requests:1m rate=1r/s;
  limit_req_status {status};
  limit_req_log_level info;
  server {{
    listen {address};
    location / {{
      limit_req zone=requests;
      proxy_pass http://{};
    }}
  }}",
                synapse.address
            )
        });
        let homeserver = format!("http://{}", nginx.address);
        let vars = [("HOMESERVER_URL", homeserver.as_str()), ("STALE_IF_ERROR_SECONDS", "600")];
        Self { edge: start_edge(synapse, &vars), _nginx: nginx }
    }

    /// Sends as a reader at this address would.
    fn send(&self, ask: &Ask, from: &str) -> Answer {
        let ask = ask.clone().header("CF-Connecting-IP", from);
        ask.send(&self.edge.direct_address, HOMESERVER_AUTHORITY)
    }

    /// Asks until the media is stored and Synapse has granted this reader what is stored.
    fn admit(&self, ask: &Ask, from: &str) {
        wait_for("it is stored", PATIENCE, || self.send(ask, from).is_revalidated().then_some(()));
    }

    /// Asks until Synapse refuses this reader.
    fn refuse(&self, ask: &Ask, from: &str) {
        wait_for("they are refused", PATIENCE, || {
            (self.send(ask, from).status == 401).then_some(())
        });
    }
}

fn is_stale(answer: &Answer) -> bool {
    let status = answer.header("cache-status").unwrap_or_default();
    answer.status == 200 && answer.body == SQUARES && status.contains("detail=stale-if-error")
}

/// Questions about one media by so many sessions that have read it and were logged out since.
/// Synapse's no ends what the edge knows of a session, so an attacker has more than one.
fn logged_out(wall: &Wall, sessions: usize) -> Vec<Ask> {
    let media = world().upload("image/png", SQUARES);
    let tokens: Vec<_> = (0..sessions).map(|_| world().log_in("carol")).collect();
    let asks: Vec<_> = tokens.iter().map(|token| media.download().token(token)).collect();
    asks.iter().for_each(|ask| wall.admit(ask, OUR_ADDRESS));
    tokens.iter().for_each(|token| world().log_out(token));
    asks
}

/// Has all sessions of a reader ask as fast as they can for longer than the edge remembers Synapse's
/// last word, and expects Synapse's no each time, or that nginx said something in its place.
fn assert_hammering_opens_nothing(key: &str) {
    let wall = Wall::before(&world().synapse, key);
    let asks = logged_out(&wall, 12);
    let (mut refused, mut limited) = (BTreeSet::new(), 0);
    let began = now();
    for session in (0..asks.len()).cycle() {
        let answer = wall.send(&asks[session], OUR_ADDRESS);
        match answer.status {
            401 if answer.errcode() == "M_UNKNOWN_TOKEN" => drop(refused.insert(session)),
            502 if answer.errcode() == "M_UNKNOWN" => limited += 1,
            other => panic!("after {:?}: {other} {:?}", began.elapsed(), answer.headers),
        }
        if began.elapsed() > Duration::from_secs(8) {
            break;
        }
    }
    println!("{key}: {} sessions got a 401, {limited} questions met the limit", refused.len());
    assert!(!refused.is_empty() && limited >= 20, "{refused:?}, {limited}");
    assert!(refused.len() < asks.len(), "no session was left to be served");
}

#[test]
fn a_logged_out_reader_who_exceeds_their_own_limit_gets_no_stored_bytes() {
    assert_hammering_opens_nothing(BY_READER);
}

#[test]
fn a_logged_out_reader_who_exceeds_the_shared_limit_gets_no_stored_bytes() {
    assert_hammering_opens_nothing(BY_CONNECTION);
}

/// All that gets through is no media, so the edge hears no word of Synapse's: neither the question nor
/// the probe.
#[test]
fn an_exhausted_shared_limit_makes_no_outage() {
    for status in [429, 503] {
        let wall = Wall::that_says(status, &world().synapse, BY_CONNECTION);
        let asks = logged_out(&wall, 12);
        let versions = Ask::get("/_matrix/client/versions");
        let (began, mut limited) = (now(), 0);
        for ask in asks.iter().cycle() {
            for _ in 0..50 {
                wall.send(&versions, ANOTHER_ADDRESS);
            }
            let answer = wall.send(ask, OUR_ADDRESS);
            assert!([401, 502].contains(&answer.status), "{:?}", answer.headers);
            limited += usize::from(answer.status == 502);
            if began.elapsed() > Duration::from_secs(8) {
                break;
            }
        }
        assert!(limited >= 10, "{limited} questions met the limit");
    }
}

#[test]
fn a_reader_who_exceeds_their_own_limit_does_not_block_others() {
    let wall = Wall::before(&world().synapse, BY_READER);
    let media = world().upload("image/png", SQUARES);
    let ask = media.download().user("alice");
    wall.admit(&ask, OUR_ADDRESS);
    wait_for("the limit is exceeded", PATIENCE, || {
        (wall.send(&ask, OUR_ADDRESS).status == 502).then_some(())
    });
    let other = wall.send(&media.download().user("bob"), ANOTHER_ADDRESS);
    assert!(other.is_revalidated(), "{} {:?}", other.status, other.headers);
}

/// Synapse really ends here, and nginx answers 502.
#[test]
fn accepted_readers_read_on_when_synapse_behind_nginx_is_down() {
    let synapse = start_synapse(SERVER_NAME, &["alice", "bob"], &[]);
    let upload = Ask::post("/_matrix/media/v3/upload", SQUARES).token(synapse.token("alice"));
    let media = Media::of(&upload.send(&synapse.address, HOMESERVER_AUTHORITY));
    let accepted = media.download().token(synapse.token("alice"));
    let logged_out = media.download().token(synapse.token("bob"));
    let wall = Wall::before(&synapse, BY_READER);
    wall.admit(&accepted, OUR_ADDRESS);
    wall.admit(&logged_out, ANOTHER_ADDRESS);
    let log_out = Ask::post("/_matrix/client/v3/logout", b"{}").token(synapse.token("bob"));
    assert_eq!(log_out.send(&synapse.address, HOMESERVER_AUTHORITY).status, 200);
    wall.refuse(&logged_out, ANOTHER_ADDRESS);
    drop(synapse);
    wait_for("what is stored is served", PATIENCE, || {
        is_stale(&wall.send(&accepted, OUR_ADDRESS)).then_some(())
    });
    let refused = wall.send(&logged_out, ANOTHER_ADDRESS);
    assert_eq!(refused.status, 502);
}
