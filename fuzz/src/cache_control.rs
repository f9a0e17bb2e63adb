//! `Cache-Control`: what forbids storing is never overlooked, and no age is read too long.

use matrix_media_edge::headers::cache_control::{has_directive, max_age_secs, public_for};

/// The input is a field.
pub(crate) fn target(input: &[u8]) {
    let Ok(field) = std::str::from_utf8(input) else { return };
    for name in ["no-store", "no-cache", "private"] {
        let is_there = directives(field).iter().any(|(found, _)| found == name);
        assert!(!is_there || has_directive(field, name), "{name}");
    }
    let ages: Vec<u64> = directives(field)
        .iter()
        .filter(|(name, _)| name == "max-age")
        .filter_map(|(_, seconds)| seconds.parse().ok())
        .collect();
    let read = max_age_secs(field);
    match (ages.iter().min(), read) {
        (Some(smallest), Some(read)) => assert!(read <= *smallest),
        (Some(_), None) => panic!("an age was overlooked"),
        (None, _) => {}
    }
    if let Some(seconds) = read {
        let written = public_for(seconds);
        assert_eq!(max_age_secs(written.to_str().expect("ASCII")), Some(seconds));
    }
}

/// Names in lower case, and arguments without their quotes, by RFC 9110 §5.6.6 and RFC 9111 §5.2:
/// a comma between quotes separates nothing.
fn directives(field: &str) -> Vec<(String, String)> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let members = field.split(|c| {
        let separates = c == ',' && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        separates
    });
    let trimmed = |text: &str| text.trim_matches([' ', '\t']).to_owned();
    members
        .map(|member| {
            let (name, argument) = member.split_once('=').unwrap_or((member, ""));
            let argument = trimmed(argument);
            let quoted = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            (trimmed(name).to_ascii_lowercase(), quoted.unwrap_or(&argument).to_owned())
        })
        .collect()
}
