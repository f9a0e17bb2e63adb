//! libFuzzer's door to the targets: the variable `TARGET` names the one to play.
#![no_main]

use std::env;
use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = env::var("TARGET").expect("TARGET names a target");
    fuzz::target(&name).expect("TARGET is one of the names in fuzz::TARGETS")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
