//! The Worker side by side with what an admin would pick instead:
//!
//! ```text
//! bench [quick] [<workload>…]     measures, and writes a report
//! bench report                    writes the report about the last full run anew
//! bench profile                   writes where time and memory of a hit go
//! ```
//!
//! Only a full run, and a profile, are written into the documentation; others into `target/bench`.

mod about;
mod cache_service;
mod client;
mod contenders;
mod goals;
mod link;
mod load;
mod plan;
mod process_stats;
mod profile;
mod report;
mod results;
mod sample;
mod scene;
mod workloads;
mod world;

use crate::plan::Plan;
use crate::results::Place;

fn main() {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if arguments == ["profile"] {
        return println!("{}", profile::run().display());
    }
    let (place, results) = if arguments == ["report"] {
        (Place::Docs, Place::Docs.read())
    } else {
        let plan = Plan::of(&arguments);
        (plan.place, plan.run())
    };
    println!("{}", place.write(&results).display());
}
