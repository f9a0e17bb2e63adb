//! The rooms of the source: a file imports from its own room and from those before it, no two files
//! import one another, and every file is in a room.
//!
//! The order of the rooms is that of the `mod` lines of `src/lib.rs`, and within the shell that of
//! `src/shell.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files, read};

/// The most files in one folder, its sub-folders' aside.
const MAX_FILES: usize = 9;

/// Source files by their module's path, such as `cache::entry`; the root's is empty.
type Sources = BTreeMap<String, String>;

/// The rooms of a module, in order: its `mod` lines.
fn rooms(face: &str) -> Vec<String> {
    let lines = face.lines().filter_map(|line| {
        let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    lines.map(str::to_owned).collect()
}

/// The code without comments, so that documentation may link anywhere.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that begin with `crate::`, those in braces written out.
fn paths(source: &str) -> BTreeSet<String> {
    let code = code(source);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let is_whole_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_whole_word {
            expand("", &code[at + "crate::".len()..], &mut found);
        }
    }
    found
}

/// Adds the paths that a text begins with to those found, and returns what follows them.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, found).trim_start();
            match rest.strip_prefix(',') {
                Some(next) if !next.trim_start().starts_with('}') => rest = next,
                Some(next) => return next.trim_start().strip_prefix('}').unwrap_or_default(),
                None => return rest.strip_prefix('}').unwrap_or_default(),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = match prefix {
        _ if name.is_empty() || name == "self" => prefix.to_owned(),
        "" => name.to_owned(),
        _ => format!("{prefix}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(rest) => expand(&path, rest, found),
        None => {
            found.insert(path);
            // A new name follows `as`.
            let alias = rest.trim_start().strip_prefix("as ").map(str::trim_start);
            alias.map_or(rest, |alias| alias.trim_start_matches(|c: char| c.is_alphanumeric()))
        }
    }
}

/// The module that a path leads into: the longest beginning of it that is one.
fn module<'a>(sources: &Sources, path: &'a str) -> &'a str {
    let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
    let beginnings: Vec<_> = ends.map(|end| &path[..end]).collect();
    beginnings.into_iter().rev().find(|name| sources.contains_key(*name)).unwrap_or_default()
}

/// The modules that a module imports from, its own beginnings and children among them.
fn imports<'a>(sources: &Sources, source: &str, kept: &'a mut BTreeSet<String>) -> Vec<&'a str> {
    *kept = paths(source).iter().map(|path| module(sources, path).to_owned()).collect();
    kept.iter().map(String::as_str).filter(|module| !module.is_empty()).collect()
}

/// The room of a module below `prefix`, and where in the order it is.
fn place(prefix: &str, order: &[String], module: &str) -> Option<usize> {
    let rest =
        if prefix.is_empty() { module } else { module.strip_prefix(prefix)?.strip_prefix("::")? };
    let room = rest.split("::").next()?;
    order.iter().position(|known| known == room)
}

/// What is wrong with the rooms below `prefix`, whose face is `face`.
fn faults(sources: &Sources, prefix: &str, face: &str) -> Vec<String> {
    let order = rooms(face);
    let mut faults = Vec::new();
    let is_below = |name: &str| {
        prefix.is_empty() || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("::"))
    };
    for (name, source) in sources.iter().filter(|(name, _)| !name.is_empty() && is_below(name)) {
        let Some(own) = place(prefix, &order, name) else {
            faults.push(format!("{name} is in no room"));
            continue;
        };
        let mut kept = BTreeSet::new();
        for other in imports(sources, source, &mut kept) {
            if place(prefix, &order, other).is_some_and(|place| place > own) {
                faults.push(format!("{name} imports from {other}, a later room"));
            }
        }
    }
    faults
}

/// Whether one of two modules is the face of the other, or of a folder that the other is in.
fn are_face_and_child(a: &str, b: &str) -> bool {
    let is_in = |child: &str, face: &str| {
        child.strip_prefix(face).is_some_and(|rest| rest.starts_with("::"))
    };
    a == b || is_in(a, b) || is_in(b, a)
}

/// Modules that import one another, by way of others or not. A face and its children are one idea.
fn cycles(sources: &Sources) -> Vec<String> {
    let mut reached: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, source) in sources {
        let mut kept = BTreeSet::new();
        let others = imports(sources, source, &mut kept).into_iter();
        let others = others.filter(|other| !are_face_and_child(name, other)).map(str::to_owned);
        reached.insert(name, others.collect());
    }
    loop {
        let more: Vec<(&str, BTreeSet<String>)> = reached
            .iter()
            .map(|(name, others)| {
                let further =
                    others.iter().filter_map(|other| reached.get(other.as_str())).flatten();
                (*name, others.iter().chain(further).cloned().collect())
            })
            .collect();
        let is_done = more.iter().all(|(name, others)| reached[name].len() == others.len());
        reached.extend(more);
        if is_done {
            break;
        }
    }
    let of_a_cycle = reached.iter().filter(|(name, others)| others.contains(**name));
    of_a_cycle.map(|(name, _)| format!("{name} imports itself by way of others")).collect()
}

/// Folders with too many files.
fn crowds(sources: &Sources) -> Vec<String> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for name in sources.keys() {
        if let Some((folder, _)) = name.rsplit_once("::") {
            *folders.entry(folder).or_default() += 1;
        }
    }
    let crowded = folders.iter().filter(|(_, count)| **count > MAX_FILES);
    crowded.map(|(folder, count)| format!("{folder} has {count} files")).collect()
}

fn all_faults(sources: &Sources) -> Vec<String> {
    let mut found = faults(sources, "", &sources[""]);
    if let Some(shell) = sources.get("shell") {
        found.extend(faults(sources, "shell", shell));
    }
    found.extend(cycles(sources));
    found.extend(crowds(sources));
    found
}

fn sources() -> Sources {
    let paths = files("src").into_iter();
    let rust = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let path = path.to_str().expect("names are text");
        let name = path.trim_start_matches("src/").trim_end_matches(".rs").replace('/', "::");
        (if name == "lib" { String::new() } else { name }, read(path))
    })
    .collect()
}

#[test]
fn the_rooms_import_one_way() {
    let found = all_faults(&sources());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns what is found where `text` is added to the file of `module`.
fn faults_with(module: &str, text: &str) -> Vec<String> {
    let mut sources = sources();
    sources.entry(module.to_owned()).or_default().push_str(text);
    all_faults(&sources)
}

#[test]
fn a_backward_import_is_found() {
    for (module, text, fault) in [
        (
            "headers::range",
            "\nuse crate::cache::key::CacheKey;\n",
            "headers::range imports from cache::key, a later room",
        ),
        (
            "cache::tier",
            "\nuse crate::{config::Config, lease::{self, Leases}};\n",
            "cache::tier imports from lease, a later room",
        ),
        (
            "route",
            "\nfn f() -> crate::shell::runtime::log::Level {}\n",
            "route imports from shell::runtime::log, a later room",
        ),
        (
            "shell::store::pop",
            "\nuse crate::shell::endpoint::download;\n",
            "shell::store::pop imports from shell::endpoint::download, a later room",
        ),
    ] {
        let found = faults_with(module, text);
        assert!(found.iter().any(|found| found == fault), "{found:?}");
    }
}

#[test]
fn a_cycle_within_a_room_is_found() {
    let found = faults_with("cache::key", "\nuse crate::cache::entry::StoredMeta;\n");
    assert!(found.contains(&"cache::key imports itself by way of others".to_owned()), "{found:?}");
}

#[test]
fn a_file_in_no_room_is_found() {
    assert_eq!(faults_with("helpers", ""), ["helpers is in no room"]);
    assert_eq!(faults_with("shell::helpers", ""), ["shell::helpers is in no room"]);
}

#[test]
fn a_comment_imports_nothing() {
    assert!(faults_with("headers::range", "\n/// See [`crate::shell`].\n").is_empty());
}
