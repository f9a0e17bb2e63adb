//! Every fault of a tier, with bodies that are read whole, larger ones, and parts of these.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread::{self, sleep};
use std::time::Duration;

use test_support::edge::{BucketKind, Edge, Layout};
use test_support::http::Request;
use test_support::noise::noise;
use test_support::profile::Profile;
use test_support::time::now;

use super::listen;
use super::store_table::{BUCKET_ROWS, CACHE_ROWS, CLOUDFLARE_CACHE_ROWS, Kind, StoreRow};
use super::table::{Cell, Gets};
use crate::store::bucket::{bring, get};
use crate::support::origin::{Media, Origin};
use crate::support::patched;
use crate::support::world::{World, download, download_path, tier, with_required};

/// A look-up that hangs is given up after 2 s, at each of two steps; and another's fill is waited
/// for 3 s.
const LONGEST: Duration = Duration::from_secs(9);

/// The Worker before caches that fail.
static FAULTY_WORKER: LazyLock<PathBuf> = LazyLock::new(|| {
    let caches = "function(){return faultyCaches}";
    patched::worker(
        "faulty-caches",
        "__wbg_static_accessor_CACHES_",
        caches,
        include_str!("caches.js"),
    )
});

impl Kind {
    fn body(self) -> Vec<u8> {
        noise(match self {
            Self::Small => 1_000,
            Self::Large | Self::Part => 400_000,
        })
    }

    fn wanted(self) -> Vec<u8> {
        match self {
            Self::Small | Self::Large => self.body(),
            Self::Part => self.body()[300_000..310_000].to_vec(),
        }
    }

    fn ask(self, request: Request) -> Request {
        match self {
            Self::Small | Self::Large => request,
            Self::Part => request.header("Range", "bytes=300000-309999"),
        }
    }

    fn watch(self, request: &Request, address: &str) -> Gets {
        match timed(|| listen(&self.ask(request.clone()), address)) {
            Ok((_, false)) => Gets::Beginning,
            Ok((answer, true)) if answer.status < 300 && answer.body == self.wanted() => {
                Gets::Right
            }
            Ok((answer, true)) if answer.status < 300 => Gets::Shortened,
            Ok((answer, true)) => Gets::Error(answer.status),
            Err(_) => Gets::Broken,
        }
    }
}

fn judge(what: &str, kind: Kind, expected: Cell, gets: Gets, is_stored: bool) -> Option<String> {
    let is_so = expected.gets == gets && expected.kept.admits(is_stored);
    (!is_so).then(|| format!("{what}, {kind:?}: {gets:?}, stored: {is_stored}"))
}

fn timed<T>(act: impl FnOnce() -> T) -> T {
    let began = now();
    let outcome = act();
    assert!(began.elapsed() < LONGEST, "it took {:?}", began.elapsed());
    outcome
}

/// Asks thrice of a cache that fails for what bears this name: to have it stored, in the fault, and
/// afterwards.
fn play_cache(
    origin: &Origin,
    edge: &Edge,
    row: &StoreRow,
    kind: Kind,
    expected: Cell,
) -> Option<String> {
    let token = origin.homeserver().log_in();
    let media = origin.homeserver().add(Media::new("image/png", kind.body()));
    let id = format!("{}-{}-{kind:?}", row.operation, row.fault);
    origin.homeserver().alias(&id, &media);
    let request = download(&id, &token);
    let whole = timed(|| request.send(&edge.direct_address));
    assert!(whole.body == kind.body(), "{id}: {}", whole.status);
    sleep(Duration::from_millis(600));
    let gets = kind.watch(&request, &edge.direct_address);
    sleep(Duration::from_millis(600));
    let after = timed(|| request.send(&edge.direct_address));
    assert!(after.body == kind.body(), "{id}: {}", after.status);
    sleep(Duration::from_millis(600));
    let last = timed(|| request.send(&edge.direct_address));
    assert!(last.body == kind.body(), "{id}: {}", last.status);
    judge(&id, kind, expected, gets, !tier(&last).is_empty())
}

#[test]
fn a_cache_that_fails() {
    let origin = Origin::start();
    let folder = FAULTY_WORKER.to_str().expect("a path in UTF-8");
    let edge = with_required(&origin.url(), &[], |vars| Edge::start_worker(folder, vars));
    let wrong: Vec<String> = thread::scope(|scope| {
        let (origin, edge) = (&origin, &edge);
        let cells = CACHE_ROWS
            .iter()
            .flat_map(|row| Kind::ALL.into_iter().zip(row.cells).map(move |cell| (row, cell)));
        let played: Vec<_> = cells
            .map(|(row, (kind, cell))| {
                scope.spawn(move || play_cache(origin, edge, row, kind, cell))
            })
            .collect();
        played.into_iter().filter_map(|cell| cell.join().expect("a clear answer")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asks thrice of a Worker on Cloudflare: what is stored comes from one of the tiers then.
fn play_cloudflare(world: &World, row: &StoreRow, kind: Kind, expected: Cell) -> Option<String> {
    let id = world.origin.homeserver().add(Media::new("image/png", kind.body()));
    let request = get(&id, &world.token());
    let whole = timed(|| request.send(&world.edge.direct_address));
    assert!(whole.body == kind.body(), "{}: {}", row.words, whole.status);
    sleep(Duration::from_millis(900));
    let gets = kind.watch(&request, &world.edge.direct_address);
    sleep(Duration::from_millis(900));
    let last = timed(|| request.send(&world.edge.direct_address));
    assert!(last.body == kind.body(), "{}: {}", row.words, last.status);
    judge(row.words, kind, expected, gets, !tier(&last).is_empty())
}

#[test]
fn a_cache_and_a_bucket_as_cloudflares_can_be() {
    let layout =
        Layout { bucket: BucketKind::R2, profile: Some(Profile::Cloudflare), ..Layout::default() };
    let mut wrong: Vec<String> = Vec::new();
    for rows in CLOUDFLARE_CACHE_ROWS.chunks(3) {
        let played: Vec<_> = thread::scope(|scope| {
            let rows = rows.iter().map(|row| {
                scope.spawn(move || {
                    let world = World::start_as(layout, &[]);
                    let stand_in = if row.operation == "cache" {
                        &world.edge.cache
                    } else {
                        &world.edge.bucket
                    };
                    stand_in.set(&serde_json::from_str(row.fault).expect("settings"));
                    let kinds = Kind::ALL.into_iter().zip(row.cells);
                    kinds
                        .filter_map(|(kind, cell)| play_cloudflare(&world, row, kind, cell))
                        .collect::<Vec<_>>()
                })
            });
            let rows: Vec<_> = rows.collect();
            rows.into_iter().flat_map(|row| row.join().expect("a clear answer")).collect()
        });
        wrong.extend(played);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asks of a bucket that fails, at a data centre that has nothing; and then where nothing fails.
fn play_bucket(world: &World, row: &StoreRow, kind: Kind, expected: Cell) -> Option<String> {
    let id = world.origin.homeserver().add(Media::new("image/png", kind.body()));
    bring(world, &id);
    let request = get(&id, &world.token());
    world.edge.stores.set_faults(&[(row.operation, row.fault)]);
    let gets = kind.watch(&request, &world.edge.direct_address);
    world.edge.stores.set_faults(&[]);
    sleep(Duration::from_millis(300));
    for address in [&world.edge.direct_address, &world.edge.pop_addresses[1]] {
        let after = timed(|| request.send(address));
        assert!(after.body == kind.body(), "{}", after.status);
    }
    sleep(Duration::from_millis(300));
    let last = timed(|| request.send(&world.edge.direct_address));
    assert!(last.body == kind.body(), "{}", last.status);
    world.origin.forget(&download_path(&id));
    judge(
        &format!("{} {}", row.operation, row.fault),
        kind,
        expected,
        gets,
        !tier(&last).is_empty(),
    )
}

#[test]
fn a_bucket_that_fails() {
    let layout = Layout { pops: 2, bucket: BucketKind::Faulty, ..Layout::default() };
    let world = World::start_as(layout, &[]);
    let mut wrong = Vec::new();
    for row in BUCKET_ROWS {
        for (kind, cell) in Kind::ALL.into_iter().zip(row.cells) {
            wrong.extend(play_bucket(&world, row, kind, cell));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
