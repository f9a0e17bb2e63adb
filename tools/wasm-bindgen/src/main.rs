//! `wasm-bindgen`, the command-line tool. The lock file that its crate ships can't be relied on (see
//! `docs/decisions.md`): what it is built of is locked here instead.

use std::env::args_os;
use std::process::ExitCode;

use wasm_bindgen_cli::wasm_bindgen::run_cli_with_args;

fn main() -> ExitCode {
    match run_cli_with_args(args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
