use super::*;
use crate::config::tests::config;

const NOW: u64 = 1_700_000_000;

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Fetched {
    let headers = headers
        .iter()
        .map(|(n, v)| (http::HeaderName::from_static(n), HeaderValue::from_static(v)))
        .collect();
    let head = OriginHead { status: StatusCode::from_u16(status).unwrap(), headers };
    Fetched::Whole(head, body.as_bytes().to_vec())
}

fn kept() -> KeptDocument {
    KeptDocument {
        text: r#"{"m.server":"kept:443"}"#.to_owned(),
        cache_control: None,
        fresh_until_unix_secs: NOW,
        missing_since_unix_secs: None,
        asked_unix_secs: NOW,
    }
}

/// Decides on an answer that came in the second in which its host was asked.
fn decide(
    document: Document,
    fetched: &Fetched,
    kept: Option<&KeptDocument>,
    config: &Config,
    now: u64,
) -> (WellKnownReply, CopyChange) {
    let times = FetchTimes { asked_unix_secs: now, answered_unix_secs: now };
    super::decide(document, fetched, kept, config, times)
}

/// The last good copy, of a document that has been missing since then.
fn missing_since(secs: u64) -> KeptDocument {
    KeptDocument { missing_since_unix_secs: Some(secs), ..kept() }
}

/// Claims the last good copy for an answer.
#[track_caller]
fn assert_last_good(
    fetched: &Fetched,
    kept: &KeptDocument,
    config: &Config,
    now: u64,
) -> CopyChange {
    let (reply, change) = decide(Document::Server, fetched, Some(kept), config, now);
    let WellKnownReply::Document(head, text) = reply else { panic!("{fetched:?}: {reply:?}") };
    assert!(text.contains("kept:443"), "{text}");
    assert_eq!(head.headers["cache-control"], "public, max-age=300");
    change
}

fn injected(document: Document, body: &str) -> String {
    match decide(document, &answer(200, &[], body), None, &config(&[]).unwrap(), NOW) {
        (WellKnownReply::Document(_, text), _) => text,
        other => panic!("{other:?}"),
    }
}

fn cache_control(document: Document, of_host: &[(&'static str, &'static str)]) -> String {
    match decide(document, &answer(200, of_host, "{}"), None, &config(&[]).unwrap(), NOW) {
        (WellKnownReply::Document(head, _), _) => {
            head.headers["cache-control"].to_str().unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_get_an_object_and_servers_a_string() {
    assert_eq!(
        injected(Document::Client, "{}"),
        r#"{"m.media_server":{"base_url":"https://media.example.com"},"com.beeper.msc3859.m.media_server":{"base_url":"https://media.example.com"}}"#
    );
    assert_eq!(
        injected(Document::Server, r#"{"m.server":"a:1"}"#),
        r#"{"m.server":"a:1","m.media_server":"media.example.com:443","com.beeper.msc3859.m.media_server":"media.example.com:443"}"#
    );
}

#[test]
fn all_other_bytes_of_a_document_stay() {
    let before = "{\n  \"z\": 9007199254740993123,\n  \"ü\\u00e9\": [1.10, 1e400],\n  \"a\": \"}\"";
    let text = injected(Document::Client, &format!("{before}\n}}\n"));
    assert!(text.starts_with(before), "{text}");
    assert!(text.ends_with("\n}\n"), "{text}");
}

#[test]
fn a_document_that_names_a_media_server_keeps_its_own() {
    for text in [
        r#"{"m.media_server":{"base_url":"https://own"}}"#,
        r#"{"m\u002emedia_server":"own:443"}"#,
        r#"{"com.beeper.msc3859.m.media_server":"own:443"}"#,
    ] {
        assert_eq!(injected(Document::Server, text), text);
    }
}

#[test]
fn a_nested_field_is_not_the_documents_own() {
    assert!(
        injected(Document::Client, r#"{"a":{"m.media_server":1}}"#).contains("media.example.com")
    );
}

#[test]
fn the_admin_chooses_the_names() {
    for (choice, stable, unstable) in [("stable", true, false), ("unstable", false, true)] {
        let config = config(&[("WELL_KNOWN_FIELDS", choice)]).unwrap();
        let (reply, _) = decide(Document::Client, &answer(200, &[], "{}"), None, &config, NOW);
        let WellKnownReply::Document(_, text) = reply else { panic!("{reply:?}") };
        assert_eq!(text.contains("\"m.media_server\""), stable);
        assert_eq!(text.contains("\"com.beeper.msc3859.m.media_server\""), unstable);
    }
}

#[test]
fn a_body_without_a_json_object_yields_to_the_copy_or_passes_untouched() {
    let last_good = kept();
    for body in ["", "<html>", "[]", "null", "{\"a\":1", "{} x", "{\"a\":\u{0}}", "\u{feff}{}"] {
        let config = config(&[]).unwrap();
        let decide = |kept| decide(Document::Client, &answer(200, &[], body), kept, &config, NOW);
        let (reply, change) = decide(Some(&last_good));
        assert!(matches!(reply, WellKnownReply::Document(..)), "{body:?}: {reply:?}");
        assert_eq!(change, CopyChange::Unchanged);
        let (reply, change) = decide(None);
        assert!(matches!(reply, WellKnownReply::Untouched(_)), "{body:?}: {reply:?}");
        assert_eq!(change, CopyChange::Unchanged);
    }
    let head = OriginHead { status: StatusCode::OK, headers: HeaderMap::new() };
    for fetched in
        [Fetched::Whole(head.clone(), b"{\"a\":\"\xff\"}".to_vec()), Fetched::Oversize(head)]
    {
        let (reply, _) = decide(Document::Client, &fetched, None, &config(&[]).unwrap(), NOW);
        assert!(matches!(reply, WellKnownReply::Untouched(_)), "{reply:?}");
    }
}

#[test]
fn a_missing_document_is_missing_at_once_without_a_copy() {
    let config = config(&[]).unwrap();
    let (reply, change) = decide(Document::Client, &answer(404, &[], "no"), None, &config, NOW);
    let WellKnownReply::Untouched(head) = reply else { panic!("{reply:?}") };
    assert_eq!(head.status, 404);
    assert_eq!(head.headers["access-control-allow-origin"], "*");
    assert_eq!(change, CopyChange::Unchanged);
}

/// A 404, and an object that names no server.
fn says_nothing() -> [Fetched; 3] {
    [answer(404, &[], "no"), answer(200, &[], "{}"), answer(200, &[], r#"{"errcode":"M_UNKNOWN"}"#)]
}

#[test]
fn a_document_missing_for_a_moment_is_served_from_the_copy() {
    for vars in [&[][..], &[("WELL_KNOWN_GENERATE", "true")]] {
        let config = config(vars).unwrap();
        for fetched in says_nothing() {
            let change = assert_last_good(&fetched, &kept(), &config, NOW);
            assert_eq!(change, CopyChange::Store(missing_since(NOW)));
            for now in [NOW - 1, NOW, NOW + MISSING_SECS - 1] {
                let change = assert_last_good(&fetched, &missing_since(NOW), &config, now);
                assert_eq!(change, CopyChange::Unchanged, "the first time counts");
            }
        }
    }
}

#[test]
fn a_document_that_stays_missing_ends_its_copy() {
    let (config, kept) = (config(&[]).unwrap(), missing_since(NOW));
    let now = NOW + MISSING_SECS;
    let decided = |fetched| decide(Document::Server, &fetched, Some(&kept), &config, now);
    let (reply, change) = decided(answer(404, &[], "no"));
    assert!(matches!(reply, WellKnownReply::Untouched(head) if head.status == 404));
    assert_eq!(change, CopyChange::Remove);
    let (reply, change) = decided(answer(200, &[], "{}"));
    assert!(matches!(reply, WellKnownReply::Document(_, text) if !text.contains("kept")));
    let CopyChange::Store(new) = change else { panic!("{change:?}") };
    assert_eq!((&*new.text, new.missing_since_unix_secs), ("{}", None));
}

#[test]
fn any_other_answer_restarts_the_time() {
    let config = config(&[]).unwrap();
    for fetched in [
        answer(503, &[], "<html>"),
        answer(403, &[], "error code: 1010"),
        answer(429, &[], ""),
        answer(200, &[], "<html>"),
        answer(302, &[], ""),
        Fetched::Failed(OriginError::TimedOut),
    ] {
        let change = assert_last_good(&fetched, &missing_since(NOW), &config, NOW + 299);
        assert_eq!(change, CopyChange::Store(kept()), "{fetched:?}");
        assert_eq!(assert_last_good(&fetched, &kept(), &config, NOW), CopyChange::Unchanged);
    }
    let back = answer(200, &[], r#"{"m.server":"back:443"}"#);
    let (_, change) =
        decide(Document::Server, &back, Some(&missing_since(NOW)), &config, NOW + 299);
    let CopyChange::Store(new) = change else { panic!("{change:?}") };
    assert_eq!((&*new.text, new.missing_since_unix_secs), (r#"{"m.server":"back:443"}"#, None));
}

#[test]
fn an_object_that_names_no_server_replaces_no_document() {
    let config = config(&[]).unwrap();
    let base_url = r#"{"m.homeserver":{"base_url":"https://a"}}"#;
    for (document, full) in
        [(Document::Client, base_url), (Document::Server, r#"{"m.server":"a:1"}"#)]
    {
        let replaced = |new: &str, old: &str| {
            let old = KeptDocument { text: old.to_owned(), ..kept() };
            let (_, change) = decide(document, &answer(200, &[], new), Some(&old), &config, NOW);
            matches!(change, CopyChange::Store(kept) if kept.text == new)
        };
        for other in [
            "{}",
            r#"{"m.homeserver":{}}"#,
            r#"{"m.homeserver":{"base_url":null}}"#,
            r#"{"m.homeserver":"https://a"}"#,
            r#"{"m.server":""}"#,
            r#"{"m.server":1}"#,
        ] {
            assert!(!replaced(other, full), "{document:?}: {other}");
            assert!(replaced(full, other) && replaced(other, "{}"), "{document:?}: {other}");
        }
        assert!(replaced(full, full));
    }
}

#[test]
fn a_bucket_look_up_is_not_repeated_for_a_minute() {
    assert!(may_be_in_bucket(None, NOW));
    assert!(!may_be_in_bucket(Some(NOW), NOW + 59));
    assert!(may_be_in_bucket(Some(NOW), NOW + 60));
    assert!(!may_be_in_bucket(Some(NOW), NOW - 60), "a clock that is set back");
}

/// Claims what is generated for clients and servers where there is no document.
#[track_caller]
fn assert_generated(extra: &[(&'static str, &str)], client: &str, server: &str) {
    let vars = [&[("WELL_KNOWN_GENERATE", "true"), ("WELL_KNOWN_FIELDS", "stable")], extra];
    let config = config(&vars.concat()).unwrap();
    for (document, expected) in [(Document::Client, client), (Document::Server, server)] {
        let (reply, _) = decide(document, &answer(404, &[], ""), None, &config, NOW);
        let WellKnownReply::Generated(_, text) = reply else { panic!("{reply:?}") };
        assert_eq!(text, expected);
    }
}

#[test]
fn a_missing_document_is_generated_on_demand() {
    assert_generated(
        &[],
        r#"{"m.homeserver":{"base_url":"https://origin.example.com"},"m.media_server":{"base_url":"https://media.example.com"}}"#,
        r#"{"m.server":"origin.example.com:443","m.media_server":"media.example.com:443"}"#,
    );
}

#[test]
fn a_generated_document_leads_to_the_public_address_and_not_to_the_origin() {
    assert_generated(
        &[
            ("PUBLIC_URL", "https://matrix.example.com"),
            ("MEDIA_URL", "https://matrix.example.com"),
        ],
        r#"{"m.homeserver":{"base_url":"https://matrix.example.com"},"m.media_server":{"base_url":"https://matrix.example.com"}}"#,
        r#"{"m.server":"matrix.example.com:443","m.media_server":"matrix.example.com:443"}"#,
    );
}

#[test]
fn a_failing_hosts_document_is_served_from_the_last_good_copy() {
    let config = config(&[]).unwrap();
    for fetched in [answer(503, &[], "<html>"), Fetched::Failed(OriginError::Unreachable)] {
        let (reply, change) = decide(Document::Server, &fetched, Some(&kept()), &config, NOW);
        let WellKnownReply::Document(head, text) = reply else { panic!("{reply:?}") };
        assert!(text.contains("kept:443") && text.contains("media.example.com"), "{text}");
        assert_eq!(head.headers["cache-control"], "public, max-age=300");
        assert_eq!(change, CopyChange::Unchanged);
    }
}

#[test]
fn a_failing_host_without_a_copy_is_an_error() {
    let config = config(&[]).unwrap();
    let (reply, _) =
        decide(Document::Client, &Fetched::Failed(OriginError::TimedOut), None, &config, NOW);
    assert!(matches!(reply, WellKnownReply::Rejected(Rejection::WellKnownUnavailable)));
    for status in [401, 403, 429, 503, 522] {
        let (reply, _) = decide(Document::Client, &answer(status, &[], ""), None, &config, NOW);
        let expected = Rejection::WellKnownUnavailable;
        assert!(matches!(reply, WellKnownReply::Rejected(found) if found == expected), "{status}");
    }
}

#[test]
fn servers_get_a_lifetime_that_they_can_use() {
    for (of_host, expected) in [
        ("no-store", "public, max-age=3600"),
        ("max-age=1", "public, max-age=300"),
        ("max-age=7200", "public, max-age=7200"),
        ("max-age=99999999", "public, max-age=172800"),
    ] {
        assert_eq!(cache_control(Document::Server, &[("cache-control", of_host)]), expected);
    }
    assert_eq!(cache_control(Document::Server, &[]), "public, max-age=3600");
}

#[test]
fn clients_get_the_lifetime_that_the_host_chose() {
    assert_eq!(cache_control(Document::Client, &[("cache-control", "no-store")]), "no-store");
    assert_eq!(cache_control(Document::Client, &[]), "public, max-age=3600");
}

#[test]
fn explicit_freshness_alone_spares_the_host_where_copies_are_not_reused() {
    let config = config(&[("WELL_KNOWN_SECONDS", "0")]).unwrap();
    for (of_host, seconds) in
        [("max-age=60", 60), ("max-age=99999", 3_600), ("no-cache, max-age=60", 0), ("public", 0)]
    {
        let fetched = answer(200, &[("cache-control", of_host)], "{}");
        let (_, change) = decide(Document::Client, &fetched, None, &config, NOW);
        let CopyChange::Store(kept) = change else { panic!("{change:?}") };
        assert_eq!(kept.fresh_until_unix_secs, NOW + seconds, "{of_host}");
        assert!(fresh_reply(Document::Client, &kept, &config, NOW + seconds).is_none());
        if seconds > 0 {
            assert!(fresh_reply(Document::Client, &kept, &config, NOW + seconds - 1).is_some());
        }
    }
}

#[test]
fn what_its_host_allows_counts_within_the_admins_bound_where_no_server_is_named() {
    let is_fresh = |text: &str, secs: &str, now| {
        let config = config(&[("WELL_KNOWN_SECONDS", secs)]).unwrap();
        let fresh_until_unix_secs = NOW + 3_600;
        let kept = KeptDocument { text: text.to_owned(), fresh_until_unix_secs, ..kept() };
        fresh_reply(Document::Server, &kept, &config, now).is_some()
    };
    assert!(is_fresh("{}", "60", NOW + 59) && !is_fresh("{}", "60", NOW + 60));
    for text in ["{}", &kept().text] {
        assert!(is_fresh(text, "0", NOW + 3_599) && !is_fresh(text, "0", NOW + 3_600));
    }
    assert!(!is_fresh(&kept().text, "60", NOW), "whether it is purged counts");
}

#[test]
fn origin_headers_go_to_the_homeserver_only() {
    let config = config(&[("ORIGIN_HEADERS", r#"{"X-Secret":"s"}"#)]).unwrap();
    let head = RequestHead {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "example.com".to_owned(),
        target: crate::message::target::Target::new("/"),
        headers: HeaderMap::new(),
    };
    let has_secret = |url: &str| request(url.to_owned(), &head, &config).is_for_homeserver;
    assert!(has_secret("https://origin.example.com/.well-known/matrix/client"));
    assert!(!has_secret("https://origin.example.com/_synapse/admin/v1/users"));
    assert!(!has_secret("https://origin.example.com.evil.org/x"));
    assert!(!has_secret("https://example.com/x"));
}

#[test]
fn the_readers_address_goes_to_the_admins_own_hosts_only() {
    let config = config(&[("WELL_KNOWN_URL", "https://web.example.com")]).unwrap();
    let head = RequestHead {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "example.com".to_owned(),
        target: crate::message::target::Target::new("/"),
        headers: HeaderMap::from_iter([(
            http::HeaderName::from_static("cf-connecting-ip"),
            HeaderValue::from_static("203.0.113.7"),
        )]),
    };
    for (url, expected) in [
        ("https://origin.example.com/.well-known/matrix/client", true),
        ("https://web.example.com/.well-known/matrix/client", true),
        ("https://elsewhere.example.com/.well-known/matrix/client", false),
    ] {
        let asked = request(url.to_owned(), &head, &config);
        assert_eq!(asked.set.contains_key("x-forwarded-for"), expected, "{url}");
    }
}

#[test]
fn an_untouched_document_has_a_lifetime_for_servers_alone() {
    let has_lifetime = |document, status| {
        let answer = answer(status, &[], "not JSON");
        let (reply, _) = decide(document, &answer, None, &config(&[]).unwrap(), NOW);
        match reply {
            WellKnownReply::Untouched(head) => head.headers.contains_key(CACHE_CONTROL),
            other => panic!("{other:?}"),
        }
    };
    assert!(has_lifetime(Document::Server, 200));
    assert!(!has_lifetime(Document::Server, 404));
    assert!(!has_lifetime(Document::Client, 200));
}

#[test]
fn a_stored_document_survives_the_round_trip() {
    let kept = KeptDocument { cache_control: Some("max-age=\"60\"".to_owned()), ..kept() };
    let meta = kept.meta();
    let meta = meta.to_str().unwrap();
    assert_eq!(KeptDocument::parse(meta, kept.text.clone().into_bytes()), Some(kept));
    assert_eq!(KeptDocument::parse(&meta.replacen('3', "4", 1), vec![]), None);
    for silent in [self::kept(), missing_since(NOW)] {
        let meta = silent.meta();
        // Headers lose the space at their end.
        let meta = meta.to_str().unwrap().trim_end();
        let text = silent.text.clone().into_bytes();
        assert_eq!(KeptDocument::parse(meta, text), Some(silent));
    }
}

#[test]
fn a_record_of_a_version_before_is_read_and_has_no_date() {
    let parse = |meta: &str| KeptDocument::parse(meta, kept().text.into_bytes());
    let undated = KeptDocument { asked_unix_secs: 0, ..kept() };
    let cache_control = Some("max-age=5, a".to_owned());
    let told = KeptDocument { cache_control, ..undated.clone() };
    for record in [format!("1 {NOW}"), format!("2 {NOW} -")] {
        assert_eq!(parse(&record), Some(undated.clone()), "{record}");
        assert_eq!(parse(&format!("{record} max-age=5, a")), Some(told.clone()), "{record}");
    }
    let missing = KeptDocument { missing_since_unix_secs: Some(5), ..undated };
    assert_eq!(parse(&format!("2 {NOW} 5 ")), Some(missing));
}

#[test]
fn a_copy_has_the_second_in_which_its_host_was_asked() {
    let (config, text) = (config(&[]).unwrap(), r#"{"m.server":"a:1"}"#);
    let times = FetchTimes { asked_unix_secs: NOW - 4, answered_unix_secs: NOW };
    let fetched = answer(200, &[("cache-control", "max-age=60")], text);
    let (_, change) = super::decide(Document::Server, &fetched, Some(&kept()), &config, times);
    let CopyChange::Store(new) = change else { panic!("{change:?}") };
    assert_eq!((new.asked_unix_secs, new.fresh_until_unix_secs), (NOW - 4, NOW + 60));
    // An answer without a document leaves the text, and so its second.
    let times = FetchTimes { asked_unix_secs: NOW + 9, answered_unix_secs: NOW + 9 };
    let (_, change) =
        super::decide(Document::Server, &answer(404, &[], ""), Some(&new), &config, times);
    assert!(matches!(change, CopyChange::Store(marked) if marked.asked_unix_secs == NOW - 4));
}
