//! Where the examples play: a homeserver that does as Synapse does, two users, two videos.

use http::Method;
use matrix_media_edge::matrix::media::Door;

use model::ask::{Ask, Credential, Span, What};
use model::homeserver::{Habits, Media, SERVER_NAME, Validators};
use model::scenario::tokens;
use model::world::World;

pub(crate) const SYNAPSE: Habits = Habits {
    validators: Validators::One,
    knows_head: true,
    serves_ranges: false,
    knows_whoami: true,
    reads_legacy_tokens: false,
    refusal: 403,
    gone: 404,
    reads_last: false,
};

pub(crate) const STRICT: &[(&str, &str)] = &[];
pub(crate) const LEASED: &[(&str, &str)] = &[("LEASE_SECONDS", "60")];
pub(crate) const STALE: &[(&str, &str)] = &[("STALE_IF_ERROR_SECONDS", "600")];

pub(crate) const NO_QUESTION: [u16; 0] = [];

pub(crate) const ALICE: Credential = Credential::Header(1);
pub(crate) const BOB: Credential = Credential::Header(2);

pub(crate) const THUMBNAIL: What =
    What::Thumbnail("32x32-crop-default", "width=32&height=32&method=crop");

pub(crate) fn world(vars: &[(&str, &str)], habits: Habits) -> World {
    furnished(World::new(vars, habits, false))
}

/// The same with a bucket.
pub(crate) fn world_with_bucket(vars: &[(&str, &str)]) -> World {
    furnished(World::new(vars, SYNAPSE, true))
}

fn furnished(mut world: World) -> World {
    world.homeserver.tokens = tokens();
    world.homeserver.media = (0..2).map(video).collect();
    world
}

pub(crate) fn video(index: usize) -> Media {
    Media {
        server_name: SERVER_NAME,
        id: format!("media{index}"),
        length: 40,
        content_type: "video/mp4",
        disposition: Some("inline; filename=upload.mp4"),
        is_quarantined: false,
        is_deleted: false,
        is_halved: false,
        is_frozen: false,
        reader: None,
    }
}

pub(crate) fn ask() -> Ask {
    Ask::new(Door::Client, 0, ALICE)
}

pub(crate) fn legacy() -> Ask {
    Ask::new(Door::Legacy, 0, Credential::None)
}

pub(crate) fn server() -> Ask {
    Ask::new(Door::Federation, 0, Credential::Signature)
}

pub(crate) fn bytes() -> Vec<u8> {
    video(0).bytes("content")
}

pub(crate) fn by_name(file_name: &'static str) -> Ask {
    Ask { file_name: Some(file_name), ..ask() }
}

pub(crate) fn ranged(range: Span) -> Ask {
    Ask { range: Some(range), ..ask() }
}

pub(crate) fn head(ask: Ask) -> Ask {
    Ask { method: Method::HEAD, ..ask }
}
