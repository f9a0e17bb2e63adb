//! Credentials: a token is what stood in the one place where it may, and is told to nobody.

use http::header::AUTHORIZATION;
use matrix_media_edge::admin::{Viewer, authorize, viewer};
use matrix_media_edge::endpoint::upload::limit_key;
use matrix_media_edge::matrix::access_token::{AccessToken, TokenDigest};
use matrix_media_edge::matrix::credential::Credential;
use matrix_media_edge::message::RequestHead;

use crate::input::{CONFIG, config, get, headers, is_plain, lines};

/// The input's lines: `Authorization`, and the target.
pub(crate) fn target(input: &[u8]) {
    let [authorization, target] = lines(input);
    let Ok(target) = std::str::from_utf8(target) else { return };
    let head = get(target, headers(&[(AUTHORIZATION, authorization)]));
    let credential = Credential::of(&head);
    let in_header = head.headers.get(AUTHORIZATION);
    let pairs = head.target.query().pairs();
    let in_query: Vec<_> =
        pairs.filter(|(name, _)| name == "access_token").map(|(_, token)| token).collect();
    assert_eq!(credential == Credential::Missing, in_header.is_none() && in_query.is_empty());
    match (&credential, in_header, in_query.as_slice()) {
        (Credential::Bearer(token), Some(header), []) => {
            assert_eq!(token.to_header().as_bytes(), header.as_bytes());
        }
        (Credential::Bearer(token), None, [shown]) => {
            assert_eq!(token.as_bytes(), shown.as_bytes());
        }
        (Credential::Bearer(_), ..) => panic!("more than one place"),
        (Credential::Missing | Credential::Unusual, ..) => {}
    }
    assert_eq!(limit_key(&head, &CONFIG).is_some(), matches!(credential, Credential::Bearer(_)));
    if let Credential::Bearer(token) = &credential {
        is_told_to_nobody(token, &head);
        opens_only_with_all_of_it(token, &head);
    }
}

fn is_told_to_nobody(token: &AccessToken, head: &RequestHead) {
    assert_eq!(format!("{:?}", Credential::of(head)), "Bearer(AccessToken(…))");
    assert!(is_plain(&token.to_header()));
    let digest = TokenDigest::new(b"key", token);
    let is_hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    assert!(digest.as_str().len() == 64 && digest.as_str().bytes().all(is_hexadecimal));
    assert_ne!(TokenDigest::new(b"another key", token), digest);
    let text = String::from_utf8_lossy(token.as_bytes());
    // Shorter ones may be part of any name.
    let key = limit_key(head, &CONFIG).expect("a token has a name").to_string();
    assert!(text.len() < 20 || !key.contains(&*text), "{key}");
}

fn opens_only_with_all_of_it(token: &AccessToken, head: &RequestHead) {
    let text = String::from_utf8_lossy(token.as_bytes()).into_owned();
    assert!(token.is(token));
    let longer = AccessToken::parse(&format!("{text}x")).expect("a token");
    assert!(!token.is(&longer) && !longer.is(token));
    assert_eq!(viewer(head, &CONFIG), Viewer::Public, "there is nothing to open");
    if text.len() >= 16 {
        let is_shown = head.headers.contains_key(AUTHORIZATION);
        let opens = |admin: &str| authorize(head, &config(&[("ADMIN_TOKEN", admin)])).is_ok();
        assert_eq!(opens(&text), is_shown, "in a header alone");
        assert!(!opens(&format!("{text}x")));
    }
}
