//! Bad input in targets: nothing in one ever makes the edge ask the origin for something else.
//!
//! Sent straight to the Worker, since the front would normalize them first.

use test_support::assertions::assert_matrix_error;

use crate::support::origin::{Record, Reply};
use crate::support::world::{BODY, download_path, media_domain, same_host, shared};

#[test]
fn targets_with_dot_segments_or_backslashes_are_refused() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    for target in [
        format!("/_matrix/client/v1/media/download/other.example/%2e%2e/example.com/{id}"),
        format!("/_matrix/client/v1/media/download/example.com/%2E%2e/example.com/{id}"),
        format!("/_matrix/client/v1/media/download/example.com/.%2e/example.com/{id}"),
        format!("/_matrix/client/v1/media/download/example.com/{id}/%2e"),
        format!("/_matrix/client/v1/media/download\\example.com\\{id}"),
        format!("/_matrix/media/v3/download/%2e%2e/%2e%2e/client/v1/media/config?{id}"),
        format!("/_matrix/media/v3/%2e%2e/%2e%2e/%2e%2e/_synapse/admin/v1/users?{id}"),
        format!("/_matrix/federation/v1/media/download/%2e%2e/{id}"),
    ] {
        for request in [media_domain("GET", &target), same_host("GET", &target)] {
            let answer = request.bearer(&token).send(&world.edge.direct_address);
            assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        }
    }
    // How it was stored is forgotten, and the world is shared with other tests.
    let asked = world.origin.records().into_iter().map(|record| record.head.target);
    let asked: Vec<_> = asked.filter(|target| target.contains(&id)).collect();
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let world = shared();
    for path in ["/_matrix/client/v1/media/download/example.com/", "/_matrix/client/v3/rooms/"] {
        let target = [path.as_bytes(), b"notext\xff\xfe"].concat();
        let answer = same_host("GET", target).bearer("t").send(&world.edge.direct_address);
        // By the runtime, before the Worker.
        assert_eq!(answer.status, 400, "{}", answer.text());
        let is_asked = |record: &Record| record.head.target.contains("notext");
        assert!(!world.origin.records().iter().any(is_asked));
    }
}

#[test]
fn a_fragment_reaches_no_homeserver() {
    let world = shared();
    let (id, token) = (world.media(), world.token());
    for end in ["#fragment", "?a=b#c"] {
        let target = format!("{}{end}", download_path(&id));
        media_domain("GET", target).bearer(&token).send(&world.edge.direct_address);
    }
    let is_of_fragment = |record: &Record| record.head.target.contains('#');
    assert!(!world.origin.records().iter().any(is_of_fragment));
}

#[test]
fn escapes_in_a_segment_stay_in_their_segment() {
    let world = shared();
    let token = world.token();
    for id in [
        "a%2fb",
        "a%2Fb",
        "a%5cb",
        "a%00b",
        "a%0d%0ab",
        "a%23b",
        "a%3fb",
        "a%25b",
        "a;v=1",
        "...",
        "a..b",
        "%ff%fe",
        "a%zzb",
        "a%",
        "a,b@c:d!$&()*+~",
    ] {
        let path = download_path(id);
        world.origin.forget(&path);
        let request = media_domain("GET", &path).bearer(&token);
        let answer = request.send(&world.edge.direct_address);
        assert_matrix_error(&answer, 404, "M_NOT_FOUND");
        assert_eq!(world.origin.asked(&path).len(), 1, "{id}");
    }
}

/// Whoever decodes them, once or twice, before they are routed would be led elsewhere.
#[test]
fn escaped_dot_segments_are_refused() {
    let world = shared();
    for id in ["..%2f..", "%2e%2e%2fx", "x%5c..", "%252e%252e", "%252e%252e%252fx"] {
        let path = download_path(id);
        let request = media_domain("GET", &path).bearer(&world.token());
        let answer = request.send(&world.edge.direct_address);
        assert_matrix_error(&answer, 400, "M_INVALID_PARAM");
        assert!(world.origin.asked(&path).is_empty(), "{id}");
    }
}

#[test]
fn escaped_letters_name_the_same_but_a_slash_does_not() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    let path = format!("/_matrix/client/v1/media/download/example.com%2F{id}");
    let answer = media_domain("GET", &path).bearer(&token).send(&world.edge.direct_address);
    assert_ne!(answer.body, BODY);
}

#[test]
fn long_targets_pass_or_are_refused_and_are_never_cut() {
    let world = shared();
    for length in [1_000, 8_000, 60_000] {
        let path = download_path(&"x".repeat(length));
        let answer = media_domain("GET", &path).bearer(&world.token());
        let answer = answer.send(&world.edge.direct_address);
        assert!((400..=414).contains(&answer.status), "{}", answer.status);
        let asked = world.origin.records();
        let reached = asked.iter().filter(|r| r.head.target.contains("/xxxxxxxxx"));
        assert!(reached.clone().all(|r| r.head.target.trim_end_matches('x').ends_with('/')));
        assert_eq!(world.origin.asked(&path).len(), 1, "{length}");
    }
}

#[test]
fn paths_with_extra_or_missing_segments_are_forwarded() {
    let world = shared();
    let (id, token) = (world.stored_media(), world.token());
    for path in [
        format!("{}/name/more", download_path(&id)),
        format!("/_matrix/client/v1/media/download/example.com//{id}"),
        format!("/_matrix/client/v1/media/download//{id}"),
        "/_matrix/client/v1/media/download/example.com".to_owned(),
        "/_matrix/client/v1/media/download/".to_owned(),
        "/_matrix/client/v1/media/".to_owned(),
        format!("/_matrix/client/v1/media/download/EXAMPLE.com/{id}"),
        format!("/_matrix/client/v1/media/Download/example.com/{id}"),
    ] {
        let answer = media_domain("GET", &path).bearer(&token).send(&world.edge.direct_address);
        assert_ne!(answer.body, BODY, "{path}");
        assert_eq!(world.origin.asked(&path).len(), 1, "{path}");
    }
}

/// The front does what Cloudflare may do; then what is routed and what is asked are still one.
#[test]
fn a_normalized_target_is_routed_as_it_is_asked() {
    let world = shared();
    let path = "/_matrix/client/v3/normalized";
    world.origin.reply(path, Reply::new(200).body("theirs"));
    let target = "/_matrix/client/v1/media/%2e%2e/%2e%2e/v3/normalized";
    let answer = same_host("GET", target).send(&world.edge.address);
    assert_eq!(answer.text(), "theirs");
    let answer = media_domain("GET", target).send(&world.edge.address);
    assert_matrix_error(&answer, 404, "M_UNRECOGNIZED");
}
