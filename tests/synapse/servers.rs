//! Synapse as the tests start it, and the edges in front of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::synapse::Synapse;

use crate::ask::MEDIA_AUTHORITY;

pub(crate) const SERVER_NAME: &str = "localhost";

/// Starts one with these users; `options` are those of `scripts/synapse`.
pub(crate) fn start_synapse(server_name: &str, users: &[&str], options: &[&str]) -> Synapse {
    Synapse::start(env!("CARGO_TARGET_TMPDIR"), server_name, users, options)
}

/// A Worker of its own in front of this homeserver, with these variables added.
pub(crate) fn start_edge(synapse: &Synapse, vars: &[(&str, &str)]) -> Edge {
    start_edge_as(synapse, Layout::default(), vars)
}

/// The same, reached by TLS at this port.
pub(crate) fn start_tls_edge(synapse: &Synapse, port: u16) -> Edge {
    start_edge_as(synapse, Layout { tls_port: Some(port), ..Layout::default() }, &[])
}

/// The same in another layout.
pub(crate) fn start_edge_as(synapse: &Synapse, layout: Layout, more: &[(&str, &str)]) -> Edge {
    let homeserver = format!("http://{}", synapse.address);
    let media = format!("https://{MEDIA_AUTHORITY}");
    let vars = [
        ("HOMESERVER_URL", homeserver.as_str()),
        ("SERVER_NAME", &synapse.server_name),
        ("MEDIA_URL", &media),
        ("WELL_KNOWN_URL", &homeserver),
    ];
    Edge::start_as(layout, &[&vars, more].concat())
}

/// Runs `action` and tells by how much the edge's workerd grew meanwhile, at the most.
pub(crate) fn growth_bytes_while<T>(edge: &Edge, action: impl FnOnce() -> T) -> (u64, T) {
    let before = edge.workerd_resident_bytes();
    let is_done = AtomicBool::new(false);
    scope(|scope| {
        let observer = scope.spawn(|| {
            let mut peak = before;
            while !is_done.load(Ordering::Relaxed) {
                peak = peak.max(edge.workerd_resident_bytes());
                sleep(Duration::from_millis(10));
            }
            peak
        });
        let result = action();
        is_done.store(true, Ordering::Relaxed);
        (observer.join().expect("the observer panicked") - before, result)
    })
}
