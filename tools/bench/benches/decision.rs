//! What a decision costs by itself: the core, natively, without a runtime around it.

use std::hint::black_box;
use std::rc::Rc;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderValue,
};
use http::{Method, StatusCode};
use matrix_media_edge::admin::purge::Scope;
use matrix_media_edge::cache::entry::StoredMeta;
use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::cache::purge_list::Purges;
use matrix_media_edge::config::Config;
use matrix_media_edge::endpoint::download::{
    AfterLookup, AfterOrigin, Begin, Exchange, Outcome, ResponsePlan,
};
use matrix_media_edge::lease::Leases;
use matrix_media_edge::matrix::media::MediaRequest;
use matrix_media_edge::message::RequestHead;
use matrix_media_edge::message::target::Target;
use matrix_media_edge::origin::{OriginAnswer, OriginHead};
use matrix_media_edge::route::{Route, admit};

const NOW_UNIX_SECS: u64 = 1_700_000_000;
const TARGET: &str = "/_matrix/client/v1/media/thumbnail/example.com/GCmhgzMPRjqgpODLsNQzVuHZ\
    ?width=320&height=240&method=scale";

fn config(lease_seconds: &str) -> Rc<Config> {
    let value = |name: &str| match name {
        "HOMESERVER_URL" => Some("https://origin.example.com"),
        "SERVER_NAME" => Some("example.com"),
        "MEDIA_URL" => Some("https://media.example.com"),
        "LEASE_SECONDS" => Some(lease_seconds),
        _ => None,
    };
    Rc::new(Config::parse(|name| value(name).map(str::to_owned)).expect("they can be used"))
}

fn head() -> Rc<RequestHead> {
    let token = HeaderValue::from_static("Bearer syt_YWxpY2U_tGJxkWfYbFxCyJHhzEGQ_2BvUQp");
    Rc::new(RequestHead {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "media.example.com".to_owned(),
        target: Target::new(TARGET),
        headers: HeaderMap::from_iter([(AUTHORIZATION, token)]),
    })
}

fn route(head: &RequestHead, config: &Config) -> MediaRequest {
    match admit(head, config) {
        Ok(Route::Media(media)) => media,
        other => unreachable!("{other:?}"),
    }
}

fn begin(head: &Rc<RequestHead>, config: &Rc<Config>) -> Exchange {
    let media = route(head, config);
    match Exchange::begin(Rc::clone(config), Rc::clone(head), media, config.digest_key()) {
        Begin::LookUp(exchange) => exchange,
        Begin::Bypass(_) => unreachable!("it has a token"),
    }
}

/// Synapse's answer.
fn answer(status: StatusCode) -> OriginHead {
    let headers = [
        (ETAG, "1"),
        (CONTENT_DISPOSITION, "inline"),
        (CONTENT_TYPE, "image/png"),
        (CONTENT_LENGTH, "4096"),
        (CACHE_CONTROL, "public,max-age=86400,s-maxage=0,proxy-revalidate"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    OriginHead { status, headers: HeaderMap::from_iter(headers) }
}

/// All of an exchange in which the origin is asked.
fn ask(
    head: &Rc<RequestHead>,
    config: &Rc<Config>,
    stored: Option<Rc<StoredMeta>>,
    status: StatusCode,
) -> Outcome {
    let exchange = begin(head, config);
    match exchange.on_lookup(stored, Leases::default(), false, NOW_UNIX_SECS) {
        AfterLookup::AskOrigin(question) => {
            match question
                .pending
                .on_origin(Ok(OriginAnswer::unread(answer(status))), NOW_UNIX_SECS)
            {
                AfterOrigin::Respond(outcome) | AfterOrigin::RespondPart(outcome, _) => outcome,
                AfterOrigin::AskAgain(_) => unreachable!("it has a validator"),
                AfterOrigin::CheckOutage(_) => unreachable!("the origin answers"),
            }
        }
        AfterLookup::Serve(..) => unreachable!("there is no lease"),
    }
}

/// The record of a 200.
fn stored(head: &Rc<RequestHead>, config: &Rc<Config>) -> Rc<StoredMeta> {
    match ask(head, config, None, StatusCode::OK).plan {
        ResponsePlan::FillCache { meta, .. } => Rc::new(meta),
        _ => unreachable!("it is storable"),
    }
}

fn decisions(criterion: &mut Criterion) {
    let (head, strict, leased) = (head(), config("0"), config("300"));
    criterion.bench_function("route", |bencher| {
        bencher.iter(|| route(black_box(&head), black_box(&strict)));
    });
    let meta = stored(&head, &leased);
    let held =
        Leases { credential: Some(NOW_UNIX_SECS), media: Some(NOW_UNIX_SECS), ..Leases::default() };
    criterion.bench_function("hit, leased", |bencher| {
        bencher.iter(|| {
            let exchange = begin(black_box(&head), &leased);
            exchange.on_lookup(Some(Rc::clone(&meta)), black_box(held), false, NOW_UNIX_SECS)
        });
    });
    let meta = stored(&head, &strict);
    criterion.bench_function("hit, strict", |bencher| {
        bencher.iter(|| {
            ask(black_box(&head), &strict, Some(Rc::clone(&meta)), StatusCode::NOT_MODIFIED)
        });
    });
    criterion.bench_function("miss", |bencher| {
        bencher.iter(|| ask(black_box(&head), &strict, None, StatusCode::OK));
    });
}

fn records(criterion: &mut Criterion) {
    let (head, config) = (head(), config("0"));
    let meta = stored(&head, &config);
    let key: CacheKey = begin(&head, &config).key().clone();
    let text = meta.to_text();
    criterion.bench_function("record, written", |bencher| bencher.iter(|| meta.to_text()));
    criterion.bench_function("record, read", |bencher| {
        bencher.iter(|| StoredMeta::parse(black_box(&text), &key));
    });
    let scope = |number| {
        let text = format!(r#"{{"mxc":"mxc://example.com/{number}"}}"#);
        Scope::parse_all(&text).expect("a media ID").remove(0)
    };
    let prefixes: Vec<_> = (0..500).flat_map(|number| scope(number).prefixes(&config)).collect();
    let purges = Purges::default().with(&prefixes, NOW_UNIX_SECS, &config).expect("it has room");
    criterion.bench_function("a look-up in a list of 1000 purges", |bencher| {
        bencher.iter(|| purges.covers(black_box(&key), NOW_UNIX_SECS));
    });
}

criterion_group!(all, decisions, records);
criterion_main!(all);
