//! What the runtime is told to be: wherever the Worker runs, as `wrangler.toml` deploys it.

use crate::read;

/// What stands between the first `begin` and the next `end`.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, behind) = text.split_once(begin).unwrap_or_else(|| panic!("{begin} is missing"));
    behind.split_once(end).unwrap_or_else(|| panic!("{begin} has no end")).0
}

/// The members of a list of texts, in whatever quotes.
fn members(list: &str) -> Vec<&str> {
    list.split(',').map(|member| member.trim().trim_matches(['"', '\''])).collect()
}

#[test]
fn tests_and_benchmarks_run_the_worker_as_it_is_deployed() {
    let deployed = read("wrangler.toml");
    let date = between(&deployed, "\ncompatibility_date = \"", "\"");
    let flags = members(between(&deployed, "\ncompatibility_flags = [", "]"));
    assert_eq!(flags, ["enable_request_signal"]);
    let tested = read("tests/support/edge.mjs");
    assert_eq!(between(&tested, "\nconst COMPATIBILITY_DATE = '", "'"), date);
    assert_eq!(members(between(&tested, "\nconst COMPATIBILITY_FLAGS = [", "]")), flags);
    let measured = read("tools/bench/src/contenders/workerd.rs");
    assert_eq!(between(&measured, "compatibilityDate = \"", "\""), date);
    assert_eq!(members(between(&measured, "compatibilityFlags = [", "]")), flags);
}
