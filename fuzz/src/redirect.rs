//! Redirects: what is followed leads where every reader of URLs takes it to, and nowhere unsafe.

use http::StatusCode;
use http::header::LOCATION;
use matrix_media_edge::message::target::{Fidelity, Target};
use matrix_media_edge::origin::{OriginHead, redirect};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::input::{headers, texts};
use crate::names;

/// The input's lines: the path that was asked, and `Location`.
pub(crate) fn target(input: &[u8]) {
    let Some([path, location]) = texts(input) else { return };
    let from = format!("https://origin.example.com/{path}");
    let head = OriginHead {
        status: StatusCode::TEMPORARY_REDIRECT,
        headers: headers(&[(LOCATION, location.as_bytes())]),
    };
    let Some(target) = redirect::target(&from, &head) else { return };
    let start = target.find("://").expect("a scheme") + "://".len();
    let end = target[start..].find(['/', '?', '#']).map_or(target.len(), |end| start + end);
    names::base_url(&target[..end]);
    // A host that isn't one, such as `1.2.3.4.5`, is for `fetch` to fail on.
    let Ok(read) = Url::parse(&target) else { return };
    let origin = Url::parse(&target[..end]).expect("a host").origin();
    assert_eq!(read.origin(), origin, "{target} is taken for {read}");
    assert!(read.username().is_empty() && read.password().is_none(), "{target}");
    assert!(read.scheme() == "https" || is_near(&read), "{target}");
    // Letters that no URL has are read in many ways.
    let is_url = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    // What is asked has no dots to be resolved, by which readers would come to another place.
    let is_asked = is_url(path) && Target::new(path).fidelity() != Fidelity::Changed;
    if let (true, Ok(from)) = (is_url(location) && is_asked, Url::parse(&from)) {
        let mut joined = from.join(location).expect("a URL");
        joined.set_fragment(None);
        // More is escaped than browsers do, and what is escaped stays so.
        let same = |url: &Url| percent_decode_str(url.as_str()).collect::<Vec<_>>();
        assert_eq!(same(&read), same(&joined), "{location}");
        if location
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&()*+,;=".contains(&b))
        {
            assert_eq!(read.query(), joined.query(), "{location}");
        }
    }
    is_resolved_once(&from, &target);
    leads_where_it_says(&target, &read);
}

/// A target is absolute, and so leads to itself wherever it is named.
fn is_resolved_once(from: &str, target: &str) {
    let head = OriginHead {
        status: StatusCode::FOUND,
        headers: headers(&[(LOCATION, target.as_bytes())]),
    };
    assert_eq!(redirect::target(from, &head).as_deref(), Some(target));
}

/// Nobody who reads it, and decodes it once or twice before, takes it for another path.
fn leads_where_it_says(target: &str, read: &Url) {
    let path = redirect::place(target).splitn(4, '/').nth(3).unwrap_or_default();
    assert!(!target.contains('#') && !path.contains('\\'), "{target}");
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    for path in [path.to_owned(), decode(path), decode(&decode(path))] {
        let mut segments = path.split(['/', '\\']);
        assert!(!segments.any(|segment| matches!(segment, "." | "..")), "{target}");
    }
    let same = |text: &str| percent_decode_str(text).collect::<Vec<_>>();
    assert_eq!(same(read.path().trim_start_matches('/')), same(path.trim_start_matches('/')));
}

fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
        Some(url::Host::Ipv6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback()
                || address.is_unique_local()
                || mapped.is_some_and(|v4| v4.is_loopback() || v4.is_private())
        }
        None => false,
    }
}
