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

/// Runs a program in the repository's root, which prints JSON, and prints that for the test.
///
/// # Panics
/// When it fails, or prints something else.
pub fn told_by(name: &str, command: Command) -> Value {
    let told = json_of(name, command).unwrap_or_else(|problem| panic!("{problem}"));
    println!("{name}: {told}");
    told
}

/// Runs a program in the repository's root, and returns the JSON that it prints.
///
/// # Errors
/// What is wrong, when it fails or prints something else.
pub(crate) fn json_of(name: &str, mut command: Command) -> Result<Value, String> {
    let output = command.current_dir(ROOT).output();
    let output = output.map_err(|error| format!("{name} can't be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let told = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&told).map_err(|_| format!("{name} prints no JSON: {told}"))
}
