//! Scripts that drive a browser and print what they saw.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

/// Returns Node.js as the project uses it, to which a script and its arguments are to be added.
pub fn node() -> Command {
    Command::new(Path::new(ROOT).join("scripts/node"))
}

/// Runs a script of `tests/browser`, which prints JSON.
///
/// # Panics
/// When it fails, or prints something else.
pub fn tell(script: &str, arguments: &[&str]) -> Value {
    let mut command = node();
    command.arg(format!("tests/browser/{script}")).args(arguments);
    told_by(script, command)
}

/// Runs a program in the repository's root, which prints JSON.
///
/// # Panics
/// When it fails, or prints something else.
pub fn told_by(name: &str, mut command: Command) -> Value {
    let output = command.current_dir(ROOT).output();
    let output = output.unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {errors}");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{name}: {told}");
    serde_json::from_str(&told).unwrap_or_else(|_| panic!("{name} prints no JSON: {told}"))
}
