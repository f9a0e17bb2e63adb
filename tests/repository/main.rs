//! What the repository says of itself: documents that cite tests, where all that it is built of comes
//! from, and what its shell may keep.

mod citations;
mod rooms;
mod shared;
mod supply;

use std::fs;
use std::path::{Path, PathBuf};

use test_support::ROOT;

/// A file, by its path from the root.
fn read(path: &str) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files under a folder, by their paths from the root.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| Path::new(folder).join(entry.expect("it is read").file_name()));
    let of = |path: PathBuf| {
        let is_folder = Path::new(ROOT).join(&path).is_dir();
        if is_folder { files(path.to_str().expect("names are text")) } else { vec![path] }
    };
    paths.flat_map(of).collect()
}
