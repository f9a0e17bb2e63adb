//! `docs/reliability.md`, written from the table.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use test_support::ROOT;

use super::situation::Situation;
use super::store_table::{BUCKET_ROWS, CACHE_ROWS, CLOUDFLARE_CACHE_ROWS, Kind};
use super::table::{Cell, Cells, GROUPS, Gets, Group, Kept, PAGES};

const BEGINNING: &str = include_str!("reliability.md");

/// Set, it has the page written instead of compared.
const WRITE: &str = "WRITE_RELIABILITY";

fn page() -> String {
    let mut page = BEGINNING.to_owned();
    for group in GROUPS {
        write_group(&mut page, group, "The origin…");
    }
    write_group(&mut page, &PAGES, "Cloudflare…");
    for (title, test, rows) in [
        ("The data centre's cache", "a_cache_that_fails", CACHE_ROWS),
        ("The bucket", "a_bucket_that_fails", BUCKET_ROWS),
        (
            "Cache and bucket as Cloudflare's can behave",
            "a_cache_and_a_bucket_as_cloudflares_can_be",
            CLOUDFLARE_CACHE_ROWS,
        ),
    ] {
        let heads = Kind::ALL.map(Kind::as_str).join(" | ");
        let _ = write!(page, "\n## {title}\n\nShown by `faults::stores::{test}`.\n\n");
        let _ = writeln!(page, "| Where… | {heads} |\n|---|---|---|---|");
        for row in rows {
            let _ = writeln!(page, "| {} | {} |", row.words, row.cells.map(describe).join(" | "));
        }
    }
    page
}

fn write_group(page: &mut String, group: &Group, subject: &str) {
    let heads = Situation::ALL.map(Situation::as_str).join(" | ");
    let _ = write!(page, "\n## {}\n\n", group.title);
    let _ = writeln!(page, "Shown by `{}`.\n", group.test);
    let _ = writeln!(page, "| {subject} | {heads} |\n|---|{}", "---|".repeat(10));
    for row in group.rows {
        let fault = row.fault.as_str();
        let _ = writeln!(page, "| {fault} | {} |", describe_all(row.cells));
    }
}

fn describe_all(cells: Cells) -> String {
    cells.map(|cell| cell.map_or_else(|| "–".to_owned(), describe)).join(" | ")
}

fn describe(cell: Cell) -> String {
    let gets = match cell.gets {
        Gets::Right => "complete".to_owned(),
        Gets::Error(status) => status.to_string(),
        Gets::Broken => "aborted".to_owned(),
        Gets::Shortened => "truncated".to_owned(),
        Gets::Beginning => "partial".to_owned(),
    };
    match cell.kept {
        Kept::Nothing => gets,
        Kept::Right => format!("{gets} ●"),
        Kept::Either => format!("{gets} ○"),
    }
}

#[test]
fn the_page_matches_the_table() {
    let path = PathBuf::from(ROOT).join("docs/reliability.md");
    if env::var_os(WRITE).is_some() {
        fs::write(&path, page()).expect("it can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/reliability.md is not what the table says: run `{WRITE}=1 cargo test --test workerd the_page`"
    );
}
