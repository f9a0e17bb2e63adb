use std::collections::BTreeMap;

use super::*;

/// A config of the three required variables and these.
pub(crate) fn config(extra: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    let mut vars = BTreeMap::from([
        ("HOMESERVER_URL", "https://origin.example.com"),
        ("SERVER_NAME", "example.com"),
        ("MEDIA_URL", "https://media.example.com"),
    ]);
    vars.extend(extra.iter().copied());
    Config::parse(|name| vars.get(name).map(|value| (*value).to_owned()))
}

fn offender(extra: &[(&'static str, &str)]) -> &'static str {
    config(extra).unwrap_err().variable
}

/// A homeserver that clients know by another name than the edge.
const PUBLIC: (&str, &str) = ("PUBLIC_URL", "https://matrix.example.com");

#[test]
fn three_variables_are_enough() {
    let config = config(&[]).unwrap();
    assert_eq!(config.well_known.to_string(), "https://example.com");
    assert_eq!(config.public, config.homeserver);
    assert_eq!(config.well_known_fields, WellKnownFields::Both);
    assert!(!config.well_known_generate);
    assert_eq!(config.well_known_secs, 300);
    assert_eq!(config.cache_secs, 2_592_000);
    assert_eq!((config.lease.lease_secs, config.lease.stale_if_error_secs), (0, 0));
    assert_eq!((config.max_upload_bytes, config.warm_uploads), (100_000_000, true));
    assert_eq!(config.origin_redirects, OriginRedirects::Follow);
    assert_eq!(config.memory_cache_bytes, 25_165_824);
    assert_eq!(config.warning(), None);
}

/// What `MEDIA_LEASE_SECONDS` needs.
const WATCHED: [(&str, &str); 3] = [
    ("LEASE_SECONDS", "60"),
    ("SYNAPSE_ADMIN_TOKEN", "syt_admin_0123456789"),
    ("MEDIA_LEASE_SECONDS", "604800"),
];

#[test]
fn a_lease_of_media_needs_a_lease_of_tokens_and_a_token_that_reads_the_list() {
    assert_eq!(config(&WATCHED).unwrap().lease.media_lease_secs, 604_800);
    assert_eq!(config(&[]).unwrap().lease.media_lease_secs, 0);
    for (name, text) in [
        ("LEASE_SECONDS", "0"),
        ("SYNAPSE_ADMIN_TOKEN", ""),
        ("LEASE_SCOPE", "token+media"),
        ("MEDIA_LEASE_SECONDS", "604801"),
    ] {
        let vars = [&WATCHED[..], &[(name, text)]].concat();
        assert_eq!(offender(&vars), "MEDIA_LEASE_SECONDS", "{name} = {text:?}");
        let off = [&vars[..], &[("MEDIA_LEASE_SECONDS", "0")]].concat();
        assert!(config(&off).is_ok(), "{name} = {text:?}");
    }
}

#[test]
fn the_largest_values_can_be_used() {
    let config = config(&[
        ("CACHE_SECONDS", "31536000"),
        ("LEASE_SECONDS", "3600"),
        ("STALE_IF_ERROR_SECONDS", "604800"),
        ("WELL_KNOWN_SECONDS", "3600"),
        ("MAX_UPLOAD_BYTES", "5000000000"),
        ("MEMORY_CACHE_MIB", "40"),
    ])
    .unwrap();
    assert_eq!((config.cache_secs, config.well_known_secs), (31_536_000, 3600));
    assert_eq!((config.lease.lease_secs, config.lease.stale_if_error_secs), (3600, 604_800));
    assert_eq!((config.max_upload_bytes, config.memory_cache_bytes), (5_000_000_000, 41_943_040));
    assert_eq!(config.warning(), None);
}

#[test]
fn memory_beyond_an_isolates_room_is_capped() {
    for mib in ["41", "64"] {
        let config = config(&[("MEMORY_CACHE_MIB", mib)]).unwrap();
        assert_eq!(config.memory_cache_bytes, 41_943_040);
        let warning = config.warning().unwrap();
        assert!(
            warning.starts_with(&format!("MEMORY_CACHE_MIB = {mib} counts as 40")),
            "{warning}"
        );
    }
}

#[test]
fn a_header_of_the_admins_is_named_in_lower_case_and_its_value_is_sensitive() {
    let config = config(&[("ORIGIN_HEADERS", r#"{"CF-Access-Client-Id":"a.access"}"#)]).unwrap();
    let [header] = config.origin_headers.as_slice() else { panic!("{config:?}") };
    assert_eq!(header.name, "cf-access-client-id");
    assert!(header.value == "a.access" && header.value.is_sensitive());
}

#[test]
fn deployments_that_differ_name_tokens_differently() {
    let key = |extra: &[(&'static str, &str)]| config(extra).unwrap().digest_key().to_vec();
    for other in [
        ("SERVER_NAME", "example.org"),
        ("HOMESERVER_URL", "https://other.example.com"),
        ("ORIGIN_HEADERS", r#"{"x-secret":"hunter2"}"#),
    ] {
        assert_ne!(key(&[]), key(&[other]), "{}", other.0);
    }
}

#[test]
fn the_public_address_names_no_token_differently() {
    let key = |extra: &[(&'static str, &str)]| config(extra).unwrap().digest_key().to_vec();
    assert_eq!(key(&[]), b"example.com https://origin.example.com");
    assert_eq!(key(&[PUBLIC]), key(&[]), "one homeserver has one set of names");
}

#[test]
fn purging_is_possible_with_either_admin_token() {
    let can_purge = |extra: &[(&'static str, &str)]| config(extra).unwrap().can_purge();
    assert!(!can_purge(&[]));
    assert!(can_purge(&[("ADMIN_TOKEN", "0123456789abcdef")]));
    assert!(can_purge(&[("SYNAPSE_ADMIN_TOKEN", "0123456789abcdef")]));
}

#[test]
fn well_known_of_a_server_name_with_port_is_on_its_host() {
    let config = config(&[("SERVER_NAME", "example.com:8448")]).unwrap();
    assert_eq!(config.well_known.to_string(), "https://example.com");
}

#[test]
fn a_missing_variable_is_named() {
    for name in ["HOMESERVER_URL", "SERVER_NAME", "MEDIA_URL"] {
        assert_eq!(offender(&[(name, " ")]), name);
    }
}

#[test]
fn a_bad_variable_is_named() {
    for (name, value) in [
        ("HOMESERVER_URL", "matrix.example.com"),
        ("HOMESERVER_URL", "http://matrix.example.com"),
        ("SERVER_NAME", "https://example.com"),
        ("MEDIA_URL", "https://media.example.com/path"),
        ("PUBLIC_URL", "matrix.example.com"),
        ("PUBLIC_URL", "http://matrix.example.com"),
        ("WELL_KNOWN_URL", "example.com"),
        ("WELL_KNOWN_FIELDS", "all"),
        ("WELL_KNOWN_GENERATE", "yes"),
        ("WELL_KNOWN_SECONDS", "3601"),
        ("WELL_KNOWN_SECONDS", "-1"),
        ("WELL_KNOWN_SECONDS", "5 min"),
        ("LEASE_SECONDS", "-1"),
        ("LEASE_SECONDS", "3601"),
        ("LEASE_SCOPE", "media"),
        ("STALE_IF_ERROR_SECONDS", "1h"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_UPLOAD_BYTES", "100 MB"),
        ("MAX_UPLOAD_BYTES", "5000000001"),
        ("WARM_UPLOADS", "yes"),
        ("MEMORY_CACHE_MIB", "65"),
        ("LOG_REQUESTS", "some"),
        ("ADMIN_TOKEN", "short"),
        ("ADMIN_TOKEN", "with white space in it"),
        ("SYNAPSE_ADMIN_TOKEN", "short"),
        ("ORIGIN_REDIRECTS", "true"),
        ("CACHE_SECONDS", "0"),
        ("CACHE_SECONDS", "-1"),
        ("CACHE_SECONDS", "31536001"),
        ("STALE_IF_ERROR_SECONDS", "604801"),
        ("CACHE_SECONDS", "30 days"),
        ("ORIGIN_HEADERS", "[]"),
        ("ORIGIN_HEADERS", r#"{"a b":"c"}"#),
        ("ORIGIN_HEADERS", r#"{"":"c"}"#),
        ("ORIGIN_HEADERS", r#"{"a":"b\nc"}"#),
        ("ORIGIN_HEADERS", r#"{"Host":"b"}"#),
    ] {
        assert_eq!(offender(&[(name, value)]), name, "{value}");
    }
}

#[test]
fn an_error_says_what_to_write() {
    let message = config(&[("MEDIA_URL", "")]).unwrap_err().to_string();
    assert_eq!(
        message,
        "MEDIA_URL is not set: write a value such as https://matrix-media.example.com"
    );
}

#[test]
fn an_error_contains_no_secret() {
    let message = config(&[("ORIGIN_HEADERS", "hunter2")]).unwrap_err().to_string();
    assert!(!message.contains("hunter2"));
}

#[test]
fn debug_output_contains_no_secret_as_text_or_as_numbers() {
    let config = config(&[
        ("ORIGIN_HEADERS", r#"{"x-secret":"hunter2"}"#),
        ("ADMIN_TOKEN", "hunter2-hunter2-hunter2"),
    ]);
    let told = format!("{:?}", config.unwrap());
    assert!(told.contains("x-secret"));
    assert!(!told.contains("hunter2"));
    assert!(!told.contains("104, 117, 110, 116, 101, 114, 50"));
}
