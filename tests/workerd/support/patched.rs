//! Copies of the built Worker whose runtime isn't what it should be: faults that no request, origin
//! or binding can bring about.

use std::fs;
use std::path::PathBuf;

use test_support::ROOT;

/// A folder with the Worker, in whose JavaScript a function stands for what wasm imports under a
/// name that begins so. The bundle has it as `name:function(e){return …}`.
pub(crate) fn worker(folder: &str, import: &str, function: &str, appendix: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).expect("a folder");
    let build = PathBuf::from(ROOT).join("build");
    fs::copy(build.join("index_bg.wasm"), folder.join("index_bg.wasm")).expect("it is built");
    let glue = fs::read_to_string(build.join("index.js")).expect("it is built");
    let (before, after) = glue.split_once(import).expect("the Worker imports this");
    let (name, after) = after.split_once(":function(").expect("it is a function");
    let (_, after) = after.split_once("},").expect("it ends");
    let glue = format!("{before}{import}{name}:{function},{after}{appendix}");
    fs::write(folder.join("index.js"), glue).expect("a file");
    folder
}
