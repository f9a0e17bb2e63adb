//! What Cloudflare's network changes in questions and answers on their way, and what must hold in
//! spite of it.

mod pages;
mod redirects;
mod transforms;
mod validators;

use std::sync::LazyLock;

use test_support::assertions::assert_matrix_error;
use test_support::edge::Layout;
use test_support::http::Answer;
use test_support::profile::Profile;

use crate::support::world::World;

/// Behind Cloudflare's proxy, whatever the other tests run behind.
fn start_with(vars: &[(&str, &str)]) -> World {
    World::start_as(Layout { profile: Some(Profile::Cloudflare), ..Layout::default() }, vars)
}

/// Behind it, for all tests that touch no media, token or path of others.
fn proxied() -> &'static World {
    static PROXIED: LazyLock<World> = LazyLock::new(|| start_with(&[]));
    &PROXIED
}

/// Likewise, with leases that outlast every test.
fn proxied_with_leases() -> &'static World {
    static PROXIED: LazyLock<World> = LazyLock::new(|| start_with(&[("LEASE_SECONDS", "600")]));
    &PROXIED
}

/// Claims an error of the edge's own, which any web client can read and no cache keeps.
#[track_caller]
fn assert_unavailable(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_matrix_error(answer, status, "M_UNKNOWN");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{what}");
    assert_eq!(answer.header("set-cookie"), None, "{what}");
}
