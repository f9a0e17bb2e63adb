//! Well-known documents: the media server is added, and nothing else is changed.

use http::StatusCode;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use matrix_media_edge::cache::entry::FetchTimes;
use matrix_media_edge::cache::purge_list::Purges;
use matrix_media_edge::endpoint::well_known::{
    CopyChange, Fetched, KeptDocument, ReadyReply, Reuse, WellKnownReply, decide, fresh_reply,
};
use matrix_media_edge::matrix::well_known::Document;
use matrix_media_edge::message::ReplyHead;
use matrix_media_edge::origin::{OriginError, OriginHead};

use crate::input::{CONFIG, headers, lines};
use crate::json::{Members, read_shallow};

const FIELDS: [&str; 2] = ["m.media_server", "com.beeper.msc3859.m.media_server"];

/// A document of either kind that names its server.
const NAMED: &str = r#"{"m.homeserver":{"base_url":"https://a"},"m.server":"a:1"}"#;

const NOW: u64 = 1_700_000_000;
const TIMES: FetchTimes = FetchTimes { asked_unix_secs: NOW, answered_unix_secs: NOW };

/// The input's lines: the status, the host's `Cache-Control`, what is kept beside the last good
/// copy, and the body.
pub(crate) fn target(input: &[u8]) {
    let [status, cache_control, meta, body] = lines(input);
    let status = StatusCode::from_bytes(status).unwrap_or(StatusCode::OK);
    let origin = OriginHead { status, headers: headers(&[(CACHE_CONTROL, cache_control)]) };
    let meta = std::str::from_utf8(meta).unwrap_or_default();
    let kept = KeptDocument::parse(meta, b"{\"kept\":1}".to_vec());
    for document in [Document::Client, Document::Server] {
        answered(document, &origin, body, kept.as_ref());
        failed(document, kept.as_ref());
        if let Some(kept) = &kept {
            let is_fresh = fresh_reply(document, kept, &CONFIG, NOW).is_some();
            let is_young = NOW.checked_sub(kept.asked_unix_secs).is_some_and(|age| age < 300);
            assert_eq!(
                is_fresh,
                is_young && NOW < kept.fresh_until_unix_secs,
                "it names no server"
            );
            is_sent_again(document, kept);
            let named = KeptDocument { text: NAMED.to_owned(), ..kept.clone() };
            assert!(fresh_reply(document, &named, &CONFIG, NOW).is_none());
            is_sent_again(document, &named);
        }
    }
}

fn answered(document: Document, origin: &OriginHead, body: &[u8], kept: Option<&KeptDocument>) {
    let text = std::str::from_utf8(body).ok();
    let fetched = Fetched::Whole(origin.clone(), body.to_vec());
    let (reply, change) = decide(document, &fetched, kept, &CONFIG, TIMES);
    let is_object = text.and_then(read_shallow).is_some_and(|value| value.is_object());
    let is_document = origin.status == StatusCode::OK && is_object;
    let is_gone = origin.status == StatusCode::NOT_FOUND;
    match (reply, change) {
        (WellKnownReply::Document(head, added), CopyChange::Store(kept)) if is_document => {
            is_sent_as_json(document, &head);
            let text = text.expect("a text that is sent");
            only_ours_is_added(text, &added);
            assert_eq!(kept.text, text);
            is_read_back(&kept);
            is_sent_again(document, &kept);
        }
        // Only a document takes the place of the last good one, and only a 404 that lasts ends it.
        (
            WellKnownReply::Document(head, added),
            change @ (CopyChange::Unchanged | CopyChange::Store(_)),
        ) => {
            assert!(!is_document, "{}", origin.status);
            is_sent_as_json(document, &head);
            only_ours_is_added("{\"kept\":1}", &added);
            is_marked(kept.expect("the last good copy"), &change, is_gone);
        }
        (WellKnownReply::Untouched(head), change) => {
            assert_eq!(head.status, origin.status);
            assert_eq!(head.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            let is_ended = is_gone && kept.is_some();
            assert_eq!(change, if is_ended { CopyChange::Remove } else { CopyChange::Unchanged });
            assert!(!is_document && (is_gone || kept.is_none()), "{}", origin.status);
            let since = kept.and_then(|kept| kept.missing_since_unix_secs);
            assert!(!is_ended || since.is_some_and(|since| NOW - since >= 300), "{since:?}");
        }
        (WellKnownReply::Rejected(_), CopyChange::Unchanged) => {
            let is_no_word = [206, 304, 401, 403, 407, 429].contains(&origin.status.as_u16())
                || origin.status.is_server_error()
                || origin.status.as_u16() >= 600;
            assert!(is_no_word && kept.is_none(), "{}", origin.status);
        }
        other => panic!("{other:?}"),
    }
}

/// A copy is sent without asking its host for five minutes, and with its age.
fn is_sent_again(document: Document, kept: &KeptDocument) {
    let Some(ready) = ReadyReply::of_copy(document, kept, &CONFIG) else {
        return assert!(document.homeserver(&kept.text).is_none_or(|name| name.is_empty()));
    };
    let age = NOW.checked_sub(kept.asked_unix_secs).filter(|age| *age < 300);
    match (ready.reuse(&Purges::default(), &CONFIG, NOW), age) {
        (Reuse::Send(head), Some(age @ ..150))
        | (Reuse::SendAndRefresh(head), Some(age @ 150..)) => {
            assert_eq!(head.headers["age"], age.to_string());
        }
        (Reuse::AskHost, None) => {}
        other => panic!("{other:?}"),
    }
}

fn failed(document: Document, kept: Option<&KeptDocument>) {
    let fetched = Fetched::Failed(OriginError::Unreachable);
    let (reply, change) = decide(document, &fetched, kept, &CONFIG, TIMES);
    assert_eq!(kept.is_some(), matches!(reply, WellKnownReply::Document(..)));
    match kept {
        Some(kept) => is_marked(kept, &change, false),
        None => assert_eq!(change, CopyChange::Unchanged),
    }
}

/// The last good copy is as it was, but for since when its host has said that there is none.
fn is_marked(kept: &KeptDocument, change: &CopyChange, is_gone: bool) {
    let since = match change {
        CopyChange::Store(new) => {
            let old = KeptDocument { missing_since_unix_secs: None, ..kept.clone() };
            assert_eq!(KeptDocument { missing_since_unix_secs: None, ..new.clone() }, old);
            assert!(new.differs_from(kept), "it is stored for nothing");
            new.missing_since_unix_secs
        }
        CopyChange::Unchanged => kept.missing_since_unix_secs,
        CopyChange::Remove => panic!("it is the last good copy"),
    };
    assert_eq!(since.is_some(), is_gone, "{since:?}");
}

fn is_sent_as_json(document: Document, head: &ReplyHead) {
    assert_eq!((head.status, head.headers.len()), (StatusCode::OK, 6));
    let field = head.headers[CACHE_CONTROL].to_str().expect("ASCII");
    if document == Document::Server {
        let age = field.strip_prefix("public, max-age=").and_then(|age| age.parse().ok());
        assert!(age.is_some_and(|age: u64| (300..=172_800).contains(&age)), "{field}");
    }
}

fn only_ours_is_added(text: &str, added: &str) {
    let (before, after) = (Members::read(text), Members::read(added));
    let (before, after) = (before.expect("an object"), after.expect("an object"));
    let (before, after) = (before.texts(), after.texts());
    if before.iter().any(|(name, _)| FIELDS.contains(name)) {
        return assert_eq!(text, added, "who names a server already keeps its own");
    }
    assert_eq!(after[..before.len()], before[..]);
    assert!(after[before.len()..].iter().map(|(name, _)| *name).eq(FIELDS));
    let common = text.bytes().zip(added.bytes()).take_while(|(a, b)| a == b).count();
    assert!(added.ends_with(&text[common..]), "not a byte more is changed");
}

fn is_read_back(kept: &KeptDocument) {
    assert!((NOW..=NOW + 3600).contains(&kept.fresh_until_unix_secs));
    let meta = kept.meta();
    let again = KeptDocument::parse(meta.to_str().expect("ASCII"), kept.text.clone().into());
    // An empty field says nothing.
    let cache_control = kept.cache_control.clone().filter(|field| !field.is_empty());
    assert_eq!(again, Some(KeptDocument { cache_control, ..kept.clone() }));
}
