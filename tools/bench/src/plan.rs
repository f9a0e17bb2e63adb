//! What is measured in a run, and in which order.

use std::fs;
use std::process;

use test_support::ROOT;

use crate::about::About;
use crate::contenders::{Contender, Id};
use crate::results::{Place, Results};
use crate::sample::{Figure, Figures, Sample};
use crate::scene::Scene;
use crate::workloads::{START_UP, WORKLOADS, Workload, start_up_ms};
use crate::world::World;

const START_UPS: usize = 10;

pub(crate) struct Plan {
    pub(crate) place: Place,
    workloads: Vec<&'static Workload>,
    effort: Effort,
}

struct Effort {
    round_trips_ms: &'static [u64],
    rounds: usize,
    seconds: u64,
}

const FULL: Effort = Effort { round_trips_ms: &[0, 50, 150], rounds: 3, seconds: 2 };
const QUICK: Effort = Effort { round_trips_ms: &[0, 150], rounds: 1, seconds: 1 };

impl Plan {
    /// What the arguments say: `quick`, or names of workloads, or both.
    ///
    /// # Panics
    /// When there is no workload of such a name.
    pub(crate) fn of(arguments: &[String]) -> Self {
        let (names, quick): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| *word != "quick");
        let find = |name: &String| {
            let found = WORKLOADS.iter().find(|workload| workload.name == name);
            found.unwrap_or_else(|| panic!("no workload is named {name}: {}", known_names()))
        };
        let is_full = arguments.is_empty();
        Self {
            place: if is_full { Place::Docs } else { Place::Target },
            workloads: if names.is_empty() {
                WORKLOADS.iter().collect()
            } else {
                names.into_iter().map(find).collect()
            },
            effort: if quick.is_empty() { FULL } else { QUICK },
        }
    }

    /// Takes the contenders in turn, so that whatever else the machine does meets all of them.
    pub(crate) fn run(&self) -> Results {
        in_folder(|folder| self.run_in(folder))
    }

    fn run_in(&self, folder: &str) -> Results {
        let Effort { round_trips_ms, rounds, seconds } = self.effort;
        let world = World::start(folder);
        let about = About::this(&world.synapse.address, rounds, seconds);
        let mut samples = start_ups(folder);
        let contenders = Id::ALL.map(|id| Contender::start(id, &world.synapse, folder));
        for &round_trip_ms in round_trips_ms {
            for contender in &contenders {
                contender.link.set_round_trip_ms(round_trip_ms);
            }
            for (workload, round) in self.rounds() {
                let due = |contender: &&Contender| {
                    workload.contenders.contains(&contender.id)
                        && (round_trip_ms == 0 || !contender.id.is_in_miniflare())
                };
                for contender in contenders.iter().filter(due) {
                    let scene = Scene { world: &world, contender, round_trip_ms, seconds };
                    let figures = (workload.measure)(&scene);
                    let sample = sample(workload.name, contender.id, round_trip_ms, round, figures);
                    tell(&sample, workload.headline);
                    samples.push(sample);
                }
            }
        }
        Results { about, samples }
    }

    fn rounds(&self) -> impl Iterator<Item = (&'static Workload, usize)> {
        let rounds = |workload: &&'static Workload| {
            let workload = *workload;
            (0..self.effort.rounds).map(move |round| (workload, round))
        };
        self.workloads.iter().flat_map(rounds)
    }
}

/// Does something in a folder of this run's own, which goes with it.
pub(crate) fn in_folder<T>(act: impl FnOnce(&str) -> T) -> T {
    let folder = format!("{ROOT}/target/tmp/bench-{}", process::id());
    fs::create_dir_all(&folder).expect("the folder can't be made");
    let outcome = act(&folder);
    fs::remove_dir_all(&folder).expect("the folder can't be removed");
    outcome
}

fn start_ups(folder: &str) -> Vec<Sample> {
    let measure = |round| {
        [Id::BareWorker, Id::Strict].map(|id| {
            let figures = Figures::from([(Figure::TotalMs, start_up_ms(id, folder))]);
            sample(START_UP, id, 0, round, figures)
        })
    };
    // The first start of each has to read its files from the disk.
    (0..=START_UPS).flat_map(measure).skip(2).collect()
}

fn sample(
    workload: &str,
    contender: Id,
    round_trip_ms: u64,
    round: usize,
    figures: Figures,
) -> Sample {
    Sample { workload: workload.to_owned(), contender, round_trip_ms, round, figures }
}

fn tell(sample: &Sample, headline: Figure) {
    let Sample { workload, contender, round_trip_ms, figures, .. } = sample;
    let (value, unit) = (figures[&headline], headline.title());
    eprintln!(
        "{round_trip_ms:>3} ms  {workload:<16} {:<24} {value:>9.2} {unit}",
        contender.title()
    );
}

fn known_names() -> String {
    WORKLOADS.iter().map(|workload| workload.name).collect::<Vec<_>>().join(", ")
}
