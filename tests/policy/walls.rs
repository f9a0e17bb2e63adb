//! What stands in front of the homeserver, by example: whatever it says is for the one reader who
//! asked.

use matrix_media_edge::matrix::media::Door;

use crate::scene::{
    ALICE, LEASED, NO_QUESTION, STALE, STRICT, SYNAPSE, THUMBNAIL, ask, bytes, legacy, world,
};
use model::ask::{Ask, Credential, Guise};
use model::homeserver::{Habits, Health, Validators};
use model::proxy::{Page, Trigger, Wall};
use model::world::World;

const PAGES: [Page; 4] = [Page::Html, Page::HtmlWithTag, Page::Json, Page::Text];

/// Nobody's token.
const GARBAGE: Credential = Credential::Header(3);

/// Answers every request so, or none.
fn wall(world: &mut World, page: Option<Page>) {
    world.proxy.wall = page.map(|page| Wall { trigger: Trigger::Everything, page });
}

/// Answers robots so.
fn wall_for_robots(world: &mut World, page: Page) {
    world.proxy.wall = Some(Wall { trigger: Trigger::Robot, page });
}

fn robot(credential: Credential) -> Ask {
    let guise = Guise { agent: "a bot", ..Guise::PLAIN };
    Ask { guise, ..Ask::new(Door::Client, 0, credential) }
}

#[test]
fn a_page_on_a_miss_is_for_its_reader_alone() {
    for page in PAGES {
        let mut world = world(LEASED, SYNAPSE);
        wall(&mut world, Some(page));
        let told = world.answer(&ask());
        let status = if matches!(page, Page::Json | Page::Text) { 200 } else { 502 };
        assert_eq!((told.status(), told.reply.body != bytes()), (status, true), "{page:?}");
        wall(&mut world, None);
        let miss = world.answer(&ask());
        assert_eq!((miss.heard(), miss.reply.body), (vec![200], bytes()), "{page:?}");
    }
}

#[test]
fn a_page_grants_nothing_and_replaces_nothing() {
    for validators in [Validators::One, Validators::Both, Validators::Date] {
        for page in PAGES {
            let mut world = world(LEASED, Habits { validators, ..SYNAPSE });
            world.answer(&ask());
            wall_for_robots(&mut world, page);
            let told = world.answer(&robot(GARBAGE));
            assert!(!told.reply.is_stored, "{page:?}");
            assert_eq!(world.answer(&Ask::new(Door::Client, 0, GARBAGE)).status(), 401);
            assert_eq!(world.answer(&ask()).heard(), NO_QUESTION);
            assert_eq!(world.answer(&ask()).reply.body, bytes());
        }
    }
}

#[test]
fn a_login_page_serves_no_stored_bytes() {
    for validators in [Validators::One, Validators::Redirect] {
        for page in [Page::Login, Page::SamePlace] {
            let mut world = world(STRICT, Habits { validators, ..SYNAPSE });
            world.answer(&ask());
            wall_for_robots(&mut world, page);
            assert!(!world.answer(&robot(GARBAGE)).reply.is_stored, "{page:?}");
        }
    }
}

#[test]
fn a_page_in_place_of_whoami_grants_nothing() {
    for page in PAGES {
        let mut world = world(LEASED, Habits { validators: Validators::Nothing, ..SYNAPSE });
        world.answer(&ask());
        wall(&mut world, Some(page));
        assert!(!world.answer(&Ask::new(Door::Client, 0, GARBAGE)).reply.is_stored);
        wall(&mut world, None);
        assert_eq!(world.answer(&Ask::new(Door::Client, 0, GARBAGE)).status(), 401);
    }
}

#[test]
fn a_granted_thumbnail_grants_no_removed_file() {
    for plain in [ask(), legacy()] {
        let mut world = world(LEASED, SYNAPSE);
        world.answer(&plain);
        world.homeserver.media[0].is_halved = true;
        world.now_ms += 60_000;
        assert_eq!(world.answer(&plain).status(), 404);
        world.answer(&Ask { what: THUMBNAIL, ..plain.clone() });
        assert_eq!(world.answer(&plain).status(), 404, "{:?}", plain.door);
    }
}

#[test]
fn a_refusal_by_an_intermediary_revokes_nothing() {
    for page in [Page::Unauthorized, Page::Forbidden, Page::Gone] {
        let mut world = world(LEASED, SYNAPSE);
        world.answer(&ask());
        world.answer(&Ask { what: THUMBNAIL, ..ask() });
        wall(&mut world, Some(page));
        assert!(world.answer(&Ask { media: 1, ..ask() }).status() >= 400, "{page:?}");
        world.now_ms += 30_000;
        assert_eq!(world.answer(&ask()).heard(), NO_QUESTION, "{page:?}");
        world.now_ms += 30_000;
        assert!(world.answer(&ask()).status() >= 400, "{page:?}");
        wall(&mut world, None);
        assert_eq!(world.answer(&ask()).heard(), [304], "{page:?}: it is still stored");
    }
}

#[test]
fn a_reader_who_is_cut_off_is_not_served_stale() {
    for page in [
        Page::Dropped,
        Page::Mitigated,
        Page::BadGateway,
        Page::Unavailable(false),
        Page::Unavailable(true),
        Page::TooMany,
    ] {
        let mut world = world(STALE, SYNAPSE);
        world.answer(&ask());
        world.homeserver.tokens[1].is_valid = false;
        wall_for_robots(&mut world, page);
        let refused = world.answer(&robot(ALICE));
        assert!(refused.status() >= 400 && !refused.reply.is_stored, "{page:?}");
    }
}

#[test]
fn a_rate_limit_of_everyone_is_no_outage() {
    for page in [Page::Unavailable(true), Page::Unavailable(false), Page::TooMany, Page::Mitigated]
    {
        let mut world = world(STALE, SYNAPSE);
        world.answer(&ask());
        world.now_ms += 60_000;
        wall(&mut world, Some(page));
        assert!(!world.answer(&ask()).reply.is_stored, "{page:?}");
    }
}

#[test]
fn a_proxy_that_cannot_reach_the_homeserver_shows_an_outage() {
    for page in [Page::Dropped, Page::BadGateway] {
        let mut world = world(STALE, SYNAPSE);
        world.answer(&ask());
        wall(&mut world, Some(page));
        assert!(world.answer(&ask()).reply.is_stored, "{page:?}");
    }
}

#[test]
fn answers_of_intermediaries_end_no_outage() {
    let mut world = world(STALE, SYNAPSE);
    world.answer(&ask());
    world.homeserver.health = Health::Unreachable;
    assert!(world.answer(&ask()).reply.is_stored);
    for page in [Page::Html, Page::Login, Page::Forbidden, Page::Gone, Page::TooMany] {
        wall_for_robots(&mut world, page);
        world.answer(&Ask { media: 1, ..robot(ALICE) });
        assert_eq!(world.answer(&ask()).heard(), NO_QUESTION, "{page:?}: nobody waits");
    }
}

#[test]
fn media_that_is_gone_for_good_stays_gone_in_an_outage() {
    for gone in [404, 410, 451] {
        let mut world = world(STALE, Habits { gone, ..SYNAPSE });
        world.answer(&ask());
        world.homeserver.media[0].is_deleted = true;
        assert_eq!(world.answer(&ask()).status(), gone);
        world.homeserver.health = Health::Unreachable;
        assert_eq!(world.answer(&ask()).status(), 502);
    }
}

#[test]
fn readers_who_suspect_at_once_wait_for_one_probe() {
    let mut world = world(STALE, SYNAPSE);
    world.answer(&ask());
    world.homeserver.health = Health::Unreachable;
    world.probes.are_slow = true;
    for _ in 0..2 {
        assert!(world.begin(&ask(), 0).is_none());
        let last = world.flights.len() - 1;
        assert!(world.advance(last).is_none(), "it is asked");
        assert!(world.advance(last).is_none(), "it has failed");
    }
    assert_eq!(world.probes.sent, 1);
    let answers = [world.advance(0), world.advance(0)];
    for answered in answers {
        assert!(answered.expect("the probe has ended").reply.is_stored);
    }
    assert_eq!(world.probes.sent, 1);
}
