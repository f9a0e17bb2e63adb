//! Purges: a request covers what it names and nothing else, and no list loses a purge.

use matrix_media_edge::admin::purge::Scope;
use matrix_media_edge::cache::key::{CacheKey, Subject};
use matrix_media_edge::cache::purge_list::{CLOCK_MARGIN_SECS, Purges};
use matrix_media_edge::matrix::ids::{MediaId, Mxc, ServerName};
use matrix_media_edge::matrix::media::{Door, MediaKind, Representation};
use serde_json::Value;

use crate::input::{CONFIG, key, texts};
use crate::json::{Members, read_shallow};

const NOW: u64 = 1_700_000_000;
const MAX_PURGES: usize = 11_000;
const MAX_MEDIA: usize = 1_000;

/// The input's lines: a request, how many other purges there are, and a list that was found.
pub(crate) fn target(input: &[u8]) {
    let Some([request, others, list]) = texts(input) else { return };
    let scopes = Scope::parse_all(request);
    // Two members are too many, were they of one name.
    let is_one = Members::read(request).is_some_and(|members| members.texts().len() == 1);
    let expected = read_shallow(request).filter(|_| is_one).and_then(|value| named(&value));
    assert_eq!(scopes, expected, "{request}");
    let found = Purges::parse(list);
    if let Some(found) = &found {
        assert_eq!(Purges::parse(&found.to_text()).as_ref(), Some(found), "it is read back");
    }
    let Some(scopes) = scopes else { return };
    scopes.iter().for_each(covers_what_it_names);
    let Some(scope) = scopes.first() else { return };
    let others = others.parse().unwrap_or(0_u64).min(2 * MAX_PURGES as u64);
    is_never_lost(scope, found.unwrap_or_default(), others);
}

fn named(request: &Value) -> Option<Vec<Scope>> {
    let (name, value) = request.as_object().filter(|all| all.len() == 1)?.iter().next()?;
    let media = |value: &Value| Mxc::parse(value.as_str()?).map(Scope::Media);
    match (name.as_str(), value) {
        ("mxc", Value::Array(values)) => {
            (1..=MAX_MEDIA).contains(&values.len()).then_some(())?;
            values.iter().map(media).collect()
        }
        ("mxc", value) => media(value).map(|scope| vec![scope]),
        ("server_name", value) => {
            ServerName::parse(value.as_str()?).map(|server_name| vec![Scope::Server(server_name)])
        }
        ("everything", Value::Bool(true)) => Some(vec![Scope::Everything]),
        _ => None,
    }
}

fn content(uri: &str) -> CacheKey {
    key(Subject::Media(&Mxc::parse(uri).expect("an mxc URI"), Representation::Content))
}

fn covers_what_it_names(scope: &Scope) {
    let purges = purged(scope);
    let (server_name, media_id) = match scope {
        Scope::Media(mxc) => (mxc.server_name.as_str(), mxc.media_id.as_str()),
        Scope::Server(server_name) => (server_name.as_str(), "abc"),
        Scope::Everything => ("example.org", "abc"),
    };
    assert!(purges.covers(&content(&format!("mxc://{server_name}/{media_id}")), NOW));
    // The clock of who stored it may be ahead.
    for (seconds, is_covered) in [(CLOCK_MARGIN_SECS, true), (CLOCK_MARGIN_SECS + 1, false)] {
        let named = content(&format!("mxc://{server_name}/{media_id}"));
        assert_eq!(purges.covers(&named, NOW + seconds), is_covered);
    }
    let host = ServerName::parse(server_name).expect("a server name").host().to_owned();
    for spelling in [host.to_uppercase(), host.to_lowercase(), format!("{host}:8448")] {
        assert!(
            purges.covers(&content(&format!("mxc://{spelling}/{media_id}")), NOW),
            "{spelling}"
        );
    }
    let is_everything = *scope == Scope::Everything;
    // No name may be longer than the longest is already.
    if let Some(stranger) = Mxc::parse(&format!("mxc://not.{server_name}/{media_id}")) {
        let stranger = key(Subject::Media(&stranger, Representation::Content));
        assert_eq!(purges.covers(&stranger, NOW), is_everything);
    }
    let sibling = content(&format!("mxc://{server_name}/-{}", &media_id[1..]));
    let is_named = matches!(scope, Scope::Media(_)) && !media_id.starts_with('-');
    assert_eq!(purges.covers(&sibling, NOW), !is_named);
    let media_id = MediaId::parse(media_id).expect("a media ID");
    let to_servers = key(Subject::Federation(&media_id, Representation::Content));
    let is_ours = host.eq_ignore_ascii_case(CONFIG.server_name.host());
    assert_eq!(purges.covers(&to_servers, NOW), is_ours || is_everything);
    if let Scope::Media(mxc) = scope {
        let lease = key(Subject::MediaLease(Door::Client, mxc, MediaKind::Content));
        assert!(!purges.covers(&lease, NOW));
    }
}

fn is_never_lost(scope: &Scope, found: Purges, others: u64) {
    let purges = purged(scope);
    let line = |number| format!("\n{NOW} v2/example.com/media/example.org/{number}/");
    let text: String = ["1".to_owned()].into_iter().chain((0..others).map(line)).collect();
    let mut list = Purges::parse(&text).expect("a list");
    list.merge(found);
    list.merge(purges.clone());
    let merged = list.clone();
    list.merge(purges);
    assert_eq!(list, merged, "what is known is no news");
    list.forget(NOW, &CONFIG);
    let count = list.to_text().lines().count() - 1;
    assert!(count <= MAX_PURGES, "{count} purges");
    let read = Purges::parse(&list.to_text()).expect("a list");
    if let Scope::Media(mxc) = scope {
        let named = key(Subject::Media(mxc, Representation::Content));
        assert!(read.covers(&named, NOW));
    }
}

fn purged(scope: &Scope) -> Purges {
    Purges::default().with(&scope.prefixes(&CONFIG), NOW, &CONFIG).expect("it has room")
}
