//! A day of readers at fifty data centres, decided by the Worker's own code: what the homeserver
//! still has to send, and for how long something is read that it would refuse.
//!
//! `simulation SEED DIRECTORY` writes the report there. The same seed writes the same report.

mod edge;
mod homeserver;
mod model;
mod plots;
mod pop;
mod purge_list;
mod report;
mod setting;
mod tally;
mod workload;

#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::{env, fs, io, thread};

use crate::edge::Edge;
use crate::model::DAY;
use crate::setting::{SETTINGS, Setting};
use crate::tally::Tally;
use crate::workload::Workload;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [seed, directory] = arguments.as_slice() else {
        return Err(io::Error::other("usage: simulation SEED DIRECTORY"));
    };
    let seed = seed.parse().map_err(|_| io::Error::other("SEED is a number"))?;
    let workload = Workload::new(&DAY, seed);
    let tallies = play_all(&workload);
    write(Path::new(directory), seed, &workload, &tallies)
}

/// Plays the workload with each setting, as many at once as there are cores.
fn play_all(workload: &Workload) -> Vec<Tally> {
    let left = Mutex::new(SETTINGS.iter().enumerate().collect::<Vec<_>>());
    let played = Mutex::new(Vec::new());
    let next = || left.lock().expect("no thread has panicked").pop();
    let work = || {
        while let Some((place, setting)) = next() {
            let tally = play(workload, *setting);
            played.lock().expect("no thread has panicked").push((place, tally));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    let mut played = played.into_inner().expect("no thread has panicked");
    played.sort_by_key(|(place, _)| *place);
    played.into_iter().map(|(_, tally)| tally).collect()
}

fn play(workload: &Workload, setting: Setting) -> Tally {
    let mut edge = Edge::new(workload, setting);
    for request in &workload.requests {
        edge.answer(request);
    }
    edge.into_tally()
}

fn write(directory: &Path, seed: u64, workload: &Workload, tallies: &[Tally]) -> io::Result<()> {
    let plots = directory.join("simulation");
    fs::create_dir_all(&plots)?;
    for (name, svg) in plots::all(workload, tallies) {
        fs::write(plots.join(name), svg)?;
    }
    fs::write(directory.join("simulation.md"), report::document(seed, workload, tallies))
}
