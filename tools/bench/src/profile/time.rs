//! Where the time of a hit goes: what V8's sampling profiler sees, beside what the kernel counts.

use std::fmt::Write;
use std::fs;

use test_support::ROOT;
use test_support::process::free_port;

use super::inspector::Inspector;
use super::samples::{CpuProfile, Room, Spent};
use crate::contenders::{Contender, Id};
use crate::report::number;
use crate::sample::{Figure, Figures};
use crate::scene::Scene;
use crate::workloads::{WORKLOADS, Workload};
use crate::world::World;

pub(crate) const SECONDS: u64 = 5;

/// The workload, and those in whom it is looked at.
const PROFILED: [(&str, &[Id]); 2] = [
    ("thumbnail", &[Id::BareWorker, Id::WrappedWorker, Id::CachingWorker, Id::Leased, Id::Strict]),
    ("big", &[Id::CachingWorker, Id::Leased, Id::Strict]),
];

/// Modules of ours that take less of a request's time are told together.
const LEAST_SHARE: f64 = 0.01;

/// What was seen of one contender.
struct Seen {
    id: Id,
    requests: f64,
    cpu_micros_per_request: f64,
    spent: Spent,
}

/// Profiles the Workers, and tells what was seen. The profiles themselves, which a browser's
/// developer tools open, are left in `target/bench`.
pub(crate) fn told(world: &World, folder: &str) -> String {
    let mut text = "Microseconds of CPU per request, the profiler's own included: all that the \
        kernel counts for workerd, and what of it V8's profiler saw in the isolate.\n"
        .to_owned();
    for (name, ids) in PROFILED {
        let workload = WORKLOADS.iter().find(|workload| workload.name == name);
        let workload = workload.expect("it is one of them");
        let seen = ids.iter().map(|id| look(*id, workload, world, folder)).collect::<Vec<_>>();
        let _ = write!(text, "\n### {}\n\n{}", workload.title, rooms_table(&seen));
        for seen in seen.iter().filter(|seen| !seen.spent.modules.is_empty()) {
            let title = format!("Rust in {}", seen.id.title());
            let _ = write!(text, "\n#### {title}\n\n{}", modules_table(seen));
        }
    }
    text
}

fn look(id: Id, workload: &Workload, world: &World, folder: &str) -> Seen {
    let port = free_port();
    let contender = Contender::start_inspected(id, &world.synapse, folder, port);
    let scene = Scene { world, contender: &contender, round_trip_ms: 0, seconds: SECONDS };
    // What is compiled when it is first needed, or after some use, is compiled then.
    let _ = (workload.measure)(&scene);
    let mut figures = Figures::new();
    let profile = Inspector::connect(port).profile(|| figures = (workload.measure)(&scene));
    let file = format!("{ROOT}/target/bench/{}-{id:?}.cpuprofile", workload.name);
    fs::create_dir_all(format!("{ROOT}/target/bench")).expect("the folder can't be made");
    fs::write(&file, profile.to_string()).expect("the profile can't be written");
    eprintln!("{file}");
    let profile = serde_json::from_value::<CpuProfile>(profile).expect("it is V8's");
    Seen {
        id,
        requests: figures[&Figure::RequestsPerSecond] * SECONDS as f64,
        cpu_micros_per_request: figures[&Figure::CpuMsPerRequest] * 1000.0,
        spent: profile.spent(),
    }
}

fn rooms_table(seen: &[Seen]) -> String {
    let mut table = "| |".to_owned();
    for seen in seen {
        let _ = write!(table, " {} |", seen.id.title());
    }
    let _ = write!(table, "\n|---|{}\n", "--:|".repeat(seen.len()));
    let mut row = |title: &str, micros: &dyn Fn(&Seen) -> Option<f64>| {
        let _ = write!(table, "| {title} |");
        for seen in seen {
            let _ = write!(table, " {} |", micros(seen).map_or_else(String::new, number));
        }
        table += "\n";
    };
    for room in Room::ALL {
        row(room.title(), &|seen| seen.spent.rooms.get(&room).map(|all| all / seen.requests));
    }
    row("workerd outside of the isolate: sockets, HTTP, bodies", &|seen| {
        let within: f64 = seen.spent.rooms.values().sum();
        Some(seen.cpu_micros_per_request - within / seen.requests)
    });
    row("all", &|seen| Some(seen.cpu_micros_per_request));
    table
}

/// The dearest first.
fn modules_table(seen: &Seen) -> String {
    let micros = seen.spent.modules.iter().map(|(module, all)| (module, all / seen.requests));
    let least = LEAST_SHARE * seen.cpu_micros_per_request;
    let (mut large, small) = micros.partition::<Vec<_>, _>(|(_, micros)| *micros >= least);
    large.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut table = "| module | µs |\n|---|--:|\n".to_owned();
    for (module, micros) in large {
        let _ = writeln!(table, "| {} | {} |", named(module), number(micros));
    }
    let rest: f64 = small.into_iter().map(|(_, micros)| micros).sum();
    let _ = writeln!(table, "| all others | {} |", number(rest));
    table
}

/// A module of ours; what is called by none is of the libraries that lead to ours.
fn named(module: &str) -> String {
    if module.is_empty() { "wasm-bindgen".to_owned() } else { format!("`{module}`") }
}
