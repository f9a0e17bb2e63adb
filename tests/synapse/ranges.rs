//! Seeking, which Synapse alone doesn't have: a part is the part of Synapse's own whole.

use test_support::noise::noise;

use crate::ask::{Answer, Ask, Media};
use crate::world::{SQUARES, world};

const LENGTH: usize = 300_000;

/// What is asked for, and the part that it is.
const RANGES: [(&str, std::ops::Range<usize>); 6] = [
    ("bytes=0-0", 0..1),
    ("bytes=65535-65536", 65_535..65_537),
    ("bytes=100000-", 100_000..LENGTH),
    ("bytes=-1000", LENGTH - 1000..LENGTH),
    ("bytes=299999-400000", LENGTH - 1..LENGTH),
    ("bytes=0-", 0..LENGTH),
];

fn upload() -> Media {
    world().upload("video/mp4", &noise(LENGTH))
}

fn stored() -> Ask {
    let ask = upload().download().user("alice");
    ask.warm();
    ask
}

#[track_caller]
fn assert_part(answer: &Answer, whole: &[u8], part: std::ops::Range<usize>) {
    let told = format!("bytes {}-{}/{}", part.start, part.end - 1, whole.len());
    assert_eq!((answer.status, answer.header("content-range")), (206, Some(told.as_str())));
    assert_eq!(answer.header("content-length"), Some(part.len().to_string().as_str()));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert!(answer.body == whole[part], "{told}: other bytes");
}

#[test]
fn synapse_alone_ignores_ranges() {
    let answer = upload().download().user("alice").header("Range", "bytes=0-0").direct();
    assert_eq!((answer.status, answer.body.len()), (200, LENGTH));
}

#[test]
fn a_range_of_a_miss_is_cut_from_the_whole_which_is_then_stored() {
    for (range, part) in RANGES {
        let ask = upload().download().user("alice");
        let answer = ask.clone().header("Range", range).edge();
        assert_eq!(answer.asked_synapse(), [200]);
        assert_part(&answer, &ask.direct().body, part);

        ask.warm();
        assert!(ask.edge().body == noise(LENGTH), "{range}: another whole was stored");
    }
}

#[test]
fn a_range_of_a_hit_is_confirmed_by_a_304() {
    let ask = stored();
    let whole = ask.direct().body.clone();
    for (range, part) in RANGES {
        let answer = ask.clone().header("Range", range).edge();
        assert_eq!(answer.asked_synapse(), [304]);
        assert_part(&answer, &whole, part);
    }
}

#[test]
fn a_range_of_a_thumbnail_is_that_of_synapses_thumbnail() {
    let media = world().upload("image/png", SQUARES);
    let ask = media.thumbnail("width=320&height=240&method=scale").user("alice");
    for _ in ["cold", "warm"] {
        let answer = ask.clone().header("Range", "bytes=8-15").edge();
        assert_part(&answer, &ask.direct().body, 8..16);
        ask.warm();
    }
}

#[test]
fn a_range_beyond_the_end_is_a_416_with_the_length() {
    for ask in [upload().download().user("alice"), stored()] {
        let answer = ask.header("Range", "bytes=300000-").edge();
        assert_eq!((answer.status, answer.body.len()), (416, 0));
        assert_eq!(answer.header("content-range"), Some("bytes */300000"));
    }
}

#[test]
fn malformed_and_multiple_ranges_bring_the_whole() {
    for ask in [upload().download().user("alice"), stored()] {
        for range in ["bytes=5-1", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=-"] {
            let answer = ask.clone().header("Range", range).edge();
            assert_eq!((answer.status, answer.body.len()), (200, LENGTH), "{range}");
        }
    }
}

#[test]
fn a_range_of_another_version_is_not_sent() {
    let ask = stored();
    let etag = ask.edge().header("etag").expect("no ETag").to_owned();
    let part = ask.header("Range", "bytes=1-2");
    assert_eq!(part.clone().header("If-Range", &etag).edge().status, 206);
    for other in [r#""another""#, "1", &format!("W/{etag}"), "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let answer = part.clone().header("If-Range", other).edge();
        assert_eq!((answer.status, answer.body.len()), (200, LENGTH), "{other}");
    }
}

#[test]
fn a_head_with_a_range_describes_the_whole() {
    for ask in [upload().download().user("alice"), stored()] {
        let answer = ask.method("HEAD").header("Range", "bytes=0-0").edge();
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.header("content-length"), Some("300000"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    }
}

#[test]
fn a_range_is_refused_where_the_whole_is() {
    let media = upload();
    media.download().user("alice").warm();
    let range = |ask: Ask| ask.header("Range", "bytes=0-0").edge();
    let refusals = [
        (401, "M_MISSING_TOKEN", range(media.download())),
        (401, "M_UNKNOWN_TOKEN", range(media.download().token("syt_nobody"))),
        (404, "M_NOT_FOUND", range(media.legacy("v3", "download"))),
    ];
    for (status, errcode, answer) in refusals {
        assert_eq!((answer.status, answer.errcode().as_str()), (status, errcode));
    }
}
