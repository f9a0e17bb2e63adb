//! Whether the configured addresses fit one another, and whether the origin's stays unknown to clients.

use super::{Check, Finding};
use crate::config::Config;
use crate::config::base_url::BaseUrl;
use crate::matrix::well_known::Document;

const HIDDEN_MEDIA: &str = "Set MEDIA_URL to PUBLIC_URL, or to a domain for media alone: clients are \
     sent there, and the edge can't be called at the address at which it reaches the homeserver.";

/// Evaluates whether the variables fit one another.
pub(super) fn evaluate_addresses(config: &Config) -> Finding {
    let check = Check::Configuration;
    if config.has_own_origin() && config.media.host() == config.homeserver.host() {
        return Finding::error(check, "MEDIA_URL has the host of HOMESERVER_URL.", HIDDEN_MEDIA);
    }
    Finding::ok(check, "All variables can be used.")
}

/// Returns whether a document sends everyone to the origin, which clients know by another host.
pub(super) fn is_publishing(document: Document, text: &str, config: &Config) -> bool {
    let named = named(document, text);
    config.has_own_origin() && named.is_some_and(|url| url.host() == config.homeserver.host())
}

/// Returns the homeserver's address in a document; `None` where it names none that can be read.
fn named(document: Document, text: &str) -> Option<BaseUrl> {
    let homeserver = document.homeserver(text)?;
    match document {
        Document::Client => BaseUrl::parse(&homeserver).ok(),
        Document::Server => BaseUrl::parse(&format!("https://{homeserver}")).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Level;
    use crate::config::tests::config;

    const PUBLIC: (&str, &str) = ("PUBLIC_URL", "https://matrix.example.com");

    #[test]
    fn a_media_domain_at_the_origins_host_is_bad_where_clients_know_another() {
        let evaluated = |vars: &[(&'static str, &str)]| evaluate_addresses(&config(vars).unwrap());
        let at_origin = ("MEDIA_URL", "https://origin.example.com");
        let finding = evaluated(&[PUBLIC, at_origin]);
        assert_eq!(finding.level, Level::Error);
        assert!(finding.cure.is_some_and(|cure| cure.starts_with("Set MEDIA_URL to PUBLIC_URL")));
        let at_public = ("MEDIA_URL", "https://matrix.example.com");
        for vars in [&[at_origin][..], &[PUBLIC, at_public], &[PUBLIC], &[]] {
            assert_eq!(evaluated(vars).level, Level::Ok, "{vars:?}");
        }
    }

    #[test]
    fn a_document_that_names_the_origin_publishes_it() {
        let is_published = |vars: &[(&'static str, &str)], document, text| {
            is_publishing(document, text, &config(vars).unwrap())
        };
        let client = r#"{"m.homeserver":{"base_url":"https://Origin.example.com/"}}"#;
        let server = r#"{"m.server":"origin.example.com:8448"}"#;
        assert!(is_published(&[PUBLIC], Document::Client, client));
        assert!(is_published(&[PUBLIC], Document::Server, server));
        assert!(!is_published(&[], Document::Client, client), "it is what clients are to use");
        for text in [
            "{}",
            r#"{"m.homeserver":{"base_url":"https://matrix.example.com"}}"#,
            r#"{"m.homeserver":"https://origin.example.com"}"#,
        ] {
            assert!(!is_published(&[PUBLIC], Document::Client, text), "{text}");
        }
    }
}
