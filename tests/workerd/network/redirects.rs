//! Redirects come from what stands before the homeserver as well: they are followed to hosts that
//! the admin has named, and nowhere else.

use test_support::assertions::assert_matrix_error;

use super::start_with;
use crate::support::origin::{Origin, Reply};
use crate::support::world::{BODY, download, download_path, media_domain};

const REDIRECT: u16 = 307;

/// Names no host that there is.
const OTHERS: (&str, &str) = ("ORIGIN_REDIRECT_HOSTS", "cdn.example.org");

fn redirect_to(url: &str) -> Reply {
    Reply::new(REDIRECT).header("Location", url)
}

fn file() -> Reply {
    Reply::new(200)
        .header("Content-Type", "image/png")
        .header("Content-Disposition", "inline")
        .body(BODY)
}

#[test]
fn a_redirect_to_an_unlisted_host_is_an_error_with_its_fix() {
    let world = start_with(&[OTHERS]);
    let elsewhere = Origin::start();
    let id = world.media();
    let url = format!("{}/file", elsewhere.url());
    world.origin.reply(&download_path(&id), redirect_to(&url));
    elsewhere.reply("/file", file());
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    assert!(answer.text().contains("ORIGIN_REDIRECT_HOSTS"), "{}", answer.text());
    assert!(elsewhere.records().is_empty(), "it was asked");
    world.edge.wait_for_log(&elsewhere.address);
}

#[test]
fn a_redirect_to_a_named_host_is_followed_and_its_body_stored() {
    let world = start_with(&[]);
    let elsewhere = Origin::start();
    let id = world.media();
    let url = format!("{}/file", elsewhere.url());
    world.origin.reply(&download_path(&id), redirect_to(&url));
    elsewhere.reply("/file", file());
    world.store(&id);
    let fetched = elsewhere.asked("/file").len();
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY));
    assert_eq!(elsewhere.asked("/file").len(), fetched, "the redirect is permission enough");
}

#[test]
fn a_redirect_on_the_homeserver_itself_carries_its_secrets_and_no_credential() {
    let secret = ("ORIGIN_HEADERS", r#"{"CF-Access-Client-Id":"the-tunnel"}"#);
    let world = start_with(&[secret, OTHERS]);
    let id = world.media();
    let path = "/_matrix/media/signed/file";
    let to = format!("{}{path}", world.origin.url());
    world.origin.reply(&download_path(&id), redirect_to(&to));
    world.origin.reply(path, file());
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!((answer.status, &answer.body[..]), (200, BODY), "{}", answer.text());
    let asked = world.origin.asked_once(path);
    assert_eq!(asked.header("cf-access-client-id"), Some("the-tunnel"));
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn a_client_that_can_follow_redirects_gets_those_that_the_edge_may_not_follow() {
    let world = start_with(&[]);
    let id = world.media();
    let url = "https://cdn.example.com/file?signed";
    world.origin.reply(&download_path(&id), redirect_to(url));
    let target = format!("{}?allow_redirect=true", download_path(&id));
    let answer = media_domain("GET", target).bearer(&world.token()).send(&world.edge.address);
    assert_eq!((answer.status, answer.header("location")), (REDIRECT, Some(url)));
}

#[test]
fn a_redirect_to_a_login_is_not_relayed() {
    let world = start_with(&[]);
    let id = world.media();
    world.edge.proxy.on(&id, "login");
    let target = format!("{}?allow_redirect=true", download_path(&id));
    let answer = media_domain("GET", target).bearer(&world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
}

#[test]
fn a_page_where_a_redirect_leads_replaces_no_file() {
    let world = start_with(&[]);
    let elsewhere = Origin::start();
    let id = world.stored_media();
    let page = Reply::new(200).header("Content-Type", "text/html").body("<h1>Sold</h1>");
    elsewhere.reply("/page", page);
    world.origin.reply(&download_path(&id), redirect_to(&format!("{}/page", elsewhere.url())));
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_matrix_error(&answer, 502, "M_UNKNOWN");
    world.origin.on(&download_path(&id), |call| call.reply_by_default());
    world.origin.forget(&download_path(&id));
    let answer = download(&id, &world.token()).send(&world.edge.address);
    assert_eq!(answer.body, BODY);
    assert_eq!(world.origin.asked_once(&download_path(&id)).answered_bytes, 0);
}
