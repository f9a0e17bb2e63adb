//! Who is refused learns nothing of what others have read: with and without a copy in the data
//! centre they get the same answer.

use std::sync::LazyLock;
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::time::wait_for;

use crate::ask::{Answer, Ask, HOMESERVER_AUTHORITY, MEDIA_AUTHORITY, Media};
use crate::servers::start_edge_as;
use crate::world::{SQUARES, world};

const PATIENCE: Duration = Duration::from_secs(10);

const THUMBNAIL: &str = "width=320&height=240&method=scale";

/// What tells an answer from any other.
const OF_ONE_ANSWER: [&str; 2] = ["date", "synapse-trace-id"];

/// What would tell where an answer came from.
const TELLTALES: [&str; 3] = ["server-timing", "age", "etag"];

/// Two isolates of one data centre, in the default configuration.
fn edge() -> &'static Edge {
    static EDGE: LazyLock<Edge> = LazyLock::new(|| {
        start_edge_as(&world().synapse, Layout { neighbors: 1, ..Layout::default() }, &[])
    });
    &EDGE
}

/// Media that nobody has read.
fn unread() -> Media {
    world().upload("image/png", SQUARES)
}

/// Media that somebody has read at the neighbor, of which this isolate knows nothing.
fn read_nearby() -> Media {
    let media = unread();
    for ask in [media.download(), media.thumbnail(THUMBNAIL)] {
        let ask = ask.user("alice");
        wait_for("the neighbor has stored it", PATIENCE, || {
            ask.send(&edge().neighbor_address, HOMESERVER_AUTHORITY).is_revalidated().then_some(())
        });
    }
    media
}

/// What may be asked of any media.
fn questions(media: &Media) -> Vec<Ask> {
    let download = || media.download();
    vec![
        download(),
        media.thumbnail(THUMBNAIL),
        download().method("HEAD"),
        download().header("Range", "bytes=0-9"),
        download().header("If-None-Match", "*"),
        download().path_suffix("/a.png"),
        download().query("allow_redirect=true"),
        download().query("timeout_ms=0"),
        media.legacy("v3", "download"),
        media.legacy("v3", "thumbnail").query(THUMBNAIL),
    ]
}

/// An answer without what is its own alone.
fn seen(media: &Media, answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let of_all = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
    let mut headers: Vec<_> = answer.headers.0.iter().map(of_all).collect();
    headers.retain(|(name, _)| !OF_ONE_ANSWER.contains(&name.as_str()));
    headers.sort();
    (answer.status, headers, answer.text().replace(&media.id, "ID"))
}

/// Asks the same of both media, here and at the neighbor, and expects refusals that nobody can tell
/// apart.
fn assert_alike(authority: &str, admit: impl Fn(Ask) -> Ask) {
    let (unread, read) = (unread(), read_nearby());
    for (of_unread, of_read) in questions(&unread).into_iter().zip(questions(&read)) {
        let (of_unread, of_read) = (admit(of_unread), admit(of_read));
        for address in [&edge().direct_address, &edge().neighbor_address] {
            let target = of_read.target();
            let of_unread = of_unread.send(address, authority);
            let of_read = of_read.send(address, authority);
            assert!([401, 404].contains(&of_read.status), "{target}: {}", of_read.status);
            for name in TELLTALES {
                assert_eq!(of_read.header(name), None, "{target}: {name}");
            }
            // A question that is never looked up may say so.
            let cache_status = of_read.header("cache-status");
            assert!(cache_status.is_none_or(|status| status.contains("fwd=bypass")), "{target}");
            assert_eq!(seen(&read, &of_read), seen(&unread, &of_unread), "{target}");
        }
    }
}

#[test]
fn refusals_without_a_token_do_not_depend_on_what_is_stored() {
    assert_alike(HOMESERVER_AUTHORITY, |ask| ask);
}

#[test]
fn refusals_of_a_garbage_token_do_not_depend_on_what_is_stored() {
    assert_alike(HOMESERVER_AUTHORITY, |ask| ask.token("syt_nobody"));
}

#[test]
fn refusals_of_a_logged_out_token_do_not_depend_on_what_is_stored() {
    let token = world().logged_out();
    assert_alike(HOMESERVER_AUTHORITY, |ask| ask.token(token));
}

#[test]
fn refusals_on_the_media_domain_do_not_depend_on_what_is_stored() {
    assert_alike(MEDIA_AUTHORITY, |ask| ask);
    assert_alike(MEDIA_AUTHORITY, |ask| ask.token("syt_nobody"));
}

/// Where the same question is granted, the isolate does find what its neighbor has stored.
#[test]
fn a_granted_reader_gets_the_cache_status() {
    let of = |media: &Media| {
        let answer =
            media.download().user("bob").send(&edge().direct_address, HOMESERVER_AUTHORITY);
        answer.header("cache-status").expect("it is told").to_owned()
    };
    assert!(of(&read_nearby()).contains("fwd=stale"));
    assert!(of(&unread()).contains("fwd=uri-miss"));
}
