//! Which host is whose: the homeserver's two addresses, the media domain, and the documents' host.

use std::borrow::Cow;

use super::Config;
use crate::matrix::ids::split_port;
use crate::matrix::well_known::Document;
use crate::message::target::{SplitUrl, split_url};

/// Below which paths homeservers have media, signed links to it included.
const MEDIA_PATHS: [&str; 2] = ["/_matrix/", "/_synapse/media/"];

impl Config {
    /// Returns whether clients know the homeserver by another host than the edge reaches it at.
    pub fn has_own_origin(&self) -> bool {
        self.public.host() != self.homeserver.host()
    }

    /// Returns whether a redirect of media to this absolute URL is followed: to the homeserver's own
    /// host, by either of its names, or to one that the admin has named.
    pub fn admits_redirect(&self, url: &str) -> bool {
        let Some(SplitUrl { authority, .. }) = split_url(url) else { return false };
        let (host, _) = split_port(authority);
        let host = host.to_ascii_lowercase();
        self.is_of_homeserver(authority) || self.origin_redirect_hosts.contains(&host)
    }

    /// Returns where the edge asks for an absolute URL that the homeserver redirects to: what is at
    /// `PUBLIC_URL` is asked of `HOMESERVER_URL`. At its public address the request would meet the
    /// edge again, or go past it without `ORIGIN_HEADERS`.
    pub fn origin_url<'a>(&self, url: &'a str) -> Cow<'a, str> {
        match split_url(url) {
            Some(SplitUrl { authority, target, .. })
                if authority.eq_ignore_ascii_case(self.public.authority()) =>
            {
                Cow::Owned(format!("{}{}", self.homeserver, target.as_str()))
            }
            _ => Cow::Borrowed(url),
        }
    }

    /// Returns the `PUBLIC_URL` form of an absolute URL on the host of `HOMESERVER_URL`, in whatever
    /// spelling; `None` for any other URL, and where both hosts are one.
    pub fn public_url(&self, url: &str) -> Option<String> {
        let SplitUrl { authority, target, .. } = split_url(url)?;
        let is_hidden = self.has_own_origin() && self.homeserver.is_at(authority);
        is_hidden.then(|| format!("{}{}", self.public, target.as_str()))
    }

    /// Returns whether a request for media that was redirected to this absolute URL is for the
    /// homeserver, and so gets `ORIGIN_HEADERS`: on its own scheme, host and port (RFC 6454 §4),
    /// and where it has media. Other paths of that host may be anything, and a redirect may lead to
    /// any of them.
    pub fn is_homeservers_media(&self, url: &str) -> bool {
        let target = self.homeserver_target(url);
        target.is_some_and(|target| MEDIA_PATHS.iter().any(|path| target.starts_with(path)))
    }

    /// Returns whether a request for a well-known document that was redirected to this absolute URL is for
    /// the homeserver: for exactly one of its own documents.
    pub fn is_homeservers_document(&self, url: &str) -> bool {
        let paths = [Document::Client, Document::Server].map(Document::path);
        self.homeserver_target(url).is_some_and(|target| paths.contains(&target))
    }

    /// Returns path and query of an absolute URL on the homeserver's own scheme, host and port; `None`
    /// for any other.
    fn homeserver_target<'a>(&self, url: &'a str) -> Option<&'a str> {
        url.strip_prefix(&self.homeserver.to_string()).filter(|target| target.starts_with('/'))
    }

    /// Returns whether the well-known documents are looked for at `authority`: the host of the
    /// server name, or that of `WELL_KNOWN_URL`.
    pub fn has_documents_at(&self, authority: &str) -> bool {
        let (host, _) = split_port(authority);
        self.well_known.is_at(authority) || host.eq_ignore_ascii_case(self.server_name.host())
    }

    /// Returns whether requests to `authority` are for media alone.
    ///
    /// A media URL on the homeserver's own host names no such domain: the rest of that host is the
    /// homeserver's, and a route that is too broad must not break it.
    pub fn is_media_domain(&self, authority: &str) -> bool {
        self.media.is_at(authority)
            && !self.is_of_homeserver(authority)
            && !self.is_of_homeserver(self.media.authority())
    }

    /// Returns whether `authority` is the homeserver's, by either of its names.
    fn is_of_homeserver(&self, authority: &str) -> bool {
        [&self.homeserver, &self.public]
            .iter()
            .any(|base| authority.eq_ignore_ascii_case(base.authority()))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::config;

    /// A homeserver that clients know by another name than the edge.
    const PUBLIC: (&str, &str) = ("PUBLIC_URL", "https://matrix.example.com");

    #[test]
    fn the_homeservers_own_host_is_never_media_only() {
        let shared = config(&[("MEDIA_URL", "https://origin.example.com")]).unwrap();
        assert!(!shared.is_media_domain("origin.example.com"));
        assert!(config(&[]).unwrap().is_media_domain("media.example.com"));
    }

    #[test]
    fn the_public_host_is_never_media_only() {
        let media = ("MEDIA_URL", "https://matrix.example.com");
        assert!(config(&[media]).unwrap().is_media_domain("matrix.example.com"));
        assert!(!config(&[media, PUBLIC]).unwrap().is_media_domain("matrix.example.com"));
        assert!(config(&[PUBLIC]).unwrap().is_media_domain("media.example.com"));
    }

    #[test]
    fn an_origin_is_a_homeservers_own_where_clients_know_another_host() {
        let has_own_origin = |url| config(&[("PUBLIC_URL", url)]).unwrap().has_own_origin();
        assert!(has_own_origin("https://matrix.example.com"));
        for url in ["", "https://origin.example.com", "https://origin.example.com:8448"] {
            assert!(!has_own_origin(url), "{url}");
        }
    }

    #[test]
    fn urls_at_the_public_address_are_asked_of_the_origin() {
        let config = config(&[PUBLIC]).unwrap();
        for (url, expected) in [
            ("https://matrix.example.com/a?b", "https://origin.example.com/a?b"),
            ("https://MATRIX.example.com", "https://origin.example.com/"),
            ("https://matrix.example.com.evil.test/a", "https://matrix.example.com.evil.test/a"),
            ("https://matrix.example.com:8448/a", "https://matrix.example.com:8448/a"),
            (
                "https://cdn.example.com/https://matrix.example.com/",
                "https://cdn.example.com/https://matrix.example.com/",
            ),
        ] {
            assert_eq!(config.origin_url(url), expected);
        }
    }

    #[test]
    fn redirects_to_either_address_of_the_homeserver_are_followed() {
        let config = config(&[PUBLIC]).unwrap();
        assert!(config.admits_redirect("https://matrix.example.com/a"));
        assert!(config.admits_redirect("https://origin.example.com/a"));
        assert!(!config.admits_redirect("https://media.example.com/a"));
    }

    #[test]
    fn the_homeservers_secrets_are_for_its_media_alone() {
        let config = config(&[PUBLIC]).unwrap();
        for url in [
            "https://origin.example.com/_matrix/media/signed?a=b",
            "https://origin.example.com/_synapse/media/a",
        ] {
            assert!(config.is_homeservers_media(url), "{url}");
            assert!(!config.is_homeservers_document(url), "{url}");
        }
        for url in [
            "https://origin.example.com",
            "https://origin.example.com/_matrix",
            "https://origin.example.com/_synapse/admin/v1/users",
            "https://origin.example.com/_synapse/metrics?/_matrix/",
            "https://origin.example.com/x/_matrix/media",
            "https://origin.example.com?/_matrix/",
            "https://origin.example.com:8448/_matrix/media",
            "http://origin.example.com/_matrix/media",
            "https://origin.example.com.evil.test/_matrix/media",
            "https://matrix.example.com/_matrix/media",
        ] {
            assert!(!config.is_homeservers_media(url), "{url}");
        }
    }

    #[test]
    fn the_homeservers_secrets_are_for_its_documents_to_the_byte() {
        let config = config(&[]).unwrap();
        let base = "https://origin.example.com/.well-known/matrix";
        assert!(config.is_homeservers_document(&format!("{base}/client")));
        assert!(config.is_homeservers_document(&format!("{base}/server")));
        for path in ["/support", "/client/", "/client?a", "/", "/client/../server"] {
            assert!(!config.is_homeservers_document(&format!("{base}{path}")), "{path}");
        }
    }

    #[test]
    fn the_origins_address_becomes_the_public_one_in_any_spelling() {
        let told = |extra: &[(&'static str, &str)], url| config(extra).unwrap().public_url(url);
        for url in [
            "https://origin.example.com/a?b",
            "http://origin.example.com/a?b",
            "https://ORIGIN.example.com.:8448/a?b",
        ] {
            assert_eq!(
                told(&[PUBLIC], url).as_deref(),
                Some("https://matrix.example.com/a?b"),
                "{url}"
            );
            assert_eq!(told(&[], url), None, "there is no other");
        }
        for url in ["/a?b", "https://cdn.example.com/a", "https://origin.example.com.evil.test/a"] {
            assert_eq!(told(&[PUBLIC], url), None, "{url}");
        }
    }
}
