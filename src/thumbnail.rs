//! What a thumbnail request asks for, normalised so that equal asks share one stored response.
//!
//! <https://spec.matrix.org/v1.15/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid>

use std::fmt;

use crate::target::Query;

/// Digits of a dimension that we read ourselves; more are the origin's to judge.
const MAX_DIMENSION_DIGITS: usize = 5;

/// Width, height, method and animation: all that selects the bytes of a thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbnailSpec {
    width: u32,
    height: u32,
    method: Method,
    /// `None` where the request doesn't say: the specification gives absence a meaning of its own.
    animated: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Crop,
    Scale,
}

impl ThumbnailSpec {
    /// Reads the parameters as Synapse does: the first of duplicates wins, the method's case is
    /// free and its default is `scale`. Nothing, where a value is one that the origin must judge.
    pub fn parse(query: Query<'_>) -> Option<Self> {
        let first = |wanted: &str| query.pairs().find(|(name, _)| name == wanted).map(|(_, v)| v);
        let method = match first("method") {
            None => Method::Scale,
            Some(method) if method.eq_ignore_ascii_case("scale") => Method::Scale,
            Some(method) if method.eq_ignore_ascii_case("crop") => Method::Crop,
            Some(_) => return None,
        };
        let animated = match first("animated").as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return None,
        };
        Some(Self {
            width: dimension(&first("width")?)?,
            height: dimension(&first("height")?)?,
            method,
            animated,
        })
    }
}

/// The part of a cache key and of an entity tag that tells thumbnails of one media apart.
impl fmt::Display for ThumbnailSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Crop => "crop",
            Method::Scale => "scale",
        };
        let animated = match self.animated {
            None => "",
            Some(true) => "-animated",
            Some(false) => "-still",
        };
        write!(f, "{}x{}-{method}{animated}", self.width, self.height)
    }
}

fn dimension(text: &str) -> Option<u32> {
    let is_plain = text.len() <= MAX_DIMENSION_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    fn key(query: &str) -> Option<String> {
        ThumbnailSpec::parse(Target::new(&format!("/t?{query}")).query()).map(|s| s.to_string())
    }

    #[test]
    fn equal_asks_share_a_key() {
        let expected = key("width=96&height=96&method=crop");
        assert_eq!(expected.as_deref(), Some("96x96-crop"));
        for query in [
            "height=96&method=crop&width=96",
            "width=096&height=96&method=CROP",
            "width=96&width=97&height=96&method=crop&timeout_ms=5",
            "w%69dth=96&height=9%36&method=crop",
        ] {
            assert_eq!(key(query), expected, "{query}");
        }
    }

    #[test]
    fn what_is_the_default_need_not_be_said() {
        assert_eq!(key("width=96&height=96&method=Scale"), key("width=96&height=96"));
    }

    #[test]
    fn different_asks_do_not() {
        let queries = [
            "width=96&height=96",
            "width=96&height=97",
            "width=96&height=96&method=crop",
            "width=96&height=96&animated=true",
            "width=96&height=96&animated=false",
        ];
        let keys: std::collections::BTreeSet<_> = queries.iter().map(|q| key(q).unwrap()).collect();
        assert_eq!(keys.len(), queries.len());
    }

    #[test]
    fn what_the_origin_must_judge_has_no_key() {
        for query in [
            "",
            "width=96",
            "width=&height=96",
            "width=-1&height=96",
            "width=+9&height=96",
            "width=9_6&height=96",
            "width=999999&height=96",
            "width=96&height=96&method=stretch",
            "width=96&height=96&animated=1",
        ] {
            assert_eq!(key(query), None, "{query}");
        }
    }
}
