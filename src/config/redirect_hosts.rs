//! `ORIGIN_REDIRECT_HOSTS`: where the homeserver's redirects of media may lead besides itself.

use crate::config::base_url::BaseUrl;

/// Hosts that redirects may lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectHosts(Vec<HostPattern>);

/// One host, or all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Host(String),
    /// What their names end in, with the dot before it.
    Below(String),
}

impl RedirectHosts {
    /// Parses host names separated by blanks. `*.` as the first label stands for any labels.
    ///
    /// # Errors
    /// A sentence for the admin, without the variable's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text.split_ascii_whitespace().map(HostPattern::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether a redirect may lead to `host` (lower case, without a port).
    pub fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            HostPattern::Host(name) => name == host,
            HostPattern::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        })
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let base = BaseUrl::parse(&format!("https://{name}"))
            .ok()
            .filter(|_| !name.contains(['/', ':']))
            .ok_or("must be host names, separated by blanks, without https:// and ports")?;
        let host = base.host().to_owned();
        if !is_wildcard {
            return Ok(Self::Host(host));
        }
        // Whole top-level domains are anyone's.
        if host.contains('.') {
            Ok(Self::Below(format!(".{host}")))
        } else {
            Err("must have at least two labels behind *.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_one_by_one() {
        let hosts = RedirectHosts::parse(" cdn.Example.com  media.example.org ").unwrap();
        assert!(hosts.contains("cdn.example.com") && hosts.contains("media.example.org"));
        for host in ["example.com", "a.cdn.example.com", "cdn.example.com.evil.test", ""] {
            assert!(!hosts.contains(host), "{host}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_all_hosts_below_and_not_for_the_host_itself() {
        let hosts = RedirectHosts::parse("*.r2.example.com").unwrap();
        assert!(hosts.contains("a.r2.example.com") && hosts.contains("a.b.r2.example.com"));
        for host in ["r2.example.com", ".r2.example.com", "ar2.example.com", "a.r2.example.com.x"] {
            assert!(!hosts.contains(host), "{host}");
        }
    }

    #[test]
    fn malformed_host_names_are_refused() {
        for text in [
            "https://cdn.example.com",
            "cdn.example.com:443",
            "cdn.example.com/x",
            "*",
            "*.",
            "*.com",
            "a.*.example.com",
            "8.8.8.8",
            "cdn.example.com,other.example.com",
        ] {
            assert!(RedirectHosts::parse(text).is_err(), "{text}");
        }
        assert_eq!(RedirectHosts::parse(""), Ok(RedirectHosts::default()));
    }
}
