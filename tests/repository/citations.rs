//! Documents that cite tests, so that a reader finds what holds a promise.

use std::collections::BTreeSet;

use crate::{files, read};

const DOCUMENTS: [&str; 5] = [
    "docs/compatibility.md",
    "docs/conformance.md",
    "docs/platform.md",
    "docs/reliability.md",
    "docs/security.md",
];

/// Where tests are.
const FOLDERS: [&str; 3] = ["src", "tests", "tools"];

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let sources = FOLDERS.iter().flat_map(|folder| files(folder));
    let sources = sources.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let text = |path: std::path::PathBuf| read(path.to_str().expect("names are text"));
    let mut names = BTreeSet::new();
    for text in sources.map(text) {
        for behind in text.split("#[test]").skip(1) {
            let name = behind.split("fn ").nth(1).and_then(|name| name.split('(').next());
            names.extend(name.map(str::to_owned));
        }
    }
    names
}

/// The names of tests in a document: what is in code, and has three underscores or more.
fn cited(document: &str) -> Vec<&str> {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b':';
    let in_code = document.split('`').skip(1).step_by(2);
    let words = in_code.filter(|word| !word.is_empty() && word.bytes().all(is_word));
    let names = words.map(|word| word.rsplit("::").next().unwrap_or(word));
    names.filter(|name| name.matches('_').count() >= 3).collect()
}

#[test]
fn every_test_that_a_document_cites_exists() {
    let tests = tests();
    for document in DOCUMENTS {
        let text = read(document);
        let missing: Vec<_> =
            cited(&text).into_iter().filter(|name| !tests.contains(*name)).collect();
        assert!(missing.is_empty(), "{document} cites tests that don't exist: {missing:#?}");
    }
}

#[test]
fn a_citation_is_distinguished_from_other_code() {
    let document = "`a_test_of_mine`, `module::another_test_of_mine` and `LEASE_SECONDS`, \
                    `access_token`, `make test`, a_bare_name_here";
    assert_eq!(cited(document), ["a_test_of_mine", "another_test_of_mine"]);
    assert!(tests().contains("a_citation_is_distinguished_from_other_code"));
    assert!(cited(&read("docs/security.md")).len() > 50);
}

/// The tests that run in both profiles: their names, and why.
fn plain() -> Vec<(String, String)> {
    let list = read("tests/workerd/plain.txt");
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, reason) = line.split_once(" # ").expect("a name and a reason");
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}

#[test]
fn every_test_of_the_plain_profile_exists_and_has_a_reason() {
    let tests = tests();
    let listed = plain();
    assert!(listed.len() > 10);
    for (name, reason) in listed {
        let last = name.rsplit("::").next().unwrap_or(&name).to_owned();
        let room = format!("tests/workerd/{}.rs", name.replace("::", "/"));
        let is_room = std::path::Path::new(test_support::ROOT).join(room).exists();
        assert!(tests.contains(&last) || is_room, "there is no test {name}");
        assert!(reason.len() > 10, "{name} has no reason");
    }
}
