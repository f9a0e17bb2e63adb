//! The base URLs that an admin configures: a scheme, a host and maybe a port, nothing behind them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::matrix::ids::{is_host, is_port, split_port};

/// Where a server answers: `https://host[:port]`, or `http://` where no foreign wire is crossed.
///
/// A path is refused: federation requests sign theirs, so it can't be prefixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    is_https: bool,
    /// Lower-case host with its port unless that is the scheme's own: as a `Host` header has it.
    authority: String,
}

impl BaseUrl {
    /// Reads a base URL; the error is a sentence for the admin, without the variable's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_https, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err("must start with https://");
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("must be a scheme and a host only, without a path");
        }
        const NO_HOST: &str = "must name a host, with a port if it is not the usual one";
        let (host, port) = split_port(authority);
        let host = normal_host(host).ok_or(NO_HOST)?;
        let port = match port {
            Some(port) if is_port(port) => Some(port.parse::<u16>().map_err(|_| NO_HOST)?),
            Some(_) => return Err(NO_HOST),
            None => None,
        };
        if is_public_address(&host) {
            return Err(
                "must have a name for a host: Cloudflare fetches no IP address (error 1003)",
            );
        }
        if !is_https && !is_near(&host) {
            return Err("must be https (http is for loopback and private addresses only)");
        }
        let default_port = if is_https { 443 } else { 80 };
        let authority = match port {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self { is_https, authority })
    }

    /// Returns the host, with its port unless that is the scheme's own: as a `Host` header has it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the host without its port, in lower case.
    pub fn host(&self) -> &str {
        split_port(&self.authority).0
    }

    /// Returns the host, always with its port, as MSC3859 and `m.server` have it.
    pub fn host_and_port(&self) -> String {
        match split_port(&self.authority) {
            (_, Some(_)) => self.authority.clone(),
            (host, None) => format!("{host}:{}", if self.is_https { 443 } else { 80 }),
        }
    }

    /// Returns whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns whether `authority`, taken from a request's URL, is this host: on any port, unless
    /// this URL names one, and with the dot of the root or without.
    pub fn is_at(&self, authority: &str) -> bool {
        let (host, port) = split_port(authority);
        let (own_host, own_port) = split_port(&self.authority);
        host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(own_host)
            && (own_port.is_none() || own_port == port)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Returns a host as URL parsers write it (WHATWG URL §3.5): lower case, an IPv6 address in its
/// shortest form. `None` for what is no host, and for numbers that a parser would take for another
/// address than they spell: requests for such a host could not be told from it.
fn normal_host(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address
            .parse::<Ipv6Addr>()
            .ok()
            .map(|address| format!("[{}]", hex_groups(address)));
    }
    let last = host.rsplit('.').next()?;
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_readable = !is_number || host.parse::<Ipv4Addr>().is_ok();
    (is_host(&host) && is_readable).then_some(host)
}

/// Writes an address as URL parsers do, which know no dotted quad at the end of one.
fn hex_groups(address: Ipv6Addr) -> String {
    let text = address.to_string();
    let Some((groups, quad)) = text.rsplit_once(':').filter(|(_, last)| last.contains('.')) else {
        return text;
    };
    let Ok(quad) = quad.parse::<Ipv4Addr>() else { return text };
    let [a, b, c, d] = quad.octets().map(u16::from);
    format!("{groups}:{:x}:{:x}", a << 8 | b, c << 8 | d)
}

/// Returns whether a host is on this machine or in a private network, where plain http is no risk.
fn is_near(host: &str) -> bool {
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => is_near_v4(address),
        Ok(IpAddr::V6(address)) => is_near_v6(address),
        Err(_) => false,
    }
}

/// Returns whether a host is an IP address that is not near: the platform refuses to fetch from it.
fn is_public_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() && !is_near(host)
}

fn is_near_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private()
}

fn is_near_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unique_local()
        || address.to_ipv4_mapped().is_some_and(is_near_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_ports_and_case_are_normalized() {
        let url = BaseUrl::parse("https://Matrix.Example.com:443/").unwrap();
        assert_eq!(url.to_string(), "https://matrix.example.com");
        assert!(url.is_at("MATRIX.example.com"));
        assert_eq!(url.host_and_port(), "matrix.example.com:443");
    }

    #[test]
    fn other_ports_are_part_of_the_authority() {
        let url = BaseUrl::parse("http://127.0.0.1:8008").unwrap();
        assert!(url.is_at("127.0.0.1:8008"));
        assert!(!url.is_at("127.0.0.1"));
        assert_eq!(url.host_and_port(), "127.0.0.1:8008");
    }

    #[test]
    fn a_host_is_recognized_on_every_port_and_with_a_trailing_dot() {
        let url = BaseUrl::parse("https://media.example.com").unwrap();
        for authority in [
            "media.example.com.",
            "media.example.com:443",
            "media.example.com:8443",
            "MEDIA.example.com.:80",
        ] {
            assert!(url.is_at(authority), "{authority}");
        }
        for authority in
            ["example.com", "xmedia.example.com", "media.example.com..", "media.example.com.evil"]
        {
            assert!(!url.is_at(authority), "{authority}");
        }
        let url = BaseUrl::parse("https://[::1]").unwrap();
        assert!(url.is_at("[::1]:443") && !url.is_at("[::2]"));
    }

    #[test]
    fn http_is_for_loopback_and_private_addresses() {
        for url in [
            "http://localhost:1",
            "http://10.0.0.1",
            "http://192.168.1.1",
            "http://[::1]:8008",
            "http://[fd00::1]",
        ] {
            assert!(BaseUrl::parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.com",
            "http://8.8.8.8",
            "http://10.example.com",
            "http://[2001:db8::1]",
        ] {
            assert!(BaseUrl::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_host_is_normalized_from_every_spelling() {
        for (text, authority) in [
            ("https://media.example.com:0443", "media.example.com"),
            ("https://media.example.com:08443", "media.example.com:8443"),
            ("https://[FD00:DB8:0:0:0:0:0:1]", "[fd00:db8::1]"),
            ("https://[0:0:0:0:0:0:0:1]:443", "[::1]"),
            ("https://[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().authority(), authority, "{text}");
        }
    }

    #[test]
    fn public_addresses_are_refused() {
        for url in ["https://8.8.8.8", "https://[2001:db8::1]:8448", "http://1.1.1.1"] {
            assert!(BaseUrl::parse(url).is_err_and(|problem| problem.contains("1003")), "{url}");
        }
    }

    #[test]
    fn numbers_that_name_another_address_are_refused() {
        for url in ["https://127.1", "https://0x7f.0.0.1", "https://1.2.3.0x4", "https://010.0.0.1"]
        {
            assert!(BaseUrl::parse(url).is_err(), "{url}");
        }
        assert!(BaseUrl::parse("https://10.0.0.1").is_ok());
    }

    #[test]
    fn urls_with_more_than_scheme_host_and_port_are_refused() {
        for url in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://u@a",
            "https://a:99999",
            "https://a b",
        ] {
            assert!(BaseUrl::parse(url).is_err(), "{url}");
        }
    }
}
