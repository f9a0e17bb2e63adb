//! How long 200 MiB take through the edge, compared with Synapse alone on the same machine:
//! `cargo bench --bench transfers`. Both ways are taken in turn, so that noise meets both; the
//! medians are compared. Locally there is no distance to save: this shows what the edge costs.

#![expect(dead_code, reason = "the tests use more of these modules than this program does")]

use std::time::Duration;

use test_support::time::now;

use crate::ask::Ask;
use crate::large::{LARGE_BYTES, download_large, upload_large};
use crate::world::world;

mod ask;
mod large;
mod servers;
mod signature;
mod world;

const ROUNDS: usize = 5;

fn main() {
    let synapse = &world().synapse.address;
    let edge = &world().edge.address;
    // The first transfer of each kind finds everything cold.
    download(edge, &large(edge));

    println!("{} MiB, median of {ROUNDS}: direct, edge, ratio", LARGE_BYTES >> 20);
    compare("upload", || drop(upload_large(synapse)), || drop(upload_large(edge)));

    let ask = large(synapse);
    let unstored = ask.clone().query("admin_unsafely_bypass_quarantine=false");
    compare(
        "download, never stored",
        || drop(download(synapse, &ask)),
        || assert!(download(edge, &unstored).contains("fwd=bypass")),
    );

    let mut unseen = (0..ROUNDS).map(|_| large(synapse)).collect::<Vec<_>>();
    compare(
        "download, miss",
        || drop(download(synapse, &ask)),
        || {
            let ask = unseen.pop().expect("there is one for each round");
            assert!(download(edge, &ask).contains("fwd=uri-miss"));
        },
    );

    while !download(edge, &ask).contains("fwd-status=304") {}
    compare(
        "download, hit",
        || drop(download(synapse, &ask)),
        || assert!(download(edge, &ask).contains("fwd-status=304")),
    );
}

fn large(address: &str) -> Ask {
    upload_large(address).download().user("alice")
}

fn download(address: &str, ask: &Ask) -> String {
    download_large(address, ask, Duration::ZERO)
}

fn compare(name: &str, mut direct: impl FnMut(), mut edge: impl FnMut()) {
    let (mut directs, mut edges): (Vec<_>, Vec<_>) =
        (0..ROUNDS).map(|_| (seconds(&mut direct), seconds(&mut edge))).unzip();
    let (direct, edge) = (median(&mut directs), median(&mut edges));
    println!("{name:<24} {direct:.2} s  {edge:.2} s  {:.2}", edge / direct);
}

fn seconds(action: &mut impl FnMut()) -> f64 {
    let started = now();
    action();
    started.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
