//! The operator's variables, parsed whole into a `Config` that cannot be wrong.
//!
//! Every variable stands in `wrangler.toml` with its meaning, unit and default. Reading the
//! bindings is the shell's work: the parser takes a function from name to text.

mod addresses;
pub mod base_url;
pub mod lease_policy;
pub mod redirect_hosts;
mod vars;

use std::fmt;

use http::HeaderValue;

use self::vars::{Vars, error};
use crate::config::base_url::BaseUrl;
use crate::config::lease_policy::{LeasePolicy, LeaseScope};
use crate::config::redirect_hosts::RedirectHosts;
use crate::matrix::access_token::AccessToken;
use crate::matrix::ids::ServerName;

const SECS_PER_DAY: u64 = 86_400;

/// Default of `WELL_KNOWN_SECONDS`.
const DEFAULT_WELL_KNOWN_SECS: u64 = 300;

/// The longest `WELL_KNOWN_SECONDS`: whoever changes a document waits for that long.
const MAX_WELL_KNOWN_SECS: u64 = 3_600;

/// Default of `CACHE_SECONDS`.
const DEFAULT_CACHE_SECS: u64 = 30 * SECS_PER_DAY;

/// The longest `CACHE_SECONDS` that means anything: the platform evicts long before.
const MAX_CACHE_SECS: u64 = 365 * SECS_PER_DAY;

/// The longest `LEASE_SECONDS`: a revoked token or a quarantined picture lives on for that long.
const MAX_LEASE_SECS: u64 = 3_600;

/// The longest `MEDIA_LEASE_SECONDS`: media that was deleted without having been quarantined may be
/// read within an hour of its last grant, and once more until then.
const MAX_MEDIA_LEASE_SECS: u64 = 7 * SECS_PER_DAY;

/// The longest `STALE_IF_ERROR_SECONDS`.
const MAX_STALE_SECS: u64 = 7 * SECS_PER_DAY;

/// Default of `MAX_UPLOAD_BYTES`: what Cloudflare's Free and Pro plans let through.
const DEFAULT_MAX_UPLOAD_BYTES: u64 = 100_000_000;

/// The largest `MAX_UPLOAD_BYTES`: no plan lets more through.
const MAX_MAX_UPLOAD_BYTES: u64 = 5_000_000_000;

/// Default of `MEMORY_CACHE_MIB`.
const DEFAULT_MEMORY_CACHE_MIB: u64 = 24;

/// The largest `MEMORY_CACHE_MIB` that counts: an isolate has 128 MB in all, for what is under way too.
pub const MAX_MEMORY_CACHE_MIB: u64 = 40;

/// The largest `MEMORY_CACHE_MIB` that is taken: values between the two were valid once.
const MAX_TAKEN_MEMORY_CACHE_MIB: u64 = 64;

/// Everything that an admin can decide.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HOMESERVER_URL`: the homeserver's base URL as the edge reaches it.
    pub homeserver: BaseUrl,
    /// `PUBLIC_URL`: the homeserver's base URL as clients and other servers know it.
    pub public: BaseUrl,
    /// `SERVER_NAME`: the name in users' IDs and in the mxc URIs of local media.
    pub server_name: ServerName,
    /// `MEDIA_URL`: what well-known announces.
    pub media: BaseUrl,
    /// `WELL_KNOWN_URL`: where the existing well-known documents are.
    pub well_known: BaseUrl,
    /// `WELL_KNOWN_FIELDS`: the names under which the media server is announced.
    pub well_known_fields: WellKnownFields,
    /// `WELL_KNOWN_GENERATE`: build the documents when there are none.
    pub well_known_generate: bool,
    /// `WELL_KNOWN_SECONDS`: for how long a document is sent again without asking its host.
    pub well_known_secs: u64,
    /// `LEASE_SECONDS`, `MEDIA_LEASE_SECONDS`, `LEASE_SCOPE` and `STALE_IF_ERROR_SECONDS`: how long a
    /// grant of the homeserver counts.
    pub lease: LeasePolicy,
    /// `CACHE_SECONDS`: how long a stored response may stay at all.
    pub cache_secs: u64,
    /// `MAX_UPLOAD_BYTES`: larger uploads are refused before they are read.
    pub max_upload_bytes: u64,
    /// `WARM_UPLOADS`: whether new media is stored before its first reader comes.
    pub warm_uploads: bool,
    /// `ORIGIN_REDIRECTS`: what becomes of a redirect to where the bytes are.
    pub origin_redirects: OriginRedirects,
    /// `ORIGIN_REDIRECT_HOSTS`: where redirects may lead besides the homeserver's own host.
    pub origin_redirect_hosts: RedirectHosts,
    /// `MEMORY_CACHE_MIB`, in bytes: how much an isolate stores of small bodies. 0: none.
    pub memory_cache_bytes: u64,
    /// `MEMORY_CACHE_MIB` as it is written, where that is more than counts.
    pub excess_memory_cache_mib: Option<u64>,
    /// `ADMIN_TOKEN`: opens the admin's endpoints. Without it they are closed.
    pub admin_token: Option<AccessToken>,
    /// `SYNAPSE_ADMIN_TOKEN`: reads from Synapse what was quarantined.
    pub synapse_admin_token: Option<AccessToken>,
    /// `ORIGIN_HEADERS`: added to every request to the homeserver.
    pub origin_headers: Vec<OriginHeader>,
    /// `LOG_REQUESTS`: which requests get a line in the log.
    pub log_requests: LogRequests,
    digest_key: DigestKey,
}

/// Which requests get a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRequests {
    /// All.
    All,
    /// Those that failed: with an error of the edge's own or of the homeserver's.
    Failures,
    /// None.
    None,
}

/// Which names of MSC3859's field are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WellKnownFields {
    /// `m.media_server` and `com.beeper.msc3859.m.media_server`.
    Both,
    /// `m.media_server` alone.
    Stable,
    /// `com.beeper.msc3859.m.media_server` alone.
    Unstable,
}

/// What becomes of the homeserver's redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginRedirects {
    /// The edge fetches the target, without the client's credential, and stores the bytes.
    Follow,
    /// The client gets the redirect.
    Pass,
}

/// A header that an admin adds to requests. Its `Debug` does not tell the value.
#[derive(Clone)]
pub struct OriginHeader {
    /// A field name (RFC 9110 §5.1), in lower case.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// A variable that is missing or can't be used. It is written for the admin who has to fix it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong and what to write instead. Never the value: it may be a secret.
    pub problem: String,
}

impl Config {
    /// Parses all variables, given how to read one by name.
    ///
    /// # Errors
    /// The first variable that is missing or bad.
    pub fn parse(read: impl Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let vars = Vars::new(read);
        let homeserver = vars.base_url("HOMESERVER_URL", "https://matrix-origin.example.com")?;
        let server_name = vars.server_name()?;
        let media = vars.base_url("MEDIA_URL", "https://matrix-media.example.com")?;
        let public = match vars.text("PUBLIC_URL") {
            Some(_) => vars.base_url("PUBLIC_URL", "https://matrix.example.com")?,
            None => homeserver.clone(),
        };
        let well_known = match vars.text("WELL_KNOWN_URL") {
            Some(_) => vars.base_url("WELL_KNOWN_URL", "https://example.com")?,
            None => BaseUrl::parse(&format!("https://{}", server_name.host()))
                .map_err(|problem| error("SERVER_NAME", problem))?,
        };
        let origin_headers = vars.headers("ORIGIN_HEADERS")?;
        let synapse_admin_token = vars.token("SYNAPSE_ADMIN_TOKEN")?;
        let memory_cache_mib = vars.number(
            "MEMORY_CACHE_MIB",
            DEFAULT_MEMORY_CACHE_MIB,
            0..=MAX_TAKEN_MEMORY_CACHE_MIB,
        )?;
        Ok(Self {
            digest_key: digest_key(&server_name, &homeserver, &origin_headers),
            homeserver,
            public,
            server_name,
            media,
            well_known,
            well_known_fields: vars.choice(
                "WELL_KNOWN_FIELDS",
                &[
                    ("both", WellKnownFields::Both),
                    ("stable", WellKnownFields::Stable),
                    ("unstable", WellKnownFields::Unstable),
                ],
            )?,
            well_known_generate: vars
                .choice("WELL_KNOWN_GENERATE", &[("false", false), ("true", true)])?,
            well_known_secs: vars.number(
                "WELL_KNOWN_SECONDS",
                DEFAULT_WELL_KNOWN_SECS,
                0..=MAX_WELL_KNOWN_SECS,
            )?,
            lease: lease_policy(&vars, synapse_admin_token.is_some())?,
            max_upload_bytes: vars.number(
                "MAX_UPLOAD_BYTES",
                DEFAULT_MAX_UPLOAD_BYTES,
                1..=MAX_MAX_UPLOAD_BYTES,
            )?,
            warm_uploads: vars.choice("WARM_UPLOADS", &[("true", true), ("false", false)])?,
            origin_redirects: vars.choice(
                "ORIGIN_REDIRECTS",
                &[("follow", OriginRedirects::Follow), ("pass", OriginRedirects::Pass)],
            )?,
            origin_redirect_hosts: RedirectHosts::parse(
                &vars.text("ORIGIN_REDIRECT_HOSTS").unwrap_or_default(),
            )
            .map_err(|problem| {
                let example = "such as cdn.example.com *.r2.cloudflarestorage.com";
                error("ORIGIN_REDIRECT_HOSTS", format!("{problem}, {example}"))
            })?,
            cache_secs: vars.number("CACHE_SECONDS", DEFAULT_CACHE_SECS, 1..=MAX_CACHE_SECS)?,
            memory_cache_bytes: memory_cache_mib.min(MAX_MEMORY_CACHE_MIB) * 1024 * 1024,
            excess_memory_cache_mib: Some(memory_cache_mib)
                .filter(|mib| *mib > MAX_MEMORY_CACHE_MIB),
            admin_token: vars.token("ADMIN_TOKEN")?,
            synapse_admin_token,
            origin_headers,
            log_requests: vars.choice(
                "LOG_REQUESTS",
                &[
                    ("all", LogRequests::All),
                    ("failures", LogRequests::Failures),
                    ("none", LogRequests::None),
                ],
            )?,
        })
    }

    /// Returns the key of the digests that stand for access tokens: of the deployment, with such
    /// secrets as it has. Two deployments give one token two names.
    pub fn digest_key(&self) -> &[u8] {
        &self.digest_key.0
    }

    /// Returns a sentence for the admin on each variable that can be used, but not as it is written.
    pub fn warning(&self) -> Option<String> {
        self.excess_memory_cache_mib.map(|mib| {
            format!(
                "MEMORY_CACHE_MIB = {mib} counts as {MAX_MEMORY_CACHE_MIB}, the most that an isolate has room for"
            )
        })
    }

    /// Returns whether there may be purges to read.
    pub fn can_purge(&self) -> bool {
        self.admin_token.is_some() || self.synapse_admin_token.is_some()
    }
}

/// Parses how long grants count. `is_list_read`: whether Synapse is asked for what it quarantined.
fn lease_policy(
    vars: &Vars<impl Fn(&'static str) -> Option<String>>,
    is_list_read: bool,
) -> Result<LeasePolicy, ConfigError> {
    let policy = LeasePolicy {
        lease_secs: vars.number("LEASE_SECONDS", 0, 0..=MAX_LEASE_SECS)?,
        media_lease_secs: vars.number("MEDIA_LEASE_SECONDS", 0, 0..=MAX_MEDIA_LEASE_SECS)?,
        scope: vars.choice(
            "LEASE_SCOPE",
            &[("token", LeaseScope::Token), ("token+media", LeaseScope::TokenAndMedia)],
        )?,
        stale_if_error_secs: vars.number("STALE_IF_ERROR_SECONDS", 0, 0..=MAX_STALE_SECS)?,
    };
    let needs = |what: &str| Err(error("MEDIA_LEASE_SECONDS", what));
    match policy {
        LeasePolicy { media_lease_secs: 0, .. } => Ok(policy),
        LeasePolicy { lease_secs: 0, .. } => {
            needs("needs LEASE_SECONDS, for how long a token counts: set it to 60, or this to 0")
        }
        LeasePolicy { scope: LeaseScope::TokenAndMedia, .. } => {
            needs("does not go with LEASE_SCOPE = \"token+media\": set one of the two back")
        }
        _ if !is_list_read => needs(
            "needs the secret SYNAPSE_ADMIN_TOKEN, to read what is quarantined: set it, or this to 0",
        ),
        _ => Ok(policy),
    }
}

impl fmt::Debug for OriginHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What keys digests. It is made of secrets, and its `Debug` does not tell them.
#[derive(Clone)]
struct DigestKey(Vec<u8>);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

fn digest_key(
    server_name: &ServerName,
    homeserver: &BaseUrl,
    origin_headers: &[OriginHeader],
) -> DigestKey {
    let mut key = format!("{server_name} {homeserver}").into_bytes();
    for header in origin_headers {
        key.extend(header.value.as_bytes());
    }
    DigestKey(key)
}

#[cfg(test)]
pub(crate) mod tests;
