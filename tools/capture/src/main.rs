//! Records some 300 exchanges with the built Worker in workerd: what is sent and answered, what the
//! origin is asked meanwhile, and what the Worker logs. Unchanged behaviour gives the same bytes in
//! every run, so a `diff` of two records shows what a change has changed.
//!
//! `origin` is a scripted homeserver, `worlds` puts a Worker with some variables before it, and
//! `scenarios` are what is asked there, one exchange after the other. `record` formats what came of
//! it, and masks what differs from run to run: clocks, and the ports of this machine.

mod origin;
mod record;
mod scenarios;
mod worlds;

use std::cell::RefCell;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::record::Record;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let file = match &arguments[..] {
        [] => None,
        [file] if !file.starts_with('-') => Some(file),
        _ => {
            eprintln!("capture [<file>]");
            return ExitCode::from(2);
        }
    };
    // Whether it can be written is found out first, since the rest takes most of a minute.
    let mut output: Box<dyn Write> = match file.map(|file| create(file)) {
        None => Box::new(io::stdout()),
        Some(Ok(created)) => Box::new(created),
        Some(Err(error)) => return fail(&error),
    };
    let record = RefCell::default();
    scenarios::play_all(&record);
    let record: Record = record.into_inner();
    eprintln!("{} exchanges", record.exchanges());
    match output.write_all(record.text().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn create(file: &str) -> io::Result<File> {
    if let Some(folder) = Path::new(file).parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(file)
}

fn fail(error: &io::Error) -> ExitCode {
    eprintln!("the record can't be written: {error}");
    ExitCode::FAILURE
}
