//! Our policy is enforced whatever else comes with media: the homeserver's stands beside it, and what
//! a redirect led to has none.

use test_support::assertions::assert_matrix_error;
use test_support::http::Answer;

use super::{DOORS, members};
use crate::support::origin::{Origin, Reply, Then};
use crate::support::world::{
    BODY, World, download, download_path, media_domain, shared, tier, wait_for_tier,
};

/// One that allows everything.
const WEAK: &str = "default-src * 'unsafe-inline'";

/// Answers that allow everything, and no other site to show them.
fn weak(status: u16) -> Reply {
    super::media(status)
        .header("Content-Security-Policy", WEAK)
        .header("X-Content-Type-Options", "none")
        .header("Cross-Origin-Resource-Policy", "same-origin")
}

/// An error of the homeserver's under a weak policy.
fn weak_error(status: u16) -> Reply {
    let error = r#"{"errcode":"M_UNKNOWN","error":"<script>1</script>"}"#;
    weak(status).header("Content-Type", "application/json").body(error)
}

/// Active content under a weak policy, for all but one.
fn serve_weakly(origin: &Origin, path: &str) {
    origin.on(path, |call| {
        let header = |name| call.head.headers.get(name);
        if header("authorization") == Some("Bearer syt_nobody") {
            return call.reply(&weak_error(401));
        }
        let is_known = header("if-none-match") == Some("1");
        let reply = weak(if is_known { 304 } else { 200 }).header("ETag", "1");
        call.reply(&reply.header("Content-Type", "text/html").body(BODY))
    });
}

fn is_ours(policy: &str) -> bool {
    ["sandbox;", "default-src 'none'", "script-src 'none'", "media-src 'self'"]
        .iter()
        .all(|part| policy.contains(part))
}

/// Claims our policy, with the weak one beside it or alone.
#[track_caller]
fn assert_guarded(answer: &Answer, is_beside: bool, what: &str) {
    let policies = members(answer, "content-security-policy");
    let own = policies.iter().filter(|policy| is_ours(policy)).count();
    let weak = policies.iter().filter(|policy| **policy == WEAK).count();
    let expected = (1, usize::from(is_beside), 1 + usize::from(is_beside));
    assert_eq!((own, weak, policies.len()), expected, "{what}: {policies:?}");
    assert_eq!(members(answer, "x-content-type-options"), ["nosniff"], "{what}");
    assert_eq!(members(answer, "cross-origin-resource-policy"), ["cross-origin"], "{what}");
}

/// A media with a weak policy at both doors.
fn weak_media(world: &World, id: &str) {
    for door in DOORS {
        serve_weakly(&world.origin, &door.download(id));
    }
}

#[test]
fn a_whole_body_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    for door in DOORS {
        let id = format!("weakWhole{door:?}");
        weak_media(world, &id);
        let request = door.get(world, &door.download(&id));
        let miss = request.send(&world.edge.address);
        assert_eq!((miss.status, tier(&miss)), (200, ""));
        assert_guarded(&miss, true, "a miss");
        world.store_by(&door.download(&id), || request.send(&world.edge.address));
        let hit = request.send(&world.edge.address);
        assert_eq!(hit.status, 200);
        assert_guarded(&hit, true, "a hit");
    }
}

#[test]
fn a_range_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    for door in DOORS {
        let id = format!("weakPart{door:?}");
        weak_media(world, &id);
        let request = door.get(world, &door.download(&id));
        world.store_by(&door.download(&id), || request.send(&world.edge.address));
        let part = request.header("Range", "bytes=0-9").send(&world.edge.address);
        assert_eq!(part.status, 206);
        assert_guarded(&part, true, "a part");
    }
}

#[test]
fn a_304_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    for door in DOORS {
        let id = format!("weakKnown{door:?}");
        weak_media(world, &id);
        let request = door.get(world, &door.download(&id)).header("If-None-Match", "*");
        for _ in 0..2 {
            let known = request.send(&world.edge.address);
            assert_eq!(known.status, 304);
            assert_guarded(&known, true, "a 304");
        }
    }
}

#[test]
fn an_error_of_the_homeservers_has_the_edges_policy_and_its_own() {
    let world = shared();
    for door in DOORS {
        for status in [400, 401, 403, 404, 410, 429, 451, 500, 502, 503, 504] {
            let path = door.download(&format!("weakError{status}"));
            world.origin.reply(&path, weak_error(status));
            let answer = door.get(world, &path).send(&world.edge.address);
            assert_eq!(answer.status, status);
            assert_guarded(&answer, true, &format!("{status} at {door:?}"));
        }
    }
}

#[test]
fn a_refusal_of_stored_media_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    weak_media(world, "weakRefused");
    world.store("weakRefused");
    let answer = download("weakRefused", "syt_nobody").send(&world.edge.address);
    assert_eq!(answer.status, 401);
    assert_guarded(&answer, true, "a stranger");
}

#[test]
fn an_error_of_the_edge_has_the_edges_policy() {
    let world = shared();
    for door in DOORS {
        let path = door.download("weakReset");
        world.origin.on(&path, |call| {
            call.receive()?;
            Ok(Then::Reset)
        });
        let answer = door.get(world, &path).send(&world.edge.address);
        assert_matrix_error(&answer, 502, "M_UNKNOWN");
        assert_guarded(&answer, false, &format!("502 at {door:?}"));
    }
}

#[test]
fn media_without_a_policy_gets_the_edges_alone() {
    let world = shared();
    let reply = super::media(200).header("ETag", "1").header("Content-Type", "video/mp4");
    world.origin.reply(&download_path("noPolicy"), reply.body(BODY));
    let answer = download("noPolicy", &world.token()).send(&world.edge.address);
    assert_eq!(answer.status, 200);
    assert_guarded(&answer, false, "none of the homeserver's");
}

#[test]
fn a_forwarded_endpoint_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    for path in [
        "/_matrix/client/v1/media/preview_url/weak",
        "/_matrix/media/v3/preview_url/weak",
        "/_matrix/client/unstable/org.matrix.msc3916/media/download/example.com/weak",
        "/_matrix/media/v3/weak",
    ] {
        let page = weak(200).header("Content-Type", "text/html").body("<script>1</script>");
        for (status, reply) in [(200, page), (404, weak_error(404))] {
            world.origin.reply(path, reply);
            let answer = media_domain("GET", path).bearer(&world.token());
            let answer = answer.send(&world.edge.address);
            assert_eq!(answer.status, status);
            assert_guarded(&answer, true, &format!("{status} of {path}"));
        }
    }
}

#[test]
fn an_answer_to_an_upload_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    let target = "/_matrix/media/v3/upload?filename=weak";
    let page = weak(200).header("Content-Type", "text/html").body("<script>1</script>");
    for (status, reply) in [(200, page), (403, weak_error(403))] {
        world.origin.reply(target, reply);
        let answer = media_domain("POST", target).bearer(&world.token()).body(BODY);
        let answer = answer.send(&world.edge.address);
        assert_eq!(answer.status, status);
        assert_guarded(&answer, true, &format!("{status} to an upload"));
    }
}

#[test]
fn an_unusual_query_has_the_edges_policy_and_the_homeservers() {
    let world = shared();
    for door in DOORS {
        let target = format!("{}?x=y", door.download("weakUnusual"));
        let page = weak(200).header("Content-Type", "text/html").body("<script>1</script>");
        world.origin.reply(&target, page);
        let answer = door.get(world, &target).send(&world.edge.address);
        assert_eq!(answer.status, 200);
        assert_guarded(&answer, true, &format!("{door:?}"));
    }
}

/// A store of blobs whose answer allows everything, and a homeserver that redirects to it.
fn redirected(world: &World, id: &str, content_type: &str) -> Origin {
    let store = Origin::start();
    let blob = weak(200)
        .header("ETag", "\"blob\"")
        .header("Content-Type", content_type)
        .header("X-Content-Security-Policy", "allow *")
        .header("Referrer-Policy", "unsafe-url");
    store.reply("/blob", blob.body(BODY));
    let redirect = Reply::new(307).header("Location", format!("{}/blob", store.url()));
    for door in DOORS {
        world.origin.reply(&door.download(id), redirect.clone());
    }
    store
}

/// Claims the body that a redirect led to, and no policy of its own.
#[track_caller]
fn assert_without_theirs(answer: &Answer, what: &str) {
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{what}: {}", answer.text());
    assert_guarded(answer, false, what);
    let theirs = ["x-content-security-policy", "referrer-policy"].map(|name| answer.header(name));
    assert!(!theirs.contains(&Some("allow *")) && !theirs.contains(&Some("unsafe-url")), "{what}");
}

#[test]
fn media_from_a_redirect_brings_no_policy_of_its_own() {
    let world = shared();
    for door in DOORS {
        for content_type in ["text/html", "image/svg+xml"] {
            let id = format!("weakRedirected{door:?}{}", content_type.len());
            let _store = redirected(world, &id, content_type);
            let answer = door.get(world, &door.download(&id)).send(&world.edge.address);
            assert_without_theirs(&answer, content_type);
        }
    }
}

#[test]
fn stored_media_from_a_redirect_is_served_without_its_own_policy() {
    let world = shared();
    let _store = redirected(world, "weakStored", "image/svg+xml");
    let request = download("weakStored", &world.token());
    let answer = wait_for_tier("memory", &request, &world.edge.address);
    assert_without_theirs(&answer, "from memory");
}

#[test]
fn a_redirect_that_is_passed_on_has_the_edges_policy_and_the_homeservers() {
    let world = World::start_with(&[("ORIGIN_REDIRECTS", "pass")]);
    let redirect = weak(307).header("Location", "https://blobs.example/blob");
    world.origin.reply(&download_path("weakPassed"), redirect);
    let answer = download("weakPassed", &world.token()).send(&world.edge.address);
    assert_eq!(answer.status, 307);
    assert_guarded(&answer, true, "a redirect");
}
