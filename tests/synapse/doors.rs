//! Every status that a single Synapse shows at its doors, cold and warm, is the same at the edge.

use crate::ask::{Ask, Media};
use crate::parity::Parity;
use crate::world::{SQUARES, world};

/// Asks for media that the edge has never seen, then for media that it has stored by `store`.
fn check(
    parity: &mut Parity,
    (name, status, errcode): (&str, u16, &str),
    store: impl Fn(&Media) -> Ask,
    ask: impl Fn(&Media) -> Ask,
) {
    let cold = world().upload("image/png", SQUARES);
    let warm = world().upload("image/png", SQUARES);
    store(&warm).warm();
    for (state, media) in [("cold", &cold), ("warm", &warm), ("warm again", &warm)] {
        let told = parity.check(&format!("{name}, {state}"), &ask(media));
        assert_eq!(told, (status, errcode.to_owned()), "Synapse itself on: {name}, {state}");
    }
}

fn check_credentials(ask: impl Fn(&Media) -> Ask) {
    let token = |user| world().token(user);
    let in_query = format!("access_token={}", token("alice"));
    let in_lower_case = format!("bearer {}", token("alice"));
    world().lock("locked");
    world().suspend("suspended");
    type Credentials<'a> = &'a dyn Fn(Ask) -> Ask;
    let rows: [(&str, u16, &str, Credentials); 11] = [
        ("no token", 401, "M_MISSING_TOKEN", &|ask| ask),
        ("unknown token", 401, "M_UNKNOWN_TOKEN", &|ask| ask.token("syt_nobody")),
        ("logged-out token", 401, "M_UNKNOWN_TOKEN", &|ask| ask.token(world().logged_out())),
        ("locked account", 401, "M_USER_LOCKED", &|ask| ask.user("locked")),
        ("suspended account", 200, "", &|ask| ask.user("suspended")),
        ("guest", 200, "", &|ask| ask.token(world().guest())),
        ("valid token", 200, "", &|ask| ask.user("alice")),
        ("another scheme", 401, "M_MISSING_TOKEN", &|ask| {
            ask.header("Authorization", "Basic YTpi")
        }),
        ("lower case", 401, "M_MISSING_TOKEN", &|ask| ask.header("Authorization", &in_lower_case)),
        ("token in the query", 200, "", &|ask| ask.query(&in_query)),
        ("header and query", 401, "M_MISSING_TOKEN", &|ask| ask.user("alice").query(&in_query)),
    ];
    let mut parity = Parity::default();
    for (name, status, errcode, adorn) in rows {
        check(&mut parity, (name, status, errcode), |m| ask(m).user("alice"), |m| adorn(ask(m)));
    }
    parity.expect_none();
}

#[test]
fn a_download_is_granted_to_the_same_credentials() {
    check_credentials(Media::download);
}

#[test]
fn a_thumbnail_is_granted_to_the_same_credentials() {
    check_credentials(|media| media.thumbnail("width=32&height=32"));
}

/// The runtime joins them into one, so Synapse refuses them in other words.
#[test]
fn two_authorization_headers_are_refused() {
    let media = world().upload("image/png", SQUARES);
    media.download().user("alice").warm();
    let answer = media.download().user("alice").user("bob").edge();
    assert_eq!((answer.status, answer.errcode().as_str()), (401, "M_MISSING_TOKEN"));
    assert_eq!(answer.asked_synapse(), [401]);
}

/// What is asked of one media item.
type Question = fn(&Media) -> Ask;

fn check_questions<const N: usize>(rows: [(&str, u16, &str, Question); N]) {
    let mut parity = Parity::default();
    for (name, status, errcode, ask) in rows {
        check(&mut parity, (name, status, errcode), |m| m.download().user("alice"), ask);
    }
    parity.expect_none();
}

#[test]
fn bad_parameters_and_paths_are_judged_by_synapse() {
    check_questions([
        ("timeout_ms isn't a number", 400, "M_INVALID_PARAM", |m| {
            m.download().query("timeout_ms=soon").user("alice")
        }),
        ("negative timeout_ms", 400, "M_INVALID_PARAM", |m| {
            m.download().query("timeout_ms=-1").user("alice")
        }),
        ("no height", 400, "M_MISSING_PARAM", |m| m.thumbnail("width=32").user("alice")),
        ("no width", 400, "M_MISSING_PARAM", |m| m.thumbnail("height=32").user("alice")),
        ("width isn't a number", 400, "M_INVALID_PARAM", |m| {
            m.thumbnail("width=wide&height=32").user("alice")
        }),
        ("negative height", 400, "M_INVALID_PARAM", |m| {
            m.thumbnail("width=32&height=-32").user("alice")
        }),
        ("animated isn't true or false", 400, "M_INVALID_PARAM", |m| {
            m.thumbnail("width=32&height=32&animated=1").user("alice")
        }),
        ("unknown method", 404, "M_NOT_FOUND", |m| {
            m.thumbnail("width=32&height=32&method=stretch").user("alice")
        }),
        ("a segment too many", 404, "M_UNRECOGNIZED", |m| {
            m.download().path_suffix("/name/more").user("alice")
        }),
        ("POST to a download", 405, "M_UNRECOGNIZED", |m| {
            m.download().method("POST").user("alice")
        }),
        ("DELETE of a download", 405, "M_UNRECOGNIZED", |m| {
            m.download().method("DELETE").user("alice")
        }),
        ("no such version", 404, "M_UNRECOGNIZED", |m| {
            Ask::get(&format!("/_matrix/client/v3/media/download/localhost/{}", m.id)).user("alice")
        }),
        ("unstable prefix", 404, "M_UNRECOGNIZED", |m| {
            let unstable = "/_matrix/client/unstable/org.matrix.msc3916/media/download/localhost";
            Ask::get(&format!("{unstable}/{}", m.id)).user("alice")
        }),
        ("doubled slash", 404, "M_UNRECOGNIZED", |m| {
            Ask::get(&format!("//_matrix/client/v1/media/download/localhost/{}", m.id))
                .user("alice")
        }),
        ("escaped prefix", 404, "M_UNRECOGNIZED", |m| {
            Ask::get(&format!("/%5Fmatrix/client/v1/media/download/localhost/{}", m.id))
                .user("alice")
        }),
        ("escaped id", 200, "", |m| {
            let escaped: String = m.id.bytes().map(|b| format!("%{b:02X}")).collect();
            Ask::get(&format!("/_matrix/client/v1/media/download/localhost/{escaped}"))
                .user("alice")
        }),
        ("slash within the id", 404, "M_NOT_FOUND", |m| {
            Ask::get(&format!("/_matrix/client/v1/media/download/localhost/x%2F{}", m.id))
                .user("alice")
        }),
    ]);
}

#[test]
fn missing_media_has_synapses_error() {
    let download = |rest: &str| Ask::get(&format!("/_matrix/client/v1/media/download/{rest}"));
    let thumbnail = |rest: &str| {
        Ask::get(&format!("/_matrix/client/v1/media/thumbnail/{rest}")).query("width=32&height=32")
    };
    let rows = [
        ("unknown media", 404, "M_NOT_FOUND", "localhost/thereIsNoSuchMedia"),
        ("id outside the grammar", 404, "M_NOT_FOUND", "localhost/no;such=media%00%C3%A9"),
        ("remote server that is down", 502, "M_UNKNOWN", "127.0.0.1:1/media"),
        ("server name in another case", 502, "M_UNKNOWN", "LOCALHOST/media"),
        ("malformed server name", 500, "M_UNKNOWN", "bad_server/media"),
    ];
    let mut parity = Parity::default();
    for (name, status, errcode, rest) in rows {
        for ask in [download(rest).user("alice"), thumbnail(rest).user("alice")] {
            let told = parity.check(name, &ask);
            assert_eq!(told, (status, errcode.to_owned()), "Synapse itself on: {name}");
        }
    }
    let no_token = parity.check("malformed id, no token", &download("localhost/mxc:%2F%2Fa%2Fb"));
    assert_eq!(no_token, (401, "M_MISSING_TOKEN".to_owned()));
    parity.expect_none();
}

#[test]
fn media_without_a_thumbnail_is_a_400() {
    let mut parity = Parity::default();
    let text = world().upload("text/plain", b"not a picture");
    text.download().user("alice").warm();
    let told = parity.check("text", &text.thumbnail("width=32&height=32").user("alice"));
    assert_eq!(told, (400, "M_UNKNOWN".to_owned()));
    parity.expect_none();
}

#[test]
fn the_legacy_door_stays_frozen() {
    check_questions([
        ("v3", 404, "M_NOT_FOUND", |m| m.legacy("v3", "download")),
        ("r0", 404, "M_NOT_FOUND", |m| m.legacy("r0", "download")),
        ("with a token", 404, "M_NOT_FOUND", |m| m.legacy("v3", "download").user("alice")),
        ("thumbnail", 404, "M_NOT_FOUND", |m| {
            m.legacy("v1", "thumbnail").query("width=32&height=32")
        }),
        ("thumbnail without a size", 400, "M_MISSING_PARAM", |m| m.legacy("v3", "thumbnail")),
        ("allow_remote", 404, "M_NOT_FOUND", |m| {
            m.legacy("v3", "download").query("allow_remote=false")
        }),
    ]);
}

#[test]
fn other_media_endpoints_answer_as_synapse_does() {
    let rows = [
        ("config", 200, "", Ask::get("/_matrix/client/v1/media/config").user("alice")),
        ("legacy config", 200, "", Ask::get("/_matrix/media/v3/config").user("alice")),
        ("no token", 401, "M_MISSING_TOKEN", Ask::get("/_matrix/client/v1/media/config")),
        (
            "guest",
            403,
            "M_GUEST_ACCESS_FORBIDDEN",
            Ask::get("/_matrix/client/v1/media/config").token(world().guest()),
        ),
        (
            "preview",
            404,
            "M_UNRECOGNIZED",
            Ask::get("/_matrix/client/v1/media/preview_url?url=x").user("alice"),
        ),
        ("unknown endpoint", 404, "M_UNRECOGNIZED", Ask::get("/_matrix/client/v1/media/song")),
    ];
    let mut parity = Parity::default();
    for (name, status, errcode, ask) in rows {
        let told = parity.check(name, &ask);
        assert_eq!(told, (status, errcode.to_owned()), "Synapse itself on: {name}");
    }
    parity.expect_none();
}

#[test]
fn types_and_names_of_downloads_are_synapses() {
    let uploads = [
        ("text/plain", ""),
        ("TEXT/PLAIN", ""),
        ("Text/Plain; charset=utf-8", "a.txt"),
        ("text/html", "x.html"),
        ("image/svg+xml", "x.svg"),
        ("image/png; foo=bar", "a.png"),
        ("application/pdf", "paper%20%28final%29.pdf"),
        ("garbage", "%C3%A9t%C3%A9.bin"),
        ("video/mp4", "a%2Fb%22c.mp4"),
    ];
    let mut parity = Parity::default();
    for (content_type, file_name) in uploads {
        let media = world().upload_named(content_type, file_name, b"bytes");
        let named = media.download().path_suffix("/other%20name.png").user("alice");
        let plain = media.download().user("alice");
        for state in ["cold", "warm"] {
            for ask in
                [&plain, &named, &plain.clone().method("HEAD"), &plain.clone().path_suffix("/")]
            {
                let name = format!("{content_type} {file_name}, {state}, {}", ask.target());
                assert_eq!(parity.check(&name, ask).0, 200);
            }
            plain.warm();
        }
    }
    parity.expect_none();
}

#[test]
fn thumbnails_are_synapses() {
    let mut parity = Parity::default();
    let media = world().upload("image/png", SQUARES);
    let queries = [
        "width=32&height=32",
        "height=32&width=32&method=crop",
        "width=320&height=240&method=scale",
        "width=5000&height=5000",
        "width=0&height=0",
        "width=96&height=96&method=crop&animated=true",
    ];
    for query in queries {
        let ask = media.thumbnail(query).user("alice");
        for state in ["cold", "warm"] {
            assert_eq!(parity.check(&format!("{query}, {state}"), &ask).0, 200);
            parity.check(&format!("HEAD {query}, {state}"), &ask.clone().method("HEAD"));
            ask.warm();
        }
    }
    parity.expect_none();
}

/// What can be read in two ways is read by Synapse each time, though the edge has both pictures.
#[test]
fn thumbnails_of_unusual_queries_are_synapses() {
    let mut parity = Parity::default();
    let media = world().upload("image/png", SQUARES);
    for size in ["width=96&height=96", "width=640&height=96"] {
        media.thumbnail(&format!("{size}&method=crop")).user("alice").warm();
    }
    for query in [
        "height=96&width=96&method=CROP",
        "width=96&width=640&height=96&method=crop",
        "width=640&width=96&height=96&method=crop",
        "width=96&height=96&method=crop;width=640",
        "width=96&height=96&method=crop&x=y",
    ] {
        let ask = media.thumbnail(query).user("alice");
        for _ in 0..2 {
            parity.check(query, &ask);
            parity.check(&format!("HEAD {query}"), &ask.clone().method("HEAD"));
            let answer = ask.edge();
            assert_eq!(answer.asked_synapse().len(), 1, "{query}");
            assert!(!answer.is_revalidated(), "{query}: {:?}", answer.header("cache-status"));
        }
    }
    parity.expect_none();
}
