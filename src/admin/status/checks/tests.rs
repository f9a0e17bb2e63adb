use super::*;
use crate::admin::status::Level;
use crate::config::tests::config;
use crate::origin::{OriginError, OriginHead};
use http::{HeaderMap, HeaderName, HeaderValue};

const NOW: u64 = 1_700_000_000;
const VERSIONS: &str = r#"{"versions":["r0.6.1","v1.1","v1.12"]}"#;

#[test]
fn the_list_of_quarantined_media_is_a_problem_from_180_seconds_on() {
    let vars = [
        ("LEASE_SECONDS", "60"),
        ("MEDIA_LEASE_SECONDS", "60"),
        ("SYNAPSE_ADMIN_TOKEN", "syt_admin_0123456789"),
    ];
    let watched = config(&vars).unwrap();
    let read = |secs: u64| Some(Stamp::complete(None, NOW - secs));
    for (stamp, level, found) in [
        (read(0), Level::Ok, "It was read 0 s ago."),
        (read(179), Level::Ok, "It was read 179 s ago."),
        (read(180), Level::Error, "It was read 180 s ago."),
        (None, Level::Error, "It has not been read to its end yet."),
    ] {
        let finding = evaluate_quarantine_list(&watched, stamp, NOW).unwrap();
        assert_eq!((finding.level, &*finding.found), (level, found));
    }
    assert_eq!(evaluate_quarantine_list(&config(&[]).unwrap(), None, NOW), None);
}

fn heard(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Answer {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let status = StatusCode::from_u16(status).unwrap();
    Ok(ProbeResponse {
        is_for_browsers: headers.contains_key("access-control-allow-origin"),
        head: OriginHead { status, headers },
        body: body.to_owned(),
        waited_ms: 12,
        date_unix_secs: Some(NOW - 3),
    })
}

fn level(probe: Probe, answer: &Answer, check: Check) -> Level {
    let findings = evaluate_probe(probe, answer, &config(&[]).unwrap(), NOW);
    let finding = findings.iter().find(|finding| finding.check == check).unwrap();
    assert_eq!(finding.level == Level::Ok, finding.cure.is_none(), "{finding:?}");
    finding.level
}

fn versions(answer: &Answer, check: Check) -> Level {
    level(Probe::Versions, answer, check)
}

#[test]
fn a_homeserver_that_answers_is_good_and_any_other_is_bad() {
    assert_eq!(versions(&heard(200, VERSIONS, &[]), Check::Homeserver), Level::Ok);
    for answer in [
        heard(200, "<html>", &[]),
        heard(502, "{}", &[]),
        heard(508, "{}", &[]),
        Err(OriginError::TimedOut),
        Err(OriginError::Unreachable),
    ] {
        assert_eq!(versions(&answer, Check::Homeserver), Level::Error, "{answer:?}");
    }
}

#[test]
fn a_bot_wall_is_found() {
    let wall = heard(403, "<html>", &[("cf-mitigated", "challenge")]);
    assert_eq!(versions(&wall, Check::BotWall), Level::Error);
    assert_eq!(level(Probe::Keys, &wall, Check::Federation), Level::Error);
    assert_eq!(versions(&heard(200, VERSIONS, &[]), Check::BotWall), Level::Ok);
}

#[test]
fn authenticated_media_is_recognized_by_version_or_by_feature() {
    for (body, expected) in [
        (VERSIONS, Level::Ok),
        (r#"{"versions":["v1.10"]}"#, Level::Error),
        (
            r#"{"versions":["v1.10"],"unstable_features":{"org.matrix.msc3916.stable":true}}"#,
            Level::Ok,
        ),
        ("{}", Level::Error),
    ] {
        let answer = heard(200, body, &[]);
        assert_eq!(versions(&answer, Check::AuthenticatedMedia), expected, "{body}");
    }
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    for (date, expected) in [
        (Some(NOW), Level::Ok),
        (Some(NOW - 30), Level::Ok),
        (Some(NOW + 31), Level::Error),
        (None, Level::Warning),
    ] {
        let answer =
            heard(200, VERSIONS, &[]).map(|heard| ProbeResponse { date_unix_secs: date, ..heard });
        assert_eq!(versions(&answer, Check::Clock), expected, "{date:?}");
    }
}

#[test]
fn anonymous_reads_must_be_refused() {
    for (status, expected) in
        [(401, Level::Ok), (404, Level::Warning), (200, Level::Error), (500, Level::Error)]
    {
        let answer = heard(status, "{}", &[]);
        assert_eq!(level(Probe::Media, &answer, Check::AnonymousReads), expected, "{status}");
    }
}

#[test]
fn findings_name_a_challenge_and_anonymous_reads() {
    let found = |probe, answer: &Answer, check| {
        let findings = evaluate_probe(probe, answer, &config(&[]).unwrap(), NOW);
        findings.into_iter().find(|finding| finding.check == check).unwrap().found
    };
    let wall = heard(403, "<html>", &[("cf-mitigated", "challenge")]);
    assert!(found(Probe::Keys, &wall, Check::Federation).contains("challenged"));
    let media = |status| found(Probe::Media, &heard(status, "{}", &[]), Check::AnonymousReads);
    assert!(media(200).contains("served to a stranger"));
    assert!(!media(500).contains("served to a stranger"));
}

#[test]
fn server_keys_must_be_readable() {
    for (status, body, expected) in
        [(200, "{}", Level::Ok), (404, "{}", Level::Warning), (200, "x", Level::Error)]
    {
        let answer = heard(status, body, &[]);
        assert_eq!(level(Probe::Keys, &answer, Check::Federation), expected, "{status}");
    }
}

#[test]
fn well_known_must_name_this_media_domain_with_cors() {
    const OURS: &str = r#"{"m.media_server":{"base_url":"https://media.example.com"},
        "com.beeper.msc3859.m.media_server":{"base_url":"https://media.example.com"}}"#;
    let cors = [("access-control-allow-origin", "*")];
    let client = Probe::WellKnown(Document::Client);
    for (answer, expected) in [
        (heard(200, OURS, &cors), Level::Ok),
        (heard(200, OURS, &[]), Level::Error),
        (heard(200, "{}", &cors), Level::Warning),
        (heard(200, &OURS.replace("media.example", "other.example"), &cors), Level::Warning),
        (heard(404, "", &[]), Level::Warning),
        (heard(500, "", &cors), Level::Error),
        (heard(200, "<html>", &cors), Level::Error),
        (Err(OriginError::Unreachable), Level::Error),
    ] {
        assert_eq!(level(client, &answer, Check::WellKnownClient), expected, "{answer:?}");
    }
    let server = heard(
        200,
        r#"{"m.media_server":"media.example.com:443",
            "com.beeper.msc3859.m.media_server":"media.example.com:443"}"#,
        &[],
    );
    let probe = Probe::WellKnown(Document::Server);
    assert_eq!(level(probe, &server, Check::WellKnownServer), Level::Ok);
}

#[test]
fn an_unexpected_answer_is_described() {
    let found = |answer: &Answer| {
        let findings = evaluate_probe(Probe::Keys, answer, &config(&[]).unwrap(), NOW);
        findings[0].found.clone()
    };
    for (answer, expected) in [
        (heard(200, "<html>", &[]), "The answer is not a JSON object."),
        (heard(502, "{}", &[]), "A proxy answered 502 in the homeserver's place."),
        (heard(502, r#"{"errcode":"M_UNKNOWN"}"#, &[]), "The answer was 502."),
        (
            heard(403, "error code: 1010", &[]),
            "A firewall in front of the homeserver blocks the edge.",
        ),
        (heard(429, "<html>", &[]), "A rate limit in front of the homeserver holds the edge up."),
        (Err(OriginError::TimedOut), "There was no answer in time."),
        (Err(OriginError::Unreachable), "It could not be reached."),
    ] {
        assert_eq!(found(&answer), expected);
    }
}

#[test]
fn an_intermediary_is_named_with_its_own_cure() {
    let evaluated = |answer: &Answer| {
        let findings = evaluate_probe(Probe::Versions, answer, &config(&[]).unwrap(), NOW);
        let [homeserver, wall, ..] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((homeserver.level, wall.level), (Level::Error, Level::Error), "{findings:?}");
        assert_eq!(homeserver.cure, wall.cure);
        (homeserver.found.clone(), homeserver.cure.unwrap())
    };
    for (answer, found, cure) in [
        (heard(403, "error code: 1010", &[]), "firewall", "Security > Events"),
        (heard(429, "<html>", &[]), "rate limit", "bypass the rate limit"),
        (heard(522, "<html>", &[]), "Cloudflare answered 522", "firewall doesn't drop"),
        (heard(526, "<html>", &[]), "Cloudflare answered 526", "valid certificate"),
    ] {
        let evaluated = evaluated(&answer);
        assert!(evaluated.0.contains(found) && evaluated.1.contains(cure), "{evaluated:?}");
    }
}

#[test]
fn a_loop_is_distinguished_from_a_failing_homeserver() {
    let findings = |status| {
        let answer = heard(status, "{}", &[]);
        evaluate_probe(Probe::Versions, &answer, &config(&[]).unwrap(), NOW)
    };
    assert_eq!(findings(508)[0].cure, Some(LOOPS));
    assert_eq!(findings(502)[0].cure, Some(REACH));
}

#[test]
fn memory_is_reported_in_mebibytes() {
    let found = |mib| {
        let config = config(&[("MEMORY_CACHE_MIB", mib)]).unwrap();
        let findings = evaluate_tiers(&config, Some(30), None);
        findings.into_iter().find(|finding| finding.check == Check::Memory).unwrap().found
    };
    assert_eq!(found("32"), "It holds up to 32 MiB an isolate.");
    assert_eq!(found("48"), "It holds up to 40 MiB an isolate, less than MEMORY_CACHE_MIB says.");
    assert_eq!(found("0"), "It is turned off.");
}

#[test]
fn tiers_are_good_when_they_store() {
    let config = config(&[]).unwrap();
    let bad = |pop, bucket| {
        let findings = evaluate_tiers(&config, pop, bucket);
        findings.into_iter().filter(|finding| finding.level == Level::Error).count()
    };
    assert_eq!((bad(Some(0), None), bad(Some(3_000), Some(true))), (0, 0));
    assert_eq!((bad(None, None), bad(Some(0), Some(false))), (1, 1));
}

#[test]
fn a_disabled_cache_is_reported_with_its_causes() {
    let findings = evaluate_tiers(&config(&[]).unwrap(), None, None);
    let cure = findings.iter().find_map(|finding| finding.cure).unwrap();
    for cause in ["Access", "Development Mode", "Cache Rule", "workers.dev"] {
        assert!(cure.contains(cause), "{cause}: {cure}");
    }
}

#[test]
fn a_slow_cache_is_reported_with_its_delay() {
    let findings = evaluate_tiers(&config(&[]).unwrap(), Some(1_500), None);
    let pop = findings.iter().find(|finding| finding.check == Check::Pop).unwrap();
    assert_eq!(pop.level, Level::Ok);
    assert!(pop.found.contains("1500 ms"), "{}", pop.found);
}

#[test]
fn a_loop_of_media_requests_alone_is_found() {
    let loops = heard(508, r#"{"errcode":"M_UNKNOWN","error":"Loop"}"#, &[]);
    let findings = evaluate_probe(Probe::Media, &loops, &config(&[]).unwrap(), NOW);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.found, "HOMESERVER_URL leads back to the edge.");
}

#[test]
fn a_document_that_names_the_origin_is_bad_where_clients_know_another_host() {
    let document = r#"{"m.server":"origin.example.com:443","m.media_server":"media.example.com:443",
        "com.beeper.msc3859.m.media_server":"media.example.com:443"}"#;
    let evaluated = |vars: &[(&'static str, &str)]| {
        let config = config(vars).unwrap();
        let probe = Probe::WellKnown(Document::Server);
        evaluate_probe(probe, &heard(200, document, &[]), &config, NOW)[0].level
    };
    assert_eq!(evaluated(&[("PUBLIC_URL", "https://matrix.example.com")]), Level::Error);
    assert_eq!(evaluated(&[]), Level::Ok);
}
