//! What becomes of a HEAD, the client's or the edge's own, where the homeserver answers it by an error.

use super::*;

#[test]
fn a_head_that_may_be_unsupported_is_asked_for_by_get() {
    for status in [404, 405, 500, 501] {
        for (target, vars) in [(CLIENT, STRICT), (CLIENT, LEASED), (LEGACY, STRICT)] {
            for fields in [&[][..], &[PAGE], &[(CONTENT_TYPE, "application/json")]] {
                let question = missed(begin(Method::HEAD, target, vars));
                let question = asked_again(question, status, fields);
                assert_eq!(question.request.method, Method::GET, "{target}, {status}");
                let told = heard(question, 200, &[LENGTH, PNG, INLINE]);
                assert!(is_stored(&told) && !told.plan.has_body(), "{told:?}");
            }
        }
        let told = refused(missed(begin(Method::HEAD, SERVER, STRICT)), status, "M_UNRECOGNIZED");
        assert_eq!(told.head.status.as_u16(), status, "its method is signed");
    }
    for status in [502, 503, 504] {
        let told = heard(missed(begin(Method::HEAD, CLIENT, STRICT)), status, &[]);
        assert!(told.head.status.is_server_error(), "{status} is a failure");
    }
}

#[test]
fn the_result_of_a_head_is_learned() {
    let knows = |question: &OriginExchange, status, fields: &[_]| {
        question.pending.knows_head(&Ok(OriginAnswer::unread(origin(status, fields))))
    };
    let media = [LENGTH, PNG, INLINE];
    let head = || missed(begin(Method::HEAD, CLIENT, STRICT));
    assert_eq!(knows(&head(), 200, &media), Some(true));
    assert_eq!(knows(&head(), 200, &[LENGTH, PNG]), None, "not the homeserver's");
    assert_eq!(knows(&head(), 405, &[]), None, "nor is a GET answered yet");
    let after = asked_again(head(), 405, &[]);
    assert_eq!(knows(&after, 200, &media), Some(false));
    assert_eq!(knows(&after, 404, &[]), None, "it is not there");
    assert_eq!(knows(&missed(get(CLIENT, STRICT)), 200, &media), None);
}

#[test]
fn a_head_that_is_known_to_fail_is_asked_for_by_get_at_once() {
    let mut known = Revalidation::NEW;
    known.learn_head(Door::Client, false, NOW);
    let method =
        |door: &str| missed(begin(Method::HEAD, door, STRICT).knowing(known)).request.method;
    assert_eq!(method(CLIENT), Method::GET);
    assert_eq!(method(LEGACY), Method::HEAD, "another door");
    assert_eq!(method(SERVER), Method::HEAD, "its method is signed");
    let question =
        asked_untold(begin(Method::HEAD, CLIENT, STRICT).knowing(known), Leases::default());
    assert_eq!(question.request.method, Method::GET);
    assert!(question.request.set.contains_key("if-none-match"), "it spares the body");
}

#[test]
fn a_get_that_fails_after_a_head_that_failed_may_be_an_outage() {
    let lately = confirmed(NOW - 120, NOW - 120);
    let asked = |status| {
        let exchange = begin(Method::HEAD, CLIENT, STALE);
        let stored = stored(&exchange, &[PNG, INLINE]);
        let question = asked(exchange.on_lookup(Some(stored), lately, false, NOW));
        assert_eq!(question.request.method, Method::HEAD);
        asked_again(question, status, &[])
    };
    let failed = || Err(OriginError::Unreachable);
    for status in [500, 501] {
        let question = asked(status);
        assert_eq!(question.request.timeout, Timeout::Ms(10_000));
        let AfterOrigin::CheckOutage(suspicion) = question.pending.on_origin(failed(), NOW) else {
            panic!("{status}: it is suspected")
        };
        let told = suspicion.on_probe(true, lately, NOW);
        assert_eq!(told.plan, ResponsePlan::ServeStored(None));
    }
    for status in [404, 405] {
        let AfterOrigin::Respond(told) = asked(status).pending.on_origin(failed(), NOW) else {
            panic!("{status}: the homeserver is there")
        };
        assert_eq!(told.head.status, StatusCode::BAD_GATEWAY);
    }
}

#[test]
fn an_error_to_a_head_for_stored_media_is_asked_for_by_get() {
    for status in [404, 405, 500, 501] {
        for fields in [&[][..], &[(CONTENT_TYPE, "application/json")]] {
            let exchange = get(CLIENT, STRICT).knowing(knowing(Door::Client, &[GUESS_FAILS]));
            let question = asked_untold(exchange, Leases::default());
            assert_eq!(question.request.method, Method::HEAD);
            let again = asked_again(question, status, fields);
            assert_eq!(again.request.method, Method::GET, "{status}");
            let told = heard(again, 200, &[LENGTH, PNG, INLINE]);
            assert_eq!(told.head.status, StatusCode::OK);
        }
    }
}
