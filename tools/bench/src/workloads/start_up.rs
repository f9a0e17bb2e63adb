//! How long it takes from the start of workerd to the first answer of a Worker.

use test_support::http::Request;

use crate::contenders::{Id, OURS, Workerd, our_vars};
use crate::scene::timed_ms;

/// A preflight is answered by both without anyone else.
pub(crate) fn start_up_ms(id: Id, folder: &str) -> f64 {
    // Where nobody listens.
    let origin = "http://127.0.0.1:9";
    let (worker, vars) = match id {
        Id::BareWorker => ("tools/bench/workers/bare", vec![("ORIGIN", origin)]),
        _ => (OURS, our_vars(origin, "localhost", "0").to_vec()),
    };
    let folder = format!("{folder}/start-up");
    let mut workerd = None;
    timed_ms(|| {
        let started = workerd.insert(Workerd::start(&folder, worker, &vars, None));
        let target = "/_matrix/client/v1/media/download/localhost/a";
        let preflight = Request::new("OPTIONS", target)
            .header("Host", &started.address)
            .header("Origin", "https://app.example.org")
            .header("Access-Control-Request-Method", "GET");
        assert_eq!(preflight.send(&started.address).status, 204);
    })
}
