//! What may be answered, worked out from the homeserver's words and the media alone.
//!
//! *Permission*: media goes out on the homeserver's yes to this very request; or, while a lease or
//! the stale window lasts, on its last words about the credential and about this kind of the media
//! at that door, as far as this isolate has heard them. Time is the edge's clock's; the yes is
//! counted from the second it was asked for, and ends less than `n` seconds after it was said. What
//! others say in the homeserver's place is no word, whatever its status: it goes to the one who
//! asked, and changes nothing. Nobody is served stale but while the homeserver is down for a probe.
//! *Representation*: status, head and bytes are those of that media and nothing else.
//! *Refusals*: the origin's own, to the letter.
//! *Retention*: what is looked up is younger than `CACHE_SECONDS`, and the origin was asked for it
//! after every purge of it that was heard of. A body that is open already may go on.

use http::Method;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, AGE, AUTHORIZATION, CONTENT_DISPOSITION,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
    USER_AGENT,
};
use matrix_media_edge::cache::purge_list::CLOCK_MARGIN_SECS;
use matrix_media_edge::config::OriginRedirects;
use matrix_media_edge::config::lease_policy::LeaseScope;
use matrix_media_edge::lease::LeaseChange;
use matrix_media_edge::lease::standing::LIST_COUNTS_SECS;
use matrix_media_edge::matrix::media::Door;
use percent_encoding::percent_decode_str;

use crate::ask::{Span, What};
use crate::edge::pop_of;
use crate::flight::{Answered, Change, Exchanged, Flight, Reply, Word};
use crate::homeserver::{By, HOMESERVER, Media, envelope};
use crate::proxy::FORWARDED_PROTO;
use crate::world::World;

type Verdict = Result<(), String>;

/// Two in vain (`whoami`, HEAD), one for the media, five hops.
const MAX_QUESTIONS: usize = 8;

/// The headers of a question whose answer others may get.
const ASKED_WITH: [&str; 8] = [
    "accept-encoding",
    "authorization",
    "if-modified-since",
    "if-none-match",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-matrix-media-edge",
];

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ground {
    /// The homeserver's yes to this request.
    Yes,
    /// `whoami`, and the media's lease.
    Identity,
    /// Two leases.
    Lease,
    /// The homeserver is down.
    Stale,
}

pub fn check(world: &World, answered: &Answered) -> Verdict {
    let Answered { flight, reply, .. } = answered;
    changes(world, answered)?;
    discretion(answered)?;
    if flight.is_behind() {
        return Ok(());
    }
    effort(world, answered)?;
    suspicion(flight)?;
    let last = flight.talk.last();
    let ground = match last {
        _ if is_stale(reply) => Ground::Stale,
        None => Ground::Lease,
        Some(last) if !flight.has_looked_up() => return relayed(last, answered),
        Some(last) => match (last.answer.by, last.answer.status()) {
            (_, None) => return relayed(last, answered),
            (By::Homeserver | By::Cdn, Some(200)) if last.is_whoami() => Ground::Identity,
            (By::Homeserver | By::Cdn, Some(200 | 206)) => Ground::Yes,
            (By::Homeserver, Some(304)) => Ground::Yes,
            (By::Homeserver, Some(307)) if follows(world, flight.ask.door) => Ground::Yes,
            (By::Proxy | By::Login, Some(200)) if !is_html(last) => return page(last, answered),
            (By::Proxy, Some(301 | 302)) if !follows(world, flight.ask.door) => {
                return relayed_redirect(last, answered);
            }
            // Who wants redirects gets those that the edge may not follow.
            (By::Proxy, Some(302)) if flight.ask.wants_redirects() => {
                return relayed_redirect(last, answered);
            }
            // Neither it nor where it leads is for clients.
            (By::Proxy | By::Login, Some(_)) => return own_error(502, reply),
            _ if last.is_redirected() => return own_error(502, reply),
            (_, Some(301 | 302 | 307)) => return relayed_redirect(last, answered),
            _ => return relayed(last, answered),
        },
    };
    permission(world, answered, ground)?;
    outage(world, answered)?;
    retention(world, answered)?;
    representation(world, answered)
}

/// What is kept for others, removed or granted is so by the homeserver's own words: nothing that
/// somebody says in its place changes anything.
fn changes(world: &World, Answered { flight, change, .. }: &Answered) -> Verdict {
    let Change { is_stored, is_removed, leases } = *change;
    if !is_stored && !is_removed && leases == LeaseChange::Unchanged {
        return Ok(());
    }
    let Some(last) = flight.talk.last() else { return Err("a change without a word".into()) };
    let status = last.answer.status();
    let complaint = |what: &str| format!("{what} by {:?} {status:?}", last.answer.by);
    if is_stored {
        let is_led_there = flight.talk.iter().find(|told| told.is_redirect());
        let is_media = match last.answer.by {
            By::Homeserver => is_led_there.is_none_or(|told| told.answer.by == By::Homeserver),
            By::Cdn => is_led_there.is_some_and(|told| told.answer.by == By::Homeserver),
            By::Proxy | By::Login => false,
        };
        expect(is_media && status == Some(200), || complaint("stored"))?;
    }
    let is_own = last.answer.by == By::Homeserver && !last.is_redirected();
    let is_plain = flight.ask.is_on_plain_terms();
    let is_pair = world.config.lease.scope == LeaseScope::TokenAndMedia;
    if is_removed {
        let is_gone = is_own && is_plain && matches!(status, Some(404 | 410 | 451));
        let is_for_all = flight.ask.door != Door::Legacy && !is_pair;
        expect(is_gone && is_for_all, || complaint("removed"))?;
    }
    let is_right = match leases {
        LeaseChange::Unchanged => true,
        LeaseChange::Grant { .. } => matches!(status, Some(200 | 304)) && !last.is_whoami(),
        LeaseChange::GrantCredential { .. } => status == Some(200) && last.is_whoami(),
        LeaseChange::RevokeCredential => matches!(status, Some(401 | 403 | 404 | 410 | 451)),
        LeaseChange::RevokeMedia => {
            matches!(status, Some(404 | 410 | 451))
                || flight.ask.door == Door::Legacy && matches!(status, Some(401 | 403))
        }
    };
    expect(leases == LeaseChange::Unchanged || is_right && is_own && is_plain, || {
        complaint(&format!("{leases:?}"))
    })
}

/// What others may get is asked with nothing of the reader's but credential, address and a bounded
/// name; and nobody who is refused learns what is stored.
fn discretion(Answered { flight, reply, .. }: &Answered) -> Verdict {
    for told in &flight.talk {
        let sent = &told.wire.headers;
        let scheme = sent.get(FORWARDED_PROTO);
        expect(scheme.is_none_or(|scheme| scheme == "https"), || format!("{scheme:?}"))?;
        let is_foreign = |name: &&HeaderName| !ASKED_WITH.contains(&name.as_str());
        let foreign = sent.keys().find(|name| is_foreign(name) && *name != RANGE);
        let range = sent.get(RANGE).and_then(|range| range.to_str().ok());
        expect(
            range.is_none() || !flight.has_looked_up() || range == missing_part(flight).as_deref(),
            || format!("{range:?} is asked for"),
        )?;
        expect(!flight.has_looked_up() || foreign.is_none(), || format!("{foreign:?} is asked"))?;
        let agent = sent.get(USER_AGENT).map_or(0, |agent| agent.len());
        expect(agent <= 256, || format!("a User-Agent of {agent} bytes"))?;
    }
    let is_told = reply.headers.contains_key("cache-status");
    expect(!flight.has_looked_up() || !is_told || is_media(reply), || {
        format!("{} tells what is stored", reply.status)
    })
}

fn expect(is_so: bool, complaint: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(complaint()) }
}

fn follows(world: &World, door: Door) -> bool {
    world.config.origin_redirects == OriginRedirects::Follow && door != Door::Federation
}

const fn is_media(reply: &Reply) -> bool {
    matches!(reply.status, 200 | 206 | 304 | 416)
}

/// The origin's own words; where there are none, 502 or 504 of ours.
fn relayed(last: &Exchanged, Answered { flight, reply, .. }: &Answered) -> Verdict {
    expect(!reply.is_stored, || "stored bytes in place of the origin's words".into())?;
    let is_head = flight.ask.method == Method::HEAD;
    match &last.answer.head {
        // What others say in the homeserver's place is not for clients.
        Ok(head)
            if last.answer.by == By::Proxy
                && (head.status.as_u16() >= 400 || is_html(last) && head.status.is_success()) =>
        {
            own_error(502, reply)
        }
        Ok(head) => {
            expect(reply.status == head.status.as_u16(), || {
                format!("{} of the origin became {}", head.status, reply.status)
            })?;
            let body = if is_head { &[] } else { &last.answer.body[..] };
            expect(reply.body == body, || "the origin's words were changed".into())?;
            // HEAD is the edge's to add.
            let is_direct =
                last.direct.is_none_or(|direct| direct == reply.status || direct == 405);
            expect(is_direct, || format!("{} in place of {:?}", reply.status, last.direct))
        }
        Err(_) => own_error(last.answer.failure_status(), reply),
    }
}

fn relayed_redirect(last: &Exchanged, answered: &Answered) -> Verdict {
    let location = last.answer.head.as_ref().ok().map(|head| &head.headers[LOCATION]);
    let found = answered.reply.headers.get(LOCATION);
    expect(found == location, || "another Location".into())?;
    relayed(last, answered)
}

fn is_html(told: &Exchanged) -> bool {
    let head = told.answer.head.as_ref();
    head.is_ok_and(|head| {
        head.headers
            .get(CONTENT_TYPE)
            .is_some_and(|found| found.as_bytes().starts_with(b"text/html"))
    })
}

/// A page in the homeserver's place, for the one who asked: all of it, or what they wanted of it.
fn page(last: &Exchanged, Answered { flight, reply, .. }: &Answered) -> Verdict {
    expect(!reply.is_stored, || "stored bytes in place of a page".into())?;
    expect(is_media(reply), || format!("{} in place of a page", reply.status))?;
    let head = last.answer.head.as_ref().map_err(|error| format!("{error:?}"))?;
    let content_type = head.headers[CONTENT_TYPE].to_str().ok().map(str::to_owned);
    same(reply, &CONTENT_TYPE, content_type)?;
    let has_body = flight.ask.method != Method::HEAD && reply.status != 304;
    let page = &last.answer.body;
    let is_of_page = page.windows(reply.body.len().max(1)).any(|part| part == reply.body);
    let is_right = reply.body.is_empty() || has_body && is_of_page;
    expect(is_right, || format!("{:?} in place of a page", text(&reply.body)))
}

fn own_error(status: u16, reply: &Reply) -> Verdict {
    let says_so = reply.body.is_empty() || reply.body.starts_with(b"{\"errcode\":\"M_UNKNOWN\"");
    expect(reply.status == status && says_so, || {
        format!("{} in place of {status} M_UNKNOWN", reply.status)
    })
}

/// Nobody is asked more than the promise costs.
fn effort(world: &World, Answered { flight, reply, .. }: &Answered) -> Verdict {
    let found = &flight.found;
    let talk = &flight.talk;
    let status = reply.headers.get("cache-status").and_then(|status| status.to_str().ok());
    let is_hit = status.is_some_and(|status| status.contains("; hit"));
    expect(is_hit == (talk.is_empty() || is_stale(reply)), || {
        format!("{status:?} after {} questions", talk.len())
    })?;
    expect(is_hit == reply.headers.contains_key(AGE), || "Age is for hits".into())?;
    expect(talk.len() <= MAX_QUESTIONS, || format!("{} questions", talk.len()))?;
    let Some(stored) = found.stored.as_ref().map(|stored| &stored.meta) else { return Ok(()) };
    let lasts = |since: Option<u64>| {
        let seconds = world.config.lease.lease_secs;
        since.is_some_and(|at| at <= found.now_unix_secs && found.now_unix_secs - at < seconds)
    };
    let media = found.leases.media.filter(|at| !found.leases.watch.ends(*at));
    let is_leased =
        lasts(media) && (flight.ask.door == Door::Legacy || lasts(found.leases.credential));
    expect(!is_leased || talk.is_empty(), || "a living lease, and yet a question".into())?;
    let is_in_window = |since: Option<u64>| {
        let seconds = world.config.lease.stale_if_error_secs;
        since.is_some_and(|at| at <= found.now_unix_secs && found.now_unix_secs - at < seconds)
    };
    let may_be_stale = is_in_window(media)
        && (flight.ask.door == Door::Legacy || is_in_window(found.leases.credential));
    expect(!(may_be_stale && found.is_down_known) || talk.is_empty(), || {
        "a question to a homeserver that is known to be down".into()
    })?;
    for (place, told) in talk.iter().enumerate() {
        if told.answer.status() == Some(304) && told.answer.by == By::Homeserver {
            let is_all = talk.len() == 1 && told.answer.body.is_empty();
            expect(is_all, || format!("a 304 at {place} of {} questions", talk.len()))?;
        }
    }
    // A HEAD and `whoami` need no condition.
    let (Some((name, _)), Some(first)) =
        (stored.validator().precondition(), talk.iter().find(|told| told.is_conditional()))
    else {
        return Ok(());
    };
    let sent = first.wire.headers.get(&name).and_then(|value| value.to_str().ok());
    let media = &world.homeserver.media[flight.ask.media];
    let tag = media.tag(flight.ask.what.name());
    let is_as_it_came = [Some("1"), Some(&tag), Some(Media::date())].contains(&sent);
    expect(is_as_it_came, || format!("{name}: {sent:?} is not the homeserver's"))
}

fn permission(world: &World, Answered { flight, .. }: &Answered, ground: Ground) -> Verdict {
    let policy = world.config.lease;
    let complaint = || format!("no permission: {ground:?}");
    let (window_secs, words) = match ground {
        Ground::Yes => {
            let is_judge =
                |told: &&Exchanged| told.answer.by == By::Homeserver && !told.is_redirected();
            let judge = flight.talk.iter().rev().find(is_judge);
            let said_yes = judge.is_some_and(|told| {
                matches!(told.answer.status(), Some(200 | 206 | 304 | 307))
                    && is_own(world, flight, told)
            });
            return expect(said_yes, complaint);
        }
        Ground::Lease => (policy.lease_secs, &world.words[..]),
        // What was heard since it looked is not known to it.
        Ground::Identity => (policy.lease_secs, &world.words[..flight.heard_before]),
        Ground::Stale => (policy.stale_if_error_secs, &world.words[..flight.heard_before]),
    };
    let ask = &flight.ask;
    expect(!ask.is_judged_alone(), || format!("{ground:?} for what is judged alone"))?;
    let is_pair = policy.scope == LeaseScope::TokenAndMedia;
    let is_about_token =
        |word: &&Word| word.token == ask.token() && (!is_pair || word.media == Some(ask.media));
    let is_about_media = |word: &&Word| word.media == Some(ask.media);
    // What is granted is one kind of a media; what is refused, both.
    let is_of_kind = |word: &Word| word.is_thumbnail == matches!(ask.what, What::Thumbnail(..));
    let is_open = ask.door == Door::Legacy;
    let lasts_for = |word: &Word, window_secs: u64| {
        let (now_ms, window_ms) = (world.edge_ms(flight.isolate), window_secs * 1000);
        word.came_ms / 1000 <= now_ms / 1000 && now_ms < word.said_ms.max(word.came_ms) + window_ms
    };
    let is_gone = |word: &Word| matches!(word.status, 404 | 410 | 451);
    let refuses_token = |word: &Word| matches!(word.status, 401 | 403) || is_pair && is_gone(word);
    let refuses_media = |word: &Word| {
        is_gone(word) && (is_open || !is_pair) || is_open && matches!(word.status, 401 | 403)
    };
    // Refusals that reached the data centre's cache are known to all of its isolates, but to those
    // that remember a living lease.
    let views: &[(bool, u64)] = match ground {
        Ground::Stale => &[(true, window_secs), (false, policy.lease_secs)],
        Ground::Yes | Ground::Lease | Ground::Identity => &[(false, window_secs)],
    };
    let is_good = |is_about: &dyn Fn(&&Word) -> bool,
                   refuses: &dyn Fn(&Word) -> bool,
                   grants: &dyn Fn(&Word) -> bool| {
        // A yes that was asked for before this isolate heard a no is no news.
        let is_outdated = |word: &Word| {
            let own = words.iter().filter(|no| no.isolate == flight.isolate && no.is_remembered);
            own.filter(|no| no.door == ask.door && is_about(no) && refuses(no))
                .any(|no| word.came_ms / 1000 <= no.heard_ms / 1000)
        };
        views.iter().any(|(is_shared, window_secs)| {
            words
                .iter()
                .rev()
                .filter(|word| word.door == ask.door)
                .filter(|word| {
                    word.is_heard_by(flight.isolate)
                        || *is_shared && word.is_shared_with(flight.isolate)
                })
                .filter(is_about)
                .take_while(|word| !refuses(word))
                .any(|word| grants(word) && lasts_for(word, *window_secs) && !is_outdated(word))
        })
    };
    let token_is_good = is_good(&is_about_token, &refuses_token, &|word| {
        word.is_yes() && (!is_pair || is_of_kind(word))
    });
    let media_is_good =
        is_good(&is_about_media, &refuses_media, &|word| word.is_yes() && is_of_kind(word));
    // Leases and `whoami` go by the list too.
    let media_is_good = media_is_good
        || ground != Ground::Stale && is_watched(world, flight, &is_about_media, &is_of_kind);
    // `whoami` has just told.
    let token_is_good = token_is_good || ground == Ground::Identity;
    expect(is_open || token_is_good, || format!("{} for the token", complaint()))?;
    expect(media_is_good, || format!("{} for the media", complaint()))
}

/// For how long after a quarantine it may not be heard of: the list counts for that long, and clocks
/// may differ.
const UNHEARD_MS: u64 = (LIST_COUNTS_SECS + 2 * CLOCK_MARGIN_SECS) * 1000;

/// Whether the homeserver has granted the media within `MEDIA_LEASE_SECONDS`, to anybody at the client
/// door, and its list has not named the media since, but for the time until that must be known.
fn is_watched(
    world: &World,
    flight: &Flight,
    is_about_media: &dyn Fn(&&Word) -> bool,
    is_of_kind: &dyn Fn(&Word) -> bool,
) -> bool {
    let policy = world.config.lease;
    if policy.media_lease_secs == 0 || flight.ask.door != Door::Client {
        return false;
    }
    let (now_ms, window_ms) = (world.edge_ms(flight.isolate), policy.media_lease_secs * 1000);
    let is_refused_here = |word: &Word| {
        let mut own = world.words.iter().filter(|no| no.isolate == flight.isolate);
        own.any(|no| {
            let is_no = no.is_remembered && no.door == Door::Client && is_about_media(&no);
            is_no
                && matches!(no.status, 404 | 410 | 451)
                && word.came_ms / 1000 <= no.heard_ms / 1000
        })
    };
    let is_quarantined_since = |word: &Word| {
        world.homeserver.changes.iter().any(|change| {
            change.is_quarantined
                && change.media == flight.ask.media
                && world.edge_ms_at(change.at_ms, word.isolate) >= word.said_ms
                && world.now_ms >= change.at_ms + UNHEARD_MS
        })
    };
    world.words.iter().any(|word| {
        word.door == Door::Client
            && is_about_media(&word)
            && word.is_yes()
            && is_of_kind(word)
            && word.came_ms / 1000 <= now_ms / 1000 + CLOCK_MARGIN_SECS
            && now_ms < word.said_ms.max(word.came_ms) + window_ms + CLOCK_MARGIN_SECS * 1000
            && !is_refused_here(word)
            && !is_quarantined_since(word)
    })
}

fn retention(world: &World, Answered { flight, reply, .. }: &Answered) -> Verdict {
    expect(!flight.found.has_forgotten, || "a purge is forgotten".into())?;
    let Some(stored) = flight.found.stored.as_ref().filter(|_| reply.is_stored) else {
        return Ok(());
    };
    let media = (flight.ask.media, &world.homeserver.media[flight.ask.media]);
    let (asked, tier) = (stored.body.asked, stored.tier.as_str());
    let age_secs = flight.found.now_unix_secs.saturating_sub(asked.edge_ms / 1000);
    expect(age_secs < world.config.cache_secs, || format!("{age_secs} s old, from {tier}"))?;
    expect(!world.purged.dooms(&flight.found.heard, media, asked.now_ms), || {
        format!("purged, and served from {tier} as of {} ms", asked.now_ms)
    })
}

/// A refusal, or a page, is no sign of an outage.
fn suspicion(flight: &Flight) -> Verdict {
    let has_failed = flight.talk.last().is_none_or(|last| match &last.answer.head {
        Ok(head) => head.status.as_u16() >= 500 || last.answer.by != By::Homeserver,
        Err(_) => true,
    });
    expect(has_failed || !flight.has_suspected, || "an answer that was taken for an outage".into())
}

/// Whoever is served stale has been refused nothing: a probe found the homeserver down not long ago,
/// and nobody at that isolate has heard it since that probe began.
fn outage(world: &World, Answered { flight, reply, .. }: &Answered) -> Verdict {
    if !is_stale(reply) {
        return Ok(());
    }
    let down_ms = flight.found.down_ms;
    // It is known for 8 s, and for as long as the next probe takes.
    let longest_ms = if world.probes.are_slow { 13_000 } else { 8_000 };
    expect(down_ms.is_some_and(|ms| ms <= longest_ms), || {
        format!("stale, and a probe failed {down_ms:?} ms ago")
    })
}

fn is_stale(reply: &Reply) -> bool {
    let status = reply.headers.get("cache-status").and_then(|status| status.to_str().ok());
    status.is_some_and(|status| status.ends_with("detail=stale-if-error"))
}

/// Whether it was asked with the client's own credential for what the client wants.
fn is_own(world: &World, flight: &Flight, told: &Exchanged) -> bool {
    let passes = world.config.origin_redirects == OriginRedirects::Pass;
    let is_stored = flight.found.stored.is_some();
    let question = flight.ask.question(&world.homeserver, is_stored, passes);
    let url = format!("{HOMESERVER}{question}");
    let credential = |headers: &HeaderMap| headers.get(AUTHORIZATION).cloned();
    told.wire.url == url && credential(&told.wire.headers) == credential(&flight.head.headers)
}

fn representation(world: &World, answered: &Answered) -> Verdict {
    let Answered { flight, reply, .. } = answered;
    let ask = &flight.ask;
    let what = ask.what.name();
    let media = &world.homeserver.media[ask.media];
    let whole = media.bytes(what);
    if ask.door == Door::Federation {
        return enveloped(reply, &whole, ask.method == Method::HEAD);
    }
    for name in [ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY] {
        expect(reply.headers.contains_key(&name), || format!("no {name}"))?;
    }
    let is_measured =
        reply.headers.contains_key(ETAG) || reply.headers.contains_key(CONTENT_LENGTH);
    let expected = if is_measured { selected(flight, reply, whole.len()) } else { Selected::All };
    let (status, body) = match expected {
        Selected::All => (200, &whole[..]),
        Selected::Part(first, last) => (206, &whole[first..=last]),
        Selected::Current => (304, &whole[..0]),
        Selected::Nothing => (416, &whole[..0]),
    };
    expect(reply.status == status, || format!("{} in place of {status}", reply.status))?;
    let length = match status {
        304 => None,
        _ if !is_measured => None,
        _ => Some(body.len().to_string()),
    };
    same(reply, &CONTENT_LENGTH, length)?;
    let content_range = match expected {
        Selected::Part(first, last) => Some(format!("bytes {first}-{last}/{}", whole.len())),
        Selected::Nothing => Some(format!("bytes */{}", whole.len())),
        Selected::All | Selected::Current => None,
    };
    same(reply, &CONTENT_RANGE, content_range)?;
    same(reply, &ACCEPT_RANGES, is_measured.then(|| "bytes".to_owned()))?;
    same(reply, &CONTENT_TYPE, Some(media.content_type(what).to_owned()))?;
    disposition(
        reply,
        media.disposition(what),
        ask.file_name.filter(|_| ask.what == What::Content),
    )?;
    let body = if ask.method == Method::HEAD { &whole[..0] } else { body };
    expect(reply.body == body || reply.is_broken && body.starts_with(&reply.body), || {
        format!("{:?} in place of {:?}", text(&reply.body), text(body))
    })?;
    let is_get = ask.method == Method::GET;
    let Some(tag) = reply.headers.get(ETAG).filter(|_| is_measured && is_get) else {
        return Ok(());
    };
    let version = answered.version();
    let rival = world.tags().iter().find(|(known, other)| {
        let is_of_what = known.what == what;
        let is_same = is_of_what && known.version == version;
        known.media == ask.media
            && if is_of_what { is_same && *tag != **other } else { *tag == **other }
    });
    expect(rival.is_none(), || format!("ETag {tag:?} beside {rival:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn same(reply: &Reply, name: &HeaderName, expected: Option<String>) -> Verdict {
    let got = reply.headers.get(name).and_then(|value| value.to_str().ok());
    expect(got == expected.as_deref(), || format!("{name}: {got:?} in place of {expected:?}"))
}

#[derive(Clone, Copy)]
enum Selected {
    All,
    Part(usize, usize),
    Current,
    Nothing,
}

/// RFC 9110 §13.2.2 and §14.2, by the validators that the reply itself bears.
fn selected(flight: &Flight, reply: &Reply, length: usize) -> Selected {
    let sent: &HeaderMap = &flight.head.headers;
    let asked = |name: HeaderName| sent.get(name).and_then(|value| value.to_str().ok());
    let tag = reply.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    let date = reply.headers.get(LAST_MODIFIED).and_then(|date| date.to_str().ok());
    let is_date = |field: &str| Some(field) == date;
    let is_current = match asked(IF_NONE_MATCH) {
        Some(list) => list
            .split(',')
            .map(str::trim)
            .any(|member| list == "*" || member == tag || member == format!("W/{tag}")),
        None => asked(IF_MODIFIED_SINCE).is_some_and(is_date),
    };
    let may_be_part = asked(IF_RANGE).is_none_or(|field| field == tag || is_date(field));
    let is_get = flight.ask.method == Method::GET;
    match flight.ask.range.filter(|_| is_get && may_be_part) {
        _ if is_current => Selected::Current,
        None | Some(Span::Ignored(_)) => Selected::All,
        Some(Span::Between(first, last)) if last < first => Selected::All,
        Some(Span::From(first) | Span::Between(first, _)) if first >= length => Selected::Nothing,
        Some(Span::Last(count)) if count == 0 || length == 0 => Selected::Nothing,
        Some(Span::From(first)) => Selected::Part(first, length - 1),
        Some(Span::Between(first, last)) => Selected::Part(first, last.min(length - 1)),
        Some(Span::Last(count)) => Selected::Part(length.saturating_sub(count), length - 1),
    }
}

/// The type is the origin's or a safer one; the name is the path's, and the origin's without one.
fn disposition(reply: &Reply, of_origin: Option<&str>, name: Option<&str>) -> Verdict {
    let Some(name) = name else {
        return same(reply, &CONTENT_DISPOSITION, of_origin.map(str::to_owned));
    };
    let field = reply.headers.get(CONTENT_DISPOSITION).and_then(|field| field.to_str().ok());
    let (kind, written) = field.and_then(|field| field.split_once("; ")).unwrap_or_default();
    let is_inline = of_origin.is_some_and(|field| field.starts_with("inline"));
    let read = match (written.strip_prefix("filename*=utf-8''"), written.strip_prefix("filename="))
    {
        (Some(escaped), _) => percent_decode_str(escaped).decode_utf8_lossy().into_owned(),
        (None, Some(plain)) => plain.to_owned(),
        (None, None) => String::new(),
    };
    let is_right = kind == if is_inline { "inline" } else { "attachment" } && read == name;
    expect(is_right, || format!("Content-Disposition {field:?} for {name:?}"))
}

/// The one spelling in which a part is asked for, where it can't be cut from what is stored.
fn missing_part(flight: &Flight) -> Option<String> {
    let may_be_part = flight.ask.door != Door::Federation && flight.ask.method == Method::GET;
    match flight.ask.range.filter(|_| may_be_part && flight.found.stored.is_none())? {
        Span::From(0) | Span::Last(0) | Span::Ignored(_) => None,
        Span::From(first) => Some(format!("bytes={first}-")),
        Span::Between(first, last) => Some(format!("bytes={first}-{last}")),
        Span::Last(count) => Some(format!("bytes=-{count}")),
    }
}

/// Servers get the whole envelope with its own boundary, always.
fn enveloped(reply: &Reply, media: &[u8], is_head: bool) -> Verdict {
    expect(reply.status == 200, || format!("{} for a server", reply.status))?;
    let content_type = reply.headers.get(CONTENT_TYPE).and_then(|field| field.to_str().ok());
    let boundary = content_type.and_then(|field| field.split_once("boundary="));
    let (_, boundary) = boundary.ok_or_else(|| format!("Content-Type {content_type:?}"))?;
    let expected = envelope(boundary, media);
    if reply.headers.contains_key(CONTENT_LENGTH) {
        same(reply, &CONTENT_LENGTH, Some(expected.len().to_string()))?;
    }
    let is_whole = if is_head {
        reply.body.is_empty()
    } else {
        reply.body == expected || reply.is_broken && expected.starts_with(&reply.body)
    };
    expect(is_whole, || format!("{:?} in place of {:?}", text(&reply.body), text(&expected)))
}

impl Exchanged {
    /// Whether only the homeserver itself would have said so, and the edge can tell.
    pub fn is_word(&self) -> bool {
        let Ok(head) = &self.answer.head else { return false };
        let is_own = self.answer.by == By::Homeserver && !self.is_redirected();
        is_own
            && match head.status.as_u16() {
                304 => true,
                200 => {
                    let is_for_servers = self.wire.url.contains("/federation/");
                    self.is_whoami()
                        || is_for_servers
                        || head.headers.contains_key(CONTENT_DISPOSITION)
                }
                429 => false,
                400..500 => !self.answer.body.is_empty(),
                _ => false,
            }
    }

    pub fn is_whoami(&self) -> bool {
        self.wire.url.ends_with("/whoami")
    }

    fn is_redirect(&self) -> bool {
        matches!(self.answer.status(), Some(301 | 302 | 307))
    }

    /// Whether a redirect led there: then nobody is told who asks.
    fn is_redirected(&self) -> bool {
        !self.wire.headers.contains_key(FORWARDED_PROTO)
    }
}

impl Word {
    const fn is_yes(&self) -> bool {
        matches!(self.status, 200 | 304)
    }

    /// Whether it ended what its data centre's cache had.
    fn is_shared_with(&self, isolate: usize) -> bool {
        pop_of(self.isolate) == pop_of(isolate) && self.is_removable
    }

    /// A yes is known at its data centre. A refusal that another isolate heard is not known here,
    /// as long as this one remembers a yes.
    fn is_heard_by(&self, isolate: usize) -> bool {
        if self.is_yes() {
            pop_of(self.isolate) == pop_of(isolate)
        } else {
            self.isolate == isolate && !self.is_forgotten
        }
    }
}
