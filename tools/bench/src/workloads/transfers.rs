//! Single large transfers, over connections that are open already.

use std::thread::sleep;
use std::time::Duration;

use test_support::noise::noise;

use plot::Spread;

use crate::client::{Client, Transfer};
use crate::contenders::Id;
use crate::sample::{Figure, Figures};
use crate::scene::Scene;
use crate::world::{BIG_BYTES, HUGE_BYTES};

/// How many make one measurement, whose median counts.
const REPETITIONS: usize = 10;

/// How long each waits, so that what the one before has left to do, such as to store it, is done.
const PAUSE: Duration = Duration::from_millis(200);

const PART_BYTES: usize = 1_000_000;

const UPLOAD_BLOCK_BYTES: usize = 1_000_000;
const UPLOAD_BLOCKS: usize = 100;

pub(crate) fn miss(scene: &Scene<'_>) -> Figures {
    let unseen = [(); REPETITIONS].map(|()| scene.world.unseen());
    download(scene, &unseen, None, BIG_BYTES)
}

/// Synapse alone sends the whole.
pub(crate) fn range(scene: &Scene<'_>) -> Figures {
    scene.warm(&scene.world.huge);
    let targets = [(); REPETITIONS].map(|()| scene.world.huge.clone());
    let bytes = if scene.contender.id == Id::Synapse { HUGE_BYTES } else { PART_BYTES };
    let first = (HUGE_BYTES - PART_BYTES) / 2;
    let range = format!("bytes={first}-{}", first + PART_BYTES - 1);
    download(scene, &targets, Some(&range), bytes)
}

fn download(scene: &Scene<'_>, targets: &[String], range: Option<&str>, bytes: usize) -> Figures {
    let get = |(target, mut client): (&String, Client)| {
        sleep(PAUSE);
        let mut request = scene.request("GET", target);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        let transfer = client.get(&request).expect("the download breaks off");
        assert_eq!(transfer.body_bytes, bytes as u64, "{}", scene.contender.id.title());
        transfer
    };
    let clients = targets.iter().map(|target| (target, scene.warm_client())).collect::<Vec<_>>();
    scene.observe(|| {
        let transfers = clients.into_iter().map(get).collect::<Vec<_>>();
        (targets.len() as u64, figures(&transfers, bytes))
    })
}

pub(crate) fn upload(scene: &Scene<'_>) -> Figures {
    let bytes = UPLOAD_BLOCK_BYTES * UPLOAD_BLOCKS;
    let request = scene
        .request("POST", "/_matrix/media/v3/upload")
        .header("Content-Type", "application/octet-stream")
        .header("Content-Length", bytes.to_string());
    let block = noise(UPLOAD_BLOCK_BYTES);
    let mut client = scene.warm_client();
    let before = scene.contender.processes.resident_mib();
    let mut figures = scene.observe(|| {
        let transfer = client.send(&request, &block, UPLOAD_BLOCKS).expect("the upload breaks off");
        assert_eq!(transfer.status, 200, "{}", scene.contender.id.title());
        (1, figures(&[transfer], bytes))
    });
    figures.remove(&Figure::FirstByteMs);
    figures.insert(Figure::GrowthMib, figures[&Figure::PeakResidentMib] - before);
    figures
}

fn figures(transfers: &[Transfer], bytes: usize) -> Figures {
    let median = |value: fn(&Transfer) -> f64| {
        Spread::of(transfers.iter().map(value).collect()).expect("there are some").median
    };
    let total_secs = median(|transfer| transfer.total.as_secs_f64());
    Figures::from([
        (Figure::FirstByteMs, median(|transfer| transfer.first_byte.as_secs_f64()) * 1000.0),
        (Figure::TotalMs, total_secs * 1000.0),
        (Figure::MegabytesPerSecond, bytes as f64 / 1e6 / total_secs),
    ])
}
