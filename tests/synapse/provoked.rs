//! An outage that a reader provokes is none: who was logged out makes Synapse drop their connection,
//! and is served nothing of what is stored.

use std::sync::LazyLock;
use std::time::Duration;

use test_support::edge::Edge;
use test_support::http;
use test_support::time::wait_for;

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY};
use crate::servers::start_edge;
use crate::world::{SQUARES, world};

const PATIENCE: Duration = Duration::from_secs(10);

/// Synapse takes no line of a head that is longer than 16 KiB.
const TOO_LONG: usize = 17_000;

/// What a reader may send along.
const HEADERS: [&str; 8] = [
    "Referer",
    "Accept",
    "Origin",
    "Accept-Language",
    "User-Agent",
    "X-Requested-With",
    "Cookie",
    "X-Anything",
];

/// Behind which what is stored outlasts Synapse.
fn edge() -> &'static Edge {
    static EDGE: LazyLock<Edge> =
        LazyLock::new(|| start_edge(&world().synapse, &[("STALE_IF_ERROR_SECONDS", "600")]));
    &EDGE
}

fn send(ask: &Ask) -> Answer {
    ask.send(&edge().address, HOMESERVER_AUTHORITY)
}

/// A question by one who has read what is stored at the edge, and their token.
fn accepted() -> (Ask, String) {
    let token = world().log_in("carol");
    let ask = world().upload("image/png", SQUARES).download().token(&token);
    wait_for("it is stored", PATIENCE, || send(&ask).is_revalidated().then_some(()));
    (ask, token)
}

/// The same with the token logged out since. Synapse's no ends what the edge knows of them, so each
/// is good for one question.
fn logged_out() -> Ask {
    let (ask, token) = accepted();
    world().log_out(&token);
    ask
}

/// Sends the request with one such header, to Synapse or to the edge.
fn try_send(ask: &Ask, header: &str, address: &str) -> std::io::Result<http::Answer> {
    ask.head(HOMESERVER_AUTHORITY).header(header, "x".repeat(TOO_LONG)).try_send(address)
}

#[test]
fn synapse_drops_a_connection_with_a_header_that_is_too_long() {
    let ask = world().upload("image/png", SQUARES).download().user("alice");
    for header in HEADERS {
        let answer = try_send(&ask, header, &world().synapse.address);
        assert!(answer.is_err(), "{header}: {answer:?}");
    }
}

#[test]
fn a_logged_out_reader_is_refused_whatever_they_send_along() {
    for header in HEADERS {
        let answer = try_send(&logged_out(), header, &edge().address).expect("the edge answers");
        let told = (answer.status, answer.errcode());
        assert_eq!(told, (401, "M_UNKNOWN_TOKEN".to_owned()), "{header}");
    }
}

#[test]
fn a_logged_in_reader_gets_the_media_whatever_they_send_along() {
    let (ask, _) = accepted();
    for header in HEADERS {
        let answer = try_send(&ask, header, &edge().address).expect("the edge answers");
        assert_eq!((answer.status, &answer.body[..]), (200, SQUARES), "{header}");
    }
}

/// What belongs to the question goes along whatever its length.
#[test]
fn a_question_that_is_too_long_gets_no_stored_response() {
    let long = "x".repeat(TOO_LONG);
    for name in ["user_id", "device_id", "org.matrix.msc3202.device_id", "timeout_ms"] {
        let ask = logged_out().query(&format!("{name}={long}"));
        let direct = ask.head(HOMESERVER_AUTHORITY).try_send(&world().synapse.address);
        assert!(direct.is_err(), "{name}: {direct:?}");
        let answer = send(&ask);
        let told = (answer.status, answer.errcode());
        assert_eq!(told, (502, "M_UNKNOWN".to_owned()), "{name}");
    }
}

#[test]
fn a_long_file_name_in_the_path_is_left_out_of_the_question() {
    let ask = logged_out().path_suffix(&format!("/{}", "x".repeat(TOO_LONG)));
    let answer = send(&ask);
    assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_UNKNOWN_TOKEN"));
}
