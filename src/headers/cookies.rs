//! Cookies (RFC 6265): which of them are the platform's own.

use http::HeaderValue;

/// Cookies that Cloudflare adds to whatever passes its proxy. They tell clients apart for its bot
/// management, rate limits, load balancers, waiting rooms, challenges and Access; no answer of the
/// homeserver depends on them.
/// <https://developers.cloudflare.com/fundamentals/reference/policies-compliances/cloudflare-cookies/>
const PLATFORM_COOKIES: [&[u8]; 15] = [
    b"__cf_bm",
    b"_cfuvid",
    b"__cflb",
    b"__cfruid",
    b"__cfseq",
    b"__cfwaitingroup",
    b"cf_clearance",
    b"cf_chl_rc_i",
    b"cf_chl_rc_m",
    b"cf_chl_rc_ni",
    b"cf_ob_info",
    b"cf_use_ob",
    b"CF_AppSession",
    b"CF_Authorization",
    b"CF_Binding",
];

/// Returns whether a cookie, as `Set-Cookie` sets it (§4.1.1) or `Cookie` has it (§4.2.1), is the
/// platform's.
pub fn is_platforms(cookie: &[u8]) -> bool {
    let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default();
    PLATFORM_COOKIES.contains(&name.trim_ascii())
}

/// Returns a `Cookie` field (§4.2.1) without the platform's; `None` where that leaves none.
pub fn without_platforms(field: &HeaderValue) -> Option<HeaderValue> {
    let cookies = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let own: Vec<_> =
        cookies.filter(|cookie| !cookie.is_empty() && !is_platforms(cookie)).collect();
    HeaderValue::from_bytes(&own.join(&b"; "[..])).ok().filter(|own| !own.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(field: &'static [u8]) -> Option<Vec<u8>> {
        let own = without_platforms(&HeaderValue::from_bytes(field).unwrap());
        own.map(|own| own.as_bytes().to_vec())
    }

    #[test]
    fn a_platform_cookie_is_recognized_by_its_whole_name() {
        for cookie in
            ["__cf_bm=a; path=/", "_cfuvid=a", "cf_clearance = a", "CF_Authorization=a.b.c"]
        {
            assert!(is_platforms(cookie.as_bytes()), "{cookie}");
        }
        for cookie in
            ["a=b; path=__cf_bm", "__cf_bmx=a", "=__cf_bm", "__CF_BM=a", "cf_authorization=a"]
        {
            assert!(!is_platforms(cookie.as_bytes()), "{cookie}");
        }
    }

    #[test]
    fn a_field_keeps_all_cookies_but_the_platforms() {
        for (field, expected) in [
            (&b"a=b"[..], Some(&b"a=b"[..])),
            (b"__cf_bm=x; a=b", Some(b"a=b")),
            (b"a=b; _cfuvid=x;c=\"d\" ;__cflb=y", Some(b"a=b; c=\"d\"")),
            (b"a=\xe9=; CF_Authorization=x", Some(b"a=\xe9=")),
            (b"__cf_bm=x; cf_clearance=y", None),
            (b"", None),
            (b" ; ", None),
        ] {
            assert_eq!(own(field).as_deref(), expected, "{}", field.escape_ascii());
        }
    }
}
