//! What came of it all.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use test_support::http::Answer;

use crate::ask::Ask;
use crate::isolates::Retired;
use crate::judge::{Flight, Verdict};
use crate::memory::Looks;
use crate::{NAMES, Plan};

/// How many wrong answers are told in full.
const TOLD: usize = 20;

/// What one reader has had.
#[derive(Default)]
pub(crate) struct Tally {
    kinds: BTreeMap<&'static str, u64>,
    statuses: BTreeMap<u16, u64>,
    sources: BTreeMap<&'static str, u64>,
    excused: u64,
    replaced: u64,
    left_before_answer: u64,
    left_in_body: u64,
    control: u64,
    control_broken: u64,
    wrong: Vec<String>,
    wrong_count: u64,
    micros: Vec<u32>,
}

impl Tally {
    pub(crate) fn count(
        &mut self,
        ask: &Ask,
        answer: &io::Result<Answer>,
        flight: Flight,
        verdict: Result<Verdict, String>,
        has_left: bool,
    ) {
        *self.kinds.entry(ask.kind).or_default() += 1;
        if has_left {
            self.left_in_body += 1;
        } else {
            let took = (flight.answered - flight.sent).as_micros();
            self.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        if let Ok(answer) = answer {
            *self.statuses.entry(answer.status).or_default() += 1;
            *self.sources.entry(source(answer)).or_default() += 1;
        }
        match verdict {
            Ok(Verdict::Right) => {}
            Ok(Verdict::Excused) => self.excused += 1,
            Ok(Verdict::Replaced) => self.replaced += 1,
            Err(problem) => {
                self.wrong_count += 1;
                if self.wrong.len() < TOLD {
                    let status = answer.as_ref().map(|answer| answer.status).unwrap_or_default();
                    self.wrong.push(format!("{} {}: {status}, {problem}", ask.kind, ask.request));
                }
            }
        }
    }

    /// Counts a request whose reader left before there was an answer.
    pub(crate) fn count_left(&mut self, ask: &Ask) {
        *self.kinds.entry(ask.kind).or_default() += 1;
        self.left_before_answer += 1;
    }

    /// Counts a request to the control.
    pub(crate) fn count_control(&mut self, is_whole: bool) {
        self.control += 1;
        self.control_broken += u64::from(!is_whole);
    }

    fn add(&mut self, other: Self) {
        for (into, from) in [(&mut self.kinds, other.kinds), (&mut self.sources, other.sources)] {
            for (name, count) in from {
                *into.entry(name).or_default() += count;
            }
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.excused += other.excused;
        self.replaced += other.replaced;
        self.left_before_answer += other.left_before_answer;
        self.left_in_body += other.left_in_body;
        self.control += other.control;
        self.control_broken += other.control_broken;
        self.wrong_count += other.wrong_count;
        self.wrong.extend(other.wrong);
        self.micros.extend(other.micros);
    }

    /// The time that so many of a hundred answers came within, in milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        self.micros.get(last * percent / 100).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// By the Worker's own word.
fn source(answer: &Answer) -> &'static str {
    match answer.header("cache-status") {
        Some(field) if field.contains("; hit") => "leased",
        Some(field) if field.contains("fwd-status=304") => "confirmed",
        Some(field) if field.contains("fwd=bypass") => "forwarded",
        Some(_) => "asked for",
        // Refusals and errors don't tell, nor do the status and well-known.
        None => "refused, or no media",
    }
}

/// All of it.
pub struct Report {
    plan: Plan,
    total: Tally,
    looks: Vec<Looks>,
    /// What replaced isolates held at the end.
    retired: Looks,
    kills: u64,
    asked: u64,
    changes: (usize, usize),
    has_panicked: bool,
}

impl Report {
    pub(crate) fn new(plan: Plan, tallies: Vec<Tally>) -> Self {
        let mut total = Tally::default();
        for tally in tallies {
            total.add(tally);
        }
        total.micros.sort_unstable();
        Self {
            plan,
            total,
            looks: Vec::new(),
            retired: Looks::default(),
            kills: 0,
            asked: 0,
            changes: (0, 0),
            has_panicked: false,
        }
    }

    /// The same with what isolates held: those that stay, and those that were replaced; and how many
    /// the kernel ended.
    pub(crate) fn with_memory(
        mut self,
        looks: Vec<Looks>,
        retired: Vec<Retired>,
        kills: u64,
    ) -> Self {
        (self.looks, self.kills) = (looks, kills);
        for Retired { held, has_panicked } in retired {
            self.retired.add(held);
            self.has_panicked |= has_panicked;
        }
        self
    }

    /// The same with how often the homeserver was asked, and how often it changed its mind.
    pub(crate) fn with_homeserver(self, asked: u64, changes: (usize, usize)) -> Self {
        Self { asked, changes, ..self }
    }

    /// The same where an isolate panicked that is still there.
    pub(crate) fn with_panic(mut self, has_panicked: bool) -> Self {
        self.has_panicked |= has_panicked;
        self
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.total.kinds.values().sum()
    }

    /// How many answers failed while the origin was in trouble.
    pub fn excused(&self) -> u64 {
        self.total.excused
    }

    /// The answers that were wrong: some of them, if there are many.
    pub fn wrong(&self) -> &[String] {
        &self.total.wrong
    }

    /// How many readers left: before the answer, and in the middle of a body.
    pub fn left(&self) -> (u64, u64) {
        (self.total.left_before_answer, self.total.left_in_body)
    }

    /// How many isolates were replaced.
    pub fn replaced(&self) -> usize {
        self.retired.count()
    }

    /// How often each Worker was looked at, the control last.
    pub fn looks(&self) -> Vec<usize> {
        self.looks.iter().map(Looks::count).collect()
    }

    /// Whether no isolate that was looked at held more than the platform gives it. The control is no
    /// Worker of the project's.
    pub fn is_bounded(&self) -> bool {
        self.kills == 0
            && self.judged().all(Looks::is_bounded)
            && (self.retired.count() == 0 || self.retired.is_bounded())
    }

    /// Whether no answer was wrong, no Worker fell over, and none holds too much, or more and more.
    pub fn is_good(&self) -> bool {
        let is_right = self.total.wrong_count == 0 && !self.has_panicked;
        is_right && self.is_bounded() && self.judged().all(Looks::is_flat)
    }

    fn judged(&self) -> impl Iterator<Item = &Looks> {
        self.looks.iter().take(self.looks.len().saturating_sub(1))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, total, .. } = self;
        let seconds = plan.duration.as_secs();
        let (requests, control) = (self.requests(), total.control);
        writeln!(f, "{requests} requests by {} in {seconds} s", plan.connections)?;
        writeln!(f, "and {control} of the control, of which {} broke", total.control_broken)?;
        writeln!(f, "asked: {:?}", total.kinds)?;
        writeln!(f, "statuses: {:?}", total.statuses)?;
        writeln!(f, "media: {:?}, and {} questions to the origin", total.sources, self.asked)?;
        let (revoked, flipped) = self.changes;
        writeln!(f, "revoked {revoked} tokens, hid or showed media {flipped} times")?;
        writeln!(f, "failed while the origin was in trouble: {}", total.excused)?;
        let (before, within) = self.left();
        writeln!(f, "left before the answer: {before}, in the middle of a body: {within}")?;
        let (count, broken) = (self.replaced(), total.replaced);
        writeln!(f, "replaced {count} isolates, which broke {broken} transfers")?;
        let [p50, p99, p100] = [50, 99, 100].map(|percent| total.percentile(percent));
        writeln!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, slowest {p100:.1} ms")?;
        for (name, looks) in NAMES.iter().zip(&self.looks) {
            writeln!(f, "{name} isolate: {looks}")?;
        }
        writeln!(f, "replaced isolates: {}", self.retired)?;
        if plan.is_limited {
            writeln!(f, "ended by the kernel for their memory: {}", self.kills)?;
        }
        if self.has_panicked {
            writeln!(f, "a Worker panicked")?;
        }
        writeln!(f, "wrong: {}", total.wrong_count)?;
        for wrong in total.wrong.iter().take(TOLD) {
            writeln!(f, "  {wrong}")?;
        }
        write!(f, "{}", if self.is_good() { "good" } else { "NOT good" })
    }
}
