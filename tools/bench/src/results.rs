//! What a run leaves behind: its measurements as JSON, and the report about them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use test_support::ROOT;

use crate::about::About;
use crate::report::{document, plots};
use crate::sample::Sample;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) about: About,
    pub(crate) samples: Vec<Sample>,
}

/// Where results lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In the repository's documentation.
    Docs,
    /// Among what is built: of a run that is too short or too narrow to be published.
    Target,
}

impl Place {
    fn folder(self) -> PathBuf {
        Path::new(ROOT).join(match self {
            Self::Docs => "docs",
            Self::Target => "target/bench",
        })
    }

    /// Reads what an earlier run has measured.
    pub(crate) fn read(self) -> Results {
        let path = self.folder().join("benchmarks/results.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes the measurements and the report, and tells where the report is.
    pub(crate) fn write(self, results: &Results) -> PathBuf {
        let folder = self.folder();
        let details = folder.join("benchmarks");
        fs::create_dir_all(&details).expect("the folder can't be made");
        let json = serde_json::to_string_pretty(results).expect("all of it can be written");
        write(&details.join("results.json"), &(json + "\n"));
        for (name, svg) in plots(results) {
            write(&details.join(name), &svg);
        }
        let report = folder.join("benchmarks.md");
        write(&report, &document(results));
        report.canonicalize().expect("it has just been written")
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
