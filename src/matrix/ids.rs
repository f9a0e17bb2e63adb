//! Matrix identifiers, each a type that cannot be wrong.
//!
//! Grammar: <https://spec.matrix.org/v1.15/appendices/#server-name> and
//! <https://spec.matrix.org/v1.15/client-server-api/#matrix-content-mxc-uris>.

use std::fmt;
use std::net::Ipv6Addr;

/// Longest accepted media ID, in bytes. The specification names no limit; Synapse's are 24 bytes,
/// and 255 is what a file system takes for one name.
const MAX_MEDIA_ID_BYTES: usize = 255;

/// Longest accepted host name, in bytes (`dns-name` in the server name grammar).
const MAX_DNS_NAME_BYTES: usize = 255;

/// A server name: `hostname[:port]`. Case-sensitive, never normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(String);

impl ServerName {
    /// Parses a server name. Returns `None` if it does not follow the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split_port(text);
        let port_is_valid = port.is_none_or(is_port);
        (port_is_valid && is_host(host)).then(|| Self(text.to_owned()))
    }

    /// Returns the name without its port.
    pub fn host(&self) -> &str {
        split_port(&self.0).0
    }

    /// Returns the name without its port, in lower case and an IPv6 address in its shortest form:
    /// one for all spellings of a server's name.
    pub fn canonical_host(&self) -> String {
        let host = self.host();
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match address.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
            Some(address) => format!("[{address}]"),
            None => host.to_ascii_lowercase(),
        }
    }

    /// Returns whether another name is of this host: in another spelling, or with another port.
    pub fn is_of_host(&self, other: &Self) -> bool {
        self.canonical_host() == other.canonical_host()
    }

    /// Returns the name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A media ID: `[A-Za-z0-9_-]+`, opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaId(String);

impl MediaId {
    /// Parses a media ID. Returns `None` if it does not follow the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = (1..=MAX_MEDIA_ID_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        is_valid.then(|| Self(text.to_owned()))
    }

    /// Returns the ID as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an mxc URI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mxc {
    /// The server that the media was uploaded to.
    pub server_name: ServerName,
    /// The media on that server.
    pub media_id: MediaId,
}

impl Mxc {
    /// Reads an mxc URI: `mxc://<server-name>/<media-id>`.
    pub fn parse(uri: &str) -> Option<Self> {
        let (server_name, media_id) = uri.strip_prefix("mxc://")?.split_once('/')?;
        let server_name = ServerName::parse(server_name)?;
        Some(Self { server_name, media_id: MediaId::parse(media_id)? })
    }
}

/// Splits `host[:port]`, minding the colons of an IPv6 literal.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    let after_host = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text[after_host..].find(':') {
        Some(colon) => (&text[..after_host + colon], Some(&text[after_host + colon + 1..])),
        None => (text, None),
    }
}

/// Returns whether `port` is one to five digits.
pub(crate) fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
}

/// Returns whether `host` is a DNS name, an IPv4 address or a bracketed IPv6 address.
pub(crate) fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    (1..=MAX_DNS_NAME_BYTES).contains(&host.len())
        && host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_of_the_grammar_are_accepted() {
        for name in [
            "example.org",
            "example.org:8448",
            "1.2.3.4",
            "1.2.3.4:1",
            "[::1]",
            "[1234:5678::abcd]:5678",
            "a",
        ] {
            assert!(ServerName::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn server_names_outside_the_grammar_are_refused() {
        for name in [
            "",
            ":80",
            "a:",
            "a:123456",
            "a:8o",
            "bad_server",
            "a..b",
            "a.",
            "[::1",
            "[x]",
            "a/b",
            "é.org",
            "a:1:2",
        ] {
            assert!(ServerName::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn host_of_a_server_name_has_no_port() {
        assert_eq!(ServerName::parse("[::1]:8448").unwrap().host(), "[::1]");
        assert_eq!(ServerName::parse("[::]:8448").unwrap().host(), "[::]");
        assert_eq!(ServerName::parse("example.org:8448").unwrap().host(), "example.org");
    }

    #[test]
    fn all_spellings_of_a_host_have_one_canonical_form() {
        let host = |name: &str| ServerName::parse(name).unwrap().canonical_host();
        assert_eq!(host("Example.org:1"), host("example.org"));
        assert_eq!(host("[2001:DB8:0:0:0:0:0:1]:1"), host("[2001:db8::1]"));
        assert_eq!(host("[::ffff:1.2.3.4]"), host("[0:0:0:0:0:ffff:102:304]"));
        assert_ne!(host("[::1]"), host("[::2]"));
    }

    #[test]
    fn media_ids_are_url_safe_base64_letters() {
        assert!(MediaId::parse("aZ09_-").is_some());
        for id in ["", ".", "..", "a/b", "a%2Fb", "é", "a b", "a\0"] {
            assert!(MediaId::parse(id).is_none(), "{id:?}");
        }
        assert!(MediaId::parse(&"x".repeat(256)).is_none());
    }
}
