//! What the requests of an isolate share: no promise, and nothing else that belongs to one of them.

use crate::{files, read};

/// Types of the runtime that belong to the request in which they were made.
const OF_A_REQUEST: [&str; 8] = [
    "Promise",
    "JsFuture",
    "Function",
    "Closure",
    "Request",
    "Response",
    "ReadableStream",
    "WritableStream",
];

/// What is in the blocks of `thread_local!` at the beginning of lines.
fn statics(source: &str) -> String {
    let blocks = source.split("\nthread_local! {\n").skip(1);
    blocks.filter_map(|behind| behind.split("\n}\n").next()).collect::<Vec<_>>().join("\n")
}

/// Which of the types a piece of code names.
fn of_a_request(code: &str) -> Vec<&'static str> {
    let words: Vec<_> = code.split(|c: char| !c.is_alphanumeric()).collect();
    OF_A_REQUEST.into_iter().filter(|name| words.contains(name)).collect()
}

#[test]
fn statics_hold_nothing_of_one_request() {
    for path in files("src/shell") {
        let path = path.to_str().expect("names are text");
        let kept = of_a_request(&statics(&read(path)));
        assert!(kept.is_empty(), "{path} keeps what belongs to one request: {kept:?}");
    }
}

/// What a promise that never settles keeps in memory, and with it all that waits for it.
const KEPT_BY_A_PROMISE: [&str; 2] = ["JsFuture", "future_to_promise"];

#[test]
fn every_wait_can_be_dropped() {
    for path in files("src/shell") {
        let path = path.to_str().expect("names are text");
        let source = read(path);
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        let kept = code.filter(|line| KEPT_BY_A_PROMISE.iter().any(|name| line.contains(name)));
        assert_eq!(kept.collect::<Vec<_>>(), Vec::<&str>::new(), "{path}: see runtime/settling.rs");
    }
}

#[test]
fn a_shared_promise_would_be_noticed() {
    let source = "\nthread_local! {\n    static FILLS: RefCell<Vec<Promise>> = x();\n}\nResponse";
    assert_eq!(of_a_request(&statics(source)), ["Promise"]);
    assert!(statics(&read("src/shell/store/coalescing.rs")).contains("static FILLS"));
}
