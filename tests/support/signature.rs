//! X-Matrix: what another homeserver's request for media is signed with.
//!
//! Synapse checks signatures in its own name with its own key and asks no network, so one
//! homeserver is enough: its signing key signs requests from itself to itself.
//! <https://spec.matrix.org/v1.15/server-server-api/#request-authentication>

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ed25519_dalek::{Signer, SigningKey};

/// A homeserver's signing key.
#[derive(Debug)]
pub struct ServerKey {
    id: String,
    key: SigningKey,
}

impl ServerKey {
    /// Reads Synapse's signing key: `ed25519 <version> <seed>`.
    ///
    /// # Panics
    /// When there is none.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the signing key can't be read");
        let words: Vec<&str> = text.split_whitespace().collect();
        let [algorithm, version, seed] = words[..] else { panic!("not a signing key: {text:?}") };
        let seed = BASE64.decode(seed).expect("the seed is base64");
        let seed = seed.try_into().expect("the seed has 32 bytes");
        Self { id: format!("{algorithm}:{version}"), key: SigningKey::from_bytes(&seed) }
    }

    /// Returns the Authorization header of a request for `uri`: method, path and query are signed, raw.
    #[must_use]
    pub fn authorization(&self, method: &str, uri: &str, server_name: &str) -> String {
        let [method, uri, server] = [method, uri, server_name].map(|s| serde_json::json!(s));
        let canonical = format!(
            r#"{{"destination":{server},"method":{method},"origin":{server},"uri":{uri}}}"#
        );
        let signature = BASE64.encode(self.key.sign(canonical.as_bytes()).to_bytes());
        format!(
            r#"X-Matrix origin="{server_name}",destination="{server_name}",key="{}",sig="{signature}""#,
            self.id
        )
    }
}
