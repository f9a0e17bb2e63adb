use http::StatusCode;

use super::super::{Fetched, decide};
use super::*;
use crate::cache::entry::FetchTimes;
use crate::cache::key::KeyPrefix;
use crate::config::tests::config;
use crate::origin::{OriginError, OriginHead};

const NOW: u64 = 1_700_000_000;

fn config_of(secs: u64) -> Config {
    config(&[("WELL_KNOWN_SECONDS", &secs.to_string()), ("WELL_KNOWN_GENERATE", "true")]).unwrap()
}

fn copy(text: &str) -> KeptDocument {
    KeptDocument {
        text: text.to_owned(),
        cache_control: Some("no-store".to_owned()),
        fresh_until_unix_secs: NOW,
        missing_since_unix_secs: None,
        asked_unix_secs: NOW,
    }
}

fn ready(config: &Config) -> ReadyReply {
    ReadyReply::of_copy(Document::Server, &copy(r#"{"m.server":"a:1"}"#), config).unwrap()
}

/// Returns what may be done with a reply of that second, as a word, at this one.
fn word(ready: &ReadyReply, config: &Config, now: u64) -> &'static str {
    let reuse = ready.reuse(&Purges::default(), config, now);
    assert_eq!(ready.is_young(config, now), !matches!(reuse, Reuse::AskHost));
    match reuse {
        Reuse::Send(_) => "send",
        Reuse::SendAndRefresh(_) => "refresh",
        Reuse::AskHost => "ask",
    }
}

#[test]
fn a_reply_is_sent_until_half_of_its_time_then_refreshed_and_then_its_host_is_asked() {
    for (secs, age, expected) in [
        (300, 0, "send"),
        (300, 149, "send"),
        (300, 150, "refresh"),
        (300, 299, "refresh"),
        (300, 300, "ask"),
        (300, 86_400, "ask"),
        (3, 1, "send"),
        (3, 2, "refresh"),
        (1, 0, "send"),
        (1, 1, "ask"),
    ] {
        let config = config_of(secs);
        assert_eq!(word(&ready(&config), &config, NOW + age), expected, "{age} of {secs}");
    }
}

#[test]
fn a_reply_of_the_future_is_not_sent() {
    let config = config_of(300);
    assert_eq!(word(&ready(&config), &config, NOW - 1), "ask");
}

#[test]
fn no_copy_is_sent_again_with_a_time_of_0() {
    let named = copy(r#"{"m.server":"a:1"}"#);
    assert!(ReadyReply::of_copy(Document::Server, &named, &config_of(0)).is_none());
}

#[test]
fn a_copy_that_names_no_server_is_not_sent_again() {
    let config = config_of(300);
    for text in ["{}", r#"{"errcode":"M_UNKNOWN"}"#, r#"{"m.server":""}"#, "[]", ""] {
        assert!(ReadyReply::of_copy(Document::Server, &copy(text), &config).is_none(), "{text}");
    }
    let of_servers = copy(r#"{"m.server":"a:1"}"#);
    assert!(ReadyReply::of_copy(Document::Client, &of_servers, &config).is_none());
}

#[test]
fn a_reply_tells_its_age_and_keeps_its_hosts_lifetime() {
    let config = config_of(300);
    let client = copy(r#"{"m.homeserver":{"base_url":"https://a"}}"#);
    let client = ReadyReply::of_copy(Document::Client, &client, &config).unwrap();
    for (ready, lifetime) in [(client, "no-store"), (ready(&config), "public, max-age=3600")] {
        let Reuse::Send(head) = ready.reuse(&Purges::default(), &config, NOW + 70) else {
            panic!()
        };
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers["age"], "70");
        assert_eq!(head.headers["cache-control"], lifetime);
        assert_eq!(head.headers["cache-status"], "matrix-media-edge; hit; ttl=230");
        assert!(ready.text().contains("m.media_server"), "{}", ready.text());
    }
}

#[test]
fn a_purged_reply_is_not_sent() {
    let config = config_of(300);
    let everything = KeyPrefix::everything(&config.server_name);
    let purges = Purges::default().with(&everything, NOW + 10, &config).unwrap();
    assert!(matches!(ready(&config).reuse(&purges, &config, NOW + 11), Reuse::AskHost));
    let later = KeptDocument { asked_unix_secs: NOW + 20, ..copy(r#"{"m.server":"a:1"}"#) };
    let later = ReadyReply::of_copy(Document::Server, &later, &config).unwrap();
    assert!(matches!(later.reuse(&purges, &config, NOW + 21), Reuse::Send(_)));
}

#[test]
fn a_reply_outlives_no_purge_that_is_forgotten() {
    let config = config(&[("CACHE_SECONDS", "60")]).unwrap();
    let ready = ready(&config);
    assert_eq!([59, 60].map(|age| word(&ready, &config, NOW + age)), ["refresh", "ask"]);
}

#[test]
fn a_reply_gives_way_to_one_that_was_asked_for_later_and_not_to_an_earlier_one() {
    let of = |secs| ReadyReply { asked_unix_secs: secs, ..ready(&config_of(300)) };
    assert!(of(NOW).replaces(&of(NOW - 1), NOW) && of(NOW).replaces(&of(NOW), NOW));
    assert!(!of(NOW - 1).replaces(&of(NOW), NOW));
    assert!(of(NOW).replaces(&of(NOW + 9), NOW), "a clock was wrong");
}

#[test]
fn the_isolates_reply_follows_the_copy() {
    let config = config_of(300);
    let after = |reply: &WellKnownReply, change, config: &Config| match ReadyChange::after(
        Document::Server,
        reply,
        &change,
        config,
        NOW + 5,
    ) {
        ReadyChange::Unchanged => "unchanged".to_owned(),
        ReadyChange::Forget => "forget".to_owned(),
        ReadyChange::Keep(ready) => format!("{}: {}", ready.asked_unix_secs - NOW, ready.text),
    };
    let head = || ready(&config).head;
    let reply = WellKnownReply::Document(head(), "reply".to_owned());
    let generated = WellKnownReply::Generated(head(), "generated".to_owned());
    let named = || CopyChange::Store(copy(r#"{"m.server":"a:1","m.media_server":"b:2"}"#));
    let kept = r#"0: {"m.server":"a:1","m.media_server":"b:2"}"#;
    assert_eq!(after(&reply, named(), &config), kept);
    assert_eq!(after(&reply, named(), &config_of(0)), "forget");
    assert_eq!(after(&reply, CopyChange::Store(copy("{}")), &config), "forget");
    assert_eq!(after(&reply, CopyChange::Unchanged, &config), "unchanged");
    assert_eq!(after(&reply, CopyChange::Remove, &config), "forget");
    for change in [CopyChange::Unchanged, CopyChange::Remove] {
        assert_eq!(after(&generated, change, &config), "5: generated");
    }
    assert_eq!(after(&generated, CopyChange::Unchanged, &config_of(0)), "unchanged");
}

/// Random numbers by the constants of Knuth's MMIX generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A data centre with some isolates, before a host whose document changes.
struct Place {
    config: Config,
    isolates: [Option<ReadyReply>; 3],
    pop: Option<KeptDocument>,
    /// Answers on their way: the isolate, when the host was asked, and the answer.
    under_way: Vec<(usize, u64, Fetched)>,
    /// Since when the host's document has been each version.
    versions: Vec<u64>,
}

impl Place {
    fn host_says(&self) -> Fetched {
        let text = format!(r#"{{"m.server":"v{}:1"}}"#, self.versions.len());
        let head = OriginHead { status: StatusCode::OK, headers: http::HeaderMap::new() };
        Fetched::Whole(head, text.into())
    }

    /// Takes an answer as the shell does. Returns the reply.
    fn take(&mut self, isolate: usize, asked: u64, fetched: &Fetched, now: u64) -> WellKnownReply {
        let times = FetchTimes { asked_unix_secs: asked, answered_unix_secs: now };
        let (reply, change) =
            decide(Document::Server, fetched, self.pop.as_ref(), &self.config, times);
        let ready = ReadyChange::after(Document::Server, &reply, &change, &self.config, asked);
        if let ReadyChange::Keep(new) = ready {
            self.keep(isolate, new, now);
        }
        if let CopyChange::Store(copy) = change {
            self.pop = Some(copy);
        }
        reply
    }

    fn keep(&mut self, isolate: usize, new: ReadyReply, now: u64) {
        let slot = &mut self.isolates[isolate];
        if slot.as_ref().is_none_or(|old| new.replaces(old, now)) {
            *slot = Some(new);
        }
    }

    /// Returns the text that a client gets without the host, and whether that asks for a refresh.
    fn reuse(&mut self, isolate: usize, now: u64) -> Option<(String, bool)> {
        let of_pop = self.pop.as_ref();
        let of_pop = of_pop.and_then(|c| ReadyReply::of_copy(Document::Server, c, &self.config));
        for ready in [self.isolates[isolate].clone(), of_pop].into_iter().flatten() {
            let text = ready.text.clone();
            let is_aging = match ready.reuse(&Purges::default(), &self.config, now) {
                Reuse::Send(_) => false,
                Reuse::SendAndRefresh(_) => true,
                Reuse::AskHost => continue,
            };
            self.keep(isolate, ready, now);
            return Some((text, is_aging));
        }
        None
    }

    /// Claims that a text was the host's at some time within the last `secs`.
    fn assert_young(&self, text: &str, secs: u64, now: u64) {
        let (_, rest) = text.split_once("\"v").expect("a version");
        let (version, _) = rest.split_once(':').expect("a port");
        let version: usize = version.parse().expect("a number");
        // It was until the next version came.
        let ended = self.versions.get(version).copied().unwrap_or(now);
        assert!(now - ended <= secs, "version {version} has ended {} s ago", now - ended);
    }
}

#[test]
fn no_client_gets_an_older_document_than_the_admin_allows_while_its_host_answers() {
    const SLOWEST_SECS: u64 = 4;
    let mut random = Random(1);
    let mut seen = [0_u32; 3];
    for secs in [0, 1, 2, 60, 300] {
        let config = config_of(secs);
        let (isolates, pop) = ([const { None }; 3], None);
        let mut place = Place { config, isolates, pop, under_way: Vec::new(), versions: vec![NOW] };
        let mut now = NOW;
        for _ in 0..20_000 {
            now += [0, 0, 1, 2, secs / 4, secs / 2, secs][random.below(7) as usize];
            if random.below(5) == 0 {
                place.versions.push(now);
            }
            if random.below(20) == 0 {
                // The data centre's cache may lose anything, and isolates end.
                place.pop = None;
                place.isolates[random.below(3) as usize] = None;
            }
            if random.below(2) == 0 && !place.under_way.is_empty() {
                let next = random.below(place.under_way.len() as u64) as usize;
                let (isolate, asked, fetched) = place.under_way.swap_remove(next);
                if now <= asked + SLOWEST_SECS {
                    place.take(isolate, asked, &fetched, now);
                }
            }
            let isolate = random.below(3) as usize;
            if let Some((text, is_aging)) = place.reuse(isolate, now) {
                seen[usize::from(is_aging)] += 1;
                place.assert_young(&text, secs, now);
                if is_aging && place.under_way.iter().all(|(other, ..)| *other != isolate) {
                    let failed = || Fetched::Failed(OriginError::TimedOut);
                    let answer = if random.below(4) == 0 { failed() } else { place.host_says() };
                    place.under_way.push((isolate, now, answer));
                }
                continue;
            }
            seen[2] += 1;
            let answer = place.host_says();
            let asked = now;
            now += random.below(SLOWEST_SECS);
            match place.take(isolate, asked, &answer, now) {
                WellKnownReply::Document(_, text) => place.assert_young(&text, SLOWEST_SECS, now),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(seen.iter().all(|times| *times > 1_000), "{seen:?}");
}
