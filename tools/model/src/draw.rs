//! Requests, drawn at random.

use http::Method;
use matrix_media_edge::matrix::media::Door;

use crate::ask::{Ask, Credential, Extra, Guise, Span, Validator, What};
use crate::homeserver::Media;
use crate::random::Random;
use crate::scenario::{MEDIA, TOKENS};

/// The first are read in one way, the last in two.
const THUMBNAILS: [What; 9] = [
    What::Thumbnail("32x32-crop-default", "width=32&height=32&method=crop"),
    What::Thumbnail("32x32-crop-default", "height=32&method=crop&width=0032"),
    What::Thumbnail("32x32-default-default", "height=32&width=32"),
    What::Thumbnail("32x32-scale-default", "width=32&height=32&method=scale"),
    What::Thumbnail("64x32-scale-default", "width=64&height=32&method=scale"),
    What::Thumbnail("32x32-scale-true", "animated=true&width=32&height=32&method=scale"),
    What::Thumbnail("32x32-crop-default", "width=32&height=32&method=CROP"),
    What::Thumbnail("32x32-scale-default", "width=32&width=64&height=32&method=scale"),
    What::Thumbnail("32x32-crop-default", "width=32&height=32&method=crop&method=scale"),
];

const GUISES: [Guise; 8] = [
    Guise { agent: "a bot", ..Guise::PLAIN },
    Guise { agent: "a bot", ..Guise::PLAIN },
    Guise { agent: "", ..Guise::PLAIN },
    Guise { referer_bytes: 20, ..Guise::PLAIN },
    Guise { referer_bytes: 17_000, ..Guise::PLAIN },
    Guise { has_accept: true, ..Guise::PLAIN },
    Guise { is_http: true, ..Guise::PLAIN },
    Guise { address: 2, ..Guise::PLAIN },
];

pub fn guise(random: &mut Random) -> Guise {
    if random.once_in(2) { Guise::PLAIN } else { random.pick(&GUISES) }
}

fn what(random: &mut Random) -> What {
    match random.below(12) {
        0 => What::Config,
        1..5 => random.pick(&THUMBNAILS),
        _ => What::Content,
    }
}

pub fn plain_ask(random: &mut Random, media: usize, token: usize) -> Ask {
    let ask = if random.once_in(6) {
        Ask::new(Door::Legacy, media, Credential::None)
    } else {
        Ask::new(Door::Client, media, Credential::Header(token))
    };
    Ask { what: random.pick(&[What::Content, What::Content, THUMBNAILS[0]]), ..ask }
}

pub fn ask(random: &mut Random, media: usize, token: usize) -> Ask {
    let door =
        random.pick(&[Door::Client, Door::Client, Door::Client, Door::Legacy, Door::Federation]);
    let other = random.below(TOKENS);
    let bearer = Credential::Header(token);
    let unusual = [
        Credential::None,
        Credential::Query(token),
        Credential::Both(token, other),
        Credential::Garbage("bearer syt_0"),
        Credential::Garbage("Bearer syt_unknown"),
    ];
    let rarely = |random: &mut Random| random.once_in(8);
    let credential = match door {
        Door::Federation if rarely(random) => Credential::BadSignature,
        Door::Federation => Credential::Signature,
        _ if rarely(random) => random.pick(&unusual),
        Door::Legacy if rarely(random) => bearer,
        Door::Legacy => Credential::None,
        Door::Client | Door::Other => bearer,
    };
    let mut ask = Ask::new(door, if random.once_in(40) { MEDIA } else { media }, credential);
    ask.what = what(random);
    if ask.what == What::Config {
        ask.door = Door::Client;
    }
    if random.once_in(4) {
        ask.method = Method::HEAD;
    }
    if random.once_in(3) && ask.door != Door::Federation {
        ask.file_name = Some(random.pick(&["cat.png", "a b", "é", "a;b\"c\r", "x/y"]));
    }
    if random.once_in(4) {
        ask.extra = Some(random.pick(&[
            Extra::Timeout,
            Extra::BadTimeout,
            Extra::UserId(other),
            Extra::AllowRemote,
            Extra::ForbidRemote,
            Extra::AllowRedirect,
            Extra::Junk,
        ]));
    }
    if random.once_in(3) {
        ask.range = Some(span(random));
        ask.if_range = random.once_in(3).then(|| validator(random, &ask));
    }
    ask.if_none_match = random.once_in(5).then(|| validator(random, &ask));
    ask.if_modified_since = random.once_in(8).then(|| validator(random, &ask));
    ask
}

fn span(random: &mut Random) -> Span {
    match random.below(4) {
        0 => Span::From(random.below(20)),
        1 => Span::Between(random.below(20), random.below(50)),
        2 => Span::Last(random.below(20)),
        _ => Span::Ignored(random.pick(&["bytes=0-1,3-4", "bytes=x", "lines=0-1", "bytes=--1"])),
    }
}

fn validator(random: &mut Random, ask: &Ask) -> Validator {
    let media = if random.once_in(3) { random.below(MEDIA) } else { ask.media };
    let what = if random.once_in(3) { what(random) } else { ask.what };
    match random.below(6) {
        0 => Validator::WeakTag(media, what),
        1 => Validator::ListedTag(media, what),
        2 => Validator::Text(random.pick(&["*", "1", "\"\"", Media::date(), "x"])),
        _ => Validator::Tag(media, what),
    }
}
