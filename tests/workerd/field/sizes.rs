//! Anyone may ask for a thumbnail of any size: what one media takes in the stores is bounded, and no
//! size is ever served for another.

use std::thread;

use test_support::edge::{BucketKind, Layout};
use test_support::http::{Answer, Request};
use test_support::profile::Profile;
use test_support::time::wait_for;

use super::servers::start_with_tiers;
use crate::support::origin::{Reply, SERVER_NAME};
use crate::support::world::{PATIENCE, World, media_domain, tier, wait_until_shown};

/// Names that are shared, and the usual sizes with their animated forms.
const MOST_NAMES: usize = 64 + 15;

fn path(id: &str) -> String {
    format!("/_matrix/client/v1/media/thumbnail/{SERVER_NAME}/{id}")
}

fn query(width: usize) -> String {
    format!("width={width}&height=64&method=scale")
}

fn thumbnail(id: &str, width: usize, token: &str) -> Request {
    media_domain("GET", format!("{}?{}", path(id), query(width))).bearer(token)
}

/// Claims the picture of this width; the stand-in's consists of its query.
#[track_caller]
fn assert_picture(answer: &Answer, width: usize) {
    assert_eq!((answer.status, answer.text()), (200, query(width)));
}

fn is_thumbnail_of(id: &str) -> impl Fn(&String) -> bool + use<> {
    let part = format!("/{id}/{SERVER_NAME}/thumbnail/");
    move |name: &String| name.contains(&part)
}

#[test]
fn a_thousand_sizes_of_one_picture_take_a_bounded_number_of_entries() {
    let layout =
        Layout { bucket: BucketKind::R2, profile: Some(Profile::Cloudflare), ..Layout::default() };
    let world = World::start_as(layout, &[]);
    let (id, token) = (world.media(), world.token());
    thread::scope(|scope| {
        for part in 0..4 {
            let (world, id, token) = (&world, &id, &token);
            scope.spawn(move || {
                for width in (1..=1000).skip(part).step_by(4) {
                    let answer = thumbnail(id, width, token).send(&world.edge.direct_address);
                    assert_picture(&answer, width);
                }
            });
        }
    });
    wait_until_shown(&world.edge);
    let at_pop = world.edge.cache.keys().into_iter().filter(is_thumbnail_of(&id)).count();
    let in_bucket = world.edge.stores.keys().into_iter().filter(is_thumbnail_of(&id)).count();
    assert!((1..=MOST_NAMES).contains(&at_pop), "{at_pop} at the data centre");
    assert!((1..=MOST_NAMES).contains(&in_bucket), "{in_bucket} in the bucket");
}

/// Widths of this media's thumbnails by the name that they share, found out by storing them: the
/// first two that the edge keeps under one.
fn two_of_one_name(world: &World, id: &str, token: &str) -> (usize, usize) {
    let prefix = is_thumbnail_of(id);
    let mut names: Vec<(String, usize)> = Vec::new();
    for width in 1..=65 {
        let record = |name: &str| world.edge.stores.object(name).map(|object| object.record);
        let text = format!("thumbnail%2F{width}x64%2Dscale&");
        thumbnail(id, width, token).send(&world.edge.direct_address);
        let name = wait_for("it is in the bucket", PATIENCE, || {
            let mut names = world.edge.stores.keys().into_iter().filter(&prefix);
            names.find(|name| record(name).is_some_and(|record| record.contains(&text)))
        });
        if let Some((_, other)) = names.iter().find(|(known, _)| *known == name) {
            return (*other, width);
        }
        names.push((name, width));
    }
    panic!("65 sizes have 65 names")
}

#[test]
fn one_size_is_never_served_for_another_from_any_tier() {
    let world = start_with_tiers();
    let (id, token) = (world.media(), world.token());
    let (first, second) = two_of_one_name(&world, &id, &token);
    let edge = &world.edge;
    // The second has taken the place of the first, which its isolate still has in memory.
    for (address, widths) in [
        (&edge.direct_address, [first, second]),
        (&edge.neighbor_address, [first, second]),
        (&edge.pop_addresses[0], [second, first]),
    ] {
        for width in widths.into_iter().chain(widths) {
            let answer = thumbnail(&id, width, &token).send(address);
            assert_picture(&answer, width);
            wait_until_shown(&world.edge);
        }
    }
}

#[test]
fn a_size_replaces_another_in_the_bucket_only_by_a_grant() {
    let world = start_with_tiers();
    let (id, token) = (world.media(), world.token());
    let (first, second) = two_of_one_name(&world, &id, &token);
    let pop = &world.edge.pop_addresses[0];
    let refused = thumbnail(&id, first, "syt_nobody").send(pop);
    assert_eq!(refused.status, 401);
    wait_until_shown(&world.edge);
    let answer = thumbnail(&id, second, &token).send(pop);
    assert_picture(&answer, second);
    assert_eq!(tier(&answer), "bucket", "who is refused removes nothing");
    let answer = thumbnail(&id, first, &token).send(pop);
    assert_picture(&answer, first);
    let text = format!("thumbnail%2F{first}x64%2Dscale&");
    wait_for("the first is in the bucket again", PATIENCE, || {
        let names = world.edge.stores.keys().into_iter().filter(is_thumbnail_of(&id));
        let mut objects = names.filter_map(|name| world.edge.stores.object(&name));
        objects.find(|object| object.record.contains(&text)).map(drop)
    });
}

#[test]
fn sizes_of_one_name_that_are_filled_at_once_are_each_their_own() {
    let world = start_with_tiers();
    let (id, token) = (world.media(), world.token());
    let (first, second) = two_of_one_name(&world, &id, &token);
    let other = world.media();
    for width in [first, second] {
        world.origin.on(&format!("{}?{}", path(&other), query(width)), move |call| {
            thread::sleep(std::time::Duration::from_millis(300));
            call.reply_by_default()
        });
    }
    thread::scope(|scope| {
        for n in 0..12 {
            let width = if n % 2 == 0 { first } else { second };
            let (world, other, token) = (&world, &other, &token);
            scope.spawn(move || {
                let answer = thumbnail(other, width, token).send(&world.edge.direct_address);
                assert_picture(&answer, width);
            });
        }
    });
}

/// More than is read whole: parts of it are sliced by the stores.
const LARGE: usize = 300_000;

/// A picture of `LARGE` letters that tell its width.
fn large(width: usize) -> Vec<u8> {
    vec![u8::try_from(width).expect("it is small"); LARGE]
}

#[test]
fn a_range_is_never_cut_from_another_size() {
    let world = start_with_tiers();
    let (id, token) = (world.media(), world.token());
    let (first, second) = two_of_one_name(&world, &id, &token);
    for width in [first, second] {
        let picture = Reply::new(200)
            .header("Content-Type", "image/png")
            .header("Content-Disposition", "inline")
            .header("ETag", "\"large\"")
            .body(large(width));
        world.origin.on(&format!("{}?{}", path(&id), query(width)), move |call| {
            match call.head.headers.get("if-none-match") {
                Some("\"large\"") => call.reply(&Reply::new(304)),
                _ => call.reply(&picture),
            }
        });
    }
    let edge = &world.edge;
    for address in [&edge.neighbor_address, &edge.pop_addresses[0], &edge.neighbor_address] {
        for width in [first, second, second, first] {
            let request = thumbnail(&id, width, &token).header("Range", "bytes=299990-299994");
            let answer = request.send(address);
            assert_eq!((answer.status, &answer.body[..]), (206, &large(width)[..5]), "{width}");
            wait_until_shown(&world.edge);
        }
    }
}
