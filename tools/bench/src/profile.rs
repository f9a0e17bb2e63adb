//! Where the time and the memory of a hit go.

mod inspector;
mod memory;
mod samples;
mod time;

use std::fs;
use std::path::{Path, PathBuf};

use test_support::ROOT;

use crate::about::About;
use crate::plan::in_folder;
use crate::report::about_table;
use crate::world::World;

/// Looks, and writes the report; returns where it is.
pub(crate) fn run() -> PathBuf {
    let text = in_folder(document);
    let report = Path::new(ROOT).join("docs/benchmarks/profile.md");
    fs::write(&report, text).expect("the report can't be written");
    report
}

fn document(folder: &str) -> String {
    let world = World::start(folder);
    let about = about_table(&About::this(&world.synapse.address, 1, time::SECONDS));
    let time = time::told(&world, folder);
    drop(world);
    let memory = memory::told(folder);
    format!(
        "# Where time and memory go\n\nWritten by `make profile` from what it saw, not by hand. \
         The [benchmarks](../benchmarks.md) say who the contenders are.\n\n\
         ## Time\n\n{time}\n## Memory\n\n{memory}\n## This run\n\n{about}"
    )
}
