//! `make load`: prints what came of it, and fails where any answer was wrong, or where an isolate
//! held too much or more and more.

use std::process::ExitCode;
use std::time::Duration;

use load::{Plan, run};

const SECONDS_BETWEEN_TROUBLES: u64 = 30;

/// As on the platform.
const BACKGROUND: Duration = Duration::from_secs(30);

/// The new one takes seconds of a machine that is busy.
const REPLACEMENT: Duration = Duration::from_secs(15);

const LOOK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_real = arguments.next_if(|argument| argument == "synapse").is_some();
    let is_limited = arguments.next_if(|argument| argument == "limit").is_some();
    let arguments: Option<Vec<u64>> = arguments.map(|argument| argument.parse().ok()).collect();
    let (connections, seconds) = match arguments.as_deref() {
        Some(&[connections, seconds]) => (connections, seconds),
        Some([]) => (200, 300),
        _ => {
            eprintln!("load [synapse] [limit] [<connections> <seconds>]");
            return ExitCode::from(2);
        }
    };
    let report = run(Plan {
        is_real,
        is_limited,
        connections: usize::try_from(connections).unwrap_or(usize::MAX),
        duration: Duration::from_secs(seconds),
        troubles: u32::try_from(seconds / SECONDS_BETWEEN_TROUBLES).unwrap_or(u32::MAX).max(2),
        outage: Duration::from_secs(5),
        background: BACKGROUND,
        replacement: REPLACEMENT,
        look: LOOK,
    });
    match report {
        Ok(report) => {
            println!("{report}");
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("load: {problem}");
            ExitCode::FAILURE
        }
    }
}
