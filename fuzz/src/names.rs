//! Server names, mxc URIs and base URLs: what is accepted has the stated form, and is what other
//! readers take it for.

use matrix_media_edge::cache::key::Subject;
use matrix_media_edge::config::base_url::BaseUrl;
use matrix_media_edge::matrix::ids::{MediaId, Mxc, ServerName};
use matrix_media_edge::matrix::media::Representation;
use url::Url;

use crate::input::{CONFIG, key, texts};

/// The input's lines: a base URL, and two mxc URIs.
pub(crate) fn target(input: &[u8]) {
    let Some([base, uri, other]) = texts(input) else { return };
    base_url(base);
    if let Some(name) = ServerName::parse(base) {
        server_name(&name);
    }
    let Some(mxc) = Mxc::parse(uri) else { return };
    assert_eq!(format!("mxc://{}/{}", mxc.server_name, mxc.media_id.as_str()), uri);
    server_name(&mxc.server_name);
    media_id(&mxc.media_id);
    let key_of = |mxc: &Mxc| key(Subject::Media(mxc, Representation::Content));
    let text = key_of(&mxc).url(&CONFIG.media);
    assert_eq!(Url::parse(&text).expect("a URL").as_str(), text, "a store finds it again");
    if let Some(other) = Mxc::parse(other) {
        assert_eq!(key_of(&mxc) == key_of(&other), mxc == other, "no two media share a name");
    }
}

/// <https://spec.matrix.org/v1.15/appendices/#server-name>
fn server_name(name: &ServerName) {
    let text = name.as_str();
    assert!(text.starts_with(name.host()));
    let port = &text[name.host().len()..];
    let is_port =
        |port: &str| (1..=5).contains(&port.len()) && port.chars().all(|c| c.is_ascii_digit());
    assert!(port.is_empty() || port.strip_prefix(':').is_some_and(is_port), "{text}");
    let is_address =
        |host: &str| host.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.');
    match name.host().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => assert!((2..=45).contains(&address.len()) && is_address(address)),
        None => {
            let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            assert!((1..=255).contains(&name.host().len()) && name.host().chars().all(is_letter));
        }
    }
    assert!(ServerName::parse(text).is_some_and(|again| again == *name));
}

fn media_id(id: &MediaId) {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(!id.as_str().is_empty() && id.as_str().chars().all(is_letter));
}

/// A base URL is what it is for any reader of URLs.
pub(crate) fn base_url(text: &str) {
    let Ok(base) = BaseUrl::parse(text) else { return };
    let written = base.to_string();
    assert_eq!(BaseUrl::parse(&written).as_ref(), Ok(&base), "it is read back");
    assert!(base.is_at(base.authority()) && base.host_and_port().starts_with(base.authority()));
    // A host that isn't one, such as `1.2.3.4.5`, is for `fetch` to fail on.
    let Ok(url) = Url::parse(text) else { return };
    assert_eq!(url.scheme() == "https", base.is_https());
    assert!(url.username().is_empty() && url.password().is_none() && url.path() == "/");
    let port = base.host_and_port().rsplit_once(':').map(|(_, port)| port.to_owned());
    assert_eq!(port.and_then(|port| port.parse().ok()), url.port_or_known_default(), "{text}");
    let host = base.host_and_port();
    assert_eq!(host.rsplit_once(':').map(|(host, _)| host), url.host_str(), "{text}");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let authority = format!("{}{port}", url.host_str().unwrap_or_default());
    assert_eq!(base.authority(), authority, "a request's host is known again");
}
