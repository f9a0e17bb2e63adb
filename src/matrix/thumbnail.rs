//! What a thumbnail request asks for, normalised so that equal asks share one stored response.
//!
//! <https://spec.matrix.org/v1.15/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid>

use std::fmt;

use crate::message::target::Query;

/// The most digits of a dimension that the edge parses; a longer one is left to the origin.
const MAX_DIMENSION_DIGITS: usize = 5;

/// The sizes that homeservers make by default, with the method of each.
/// <https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html#thumbnail_sizes>
const USUAL: [(u32, u32, Method); 5] = [
    (32, 32, Method::Crop),
    (96, 96, Method::Crop),
    (320, 240, Method::Scale),
    (640, 480, Method::Scale),
    (800, 600, Method::Scale),
];

/// Width, height, method and animation: all that selects the bytes of a thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThumbnailSpec {
    width: u32,
    height: u32,
    /// `None` where the request doesn't say: homeservers have defaults of their own.
    method: Option<Method>,
    /// `None` where the request doesn't say: the specification gives absence a meaning of its own.
    animated: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Crop,
    Scale,
}

impl ThumbnailSpec {
    /// Reads the parameters of a query that [has one reading](Query::has_one_reading). `None` where
    /// a value is one that the origin must judge, a method in capitals among them.
    pub fn parse(query: Query<'_>) -> Option<Self> {
        let first = |wanted: &str| query.pairs().find(|(name, _)| name == wanted).map(|(_, v)| v);
        let method = match first("method").as_deref() {
            None => None,
            Some("scale") => Some(Method::Scale),
            Some("crop") => Some(Method::Crop),
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

impl ThumbnailSpec {
    /// Writes the query that asks for this thumbnail, in one spelling for all requests.
    pub fn to_query(self) -> String {
        let mut query = format!("width={}&height={}", self.width, self.height);
        if let Some(method) = self.method {
            query.push_str("&method=");
            query.push_str(method.as_str());
        }
        if let Some(animated) = self.animated {
            query.push_str(if animated { "&animated=true" } else { "&animated=false" });
        }
        query
    }
}

impl ThumbnailSpec {
    /// Returns whether it is one of those few that homeservers make by default, animated or not.
    pub fn is_usual(self) -> bool {
        self.method.is_some_and(|method| USUAL.contains(&(self.width, self.height, method)))
    }
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Scale => "scale",
        }
    }
}

/// The part of a cache key and of an entity tag that differs between the thumbnails of one media.
impl fmt::Display for ThumbnailSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)?;
        if let Some(method) = self.method {
            write!(f, "-{}", method.as_str())?;
        }
        match self.animated {
            None => Ok(()),
            Some(true) => f.write_str("-animated"),
            Some(false) => f.write_str("-still"),
        }
    }
}

fn dimension(text: &str) -> Option<u32> {
    let is_plain = text.len() <= MAX_DIMENSION_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::target::Target;

    fn key(query: &str) -> Option<String> {
        ThumbnailSpec::parse(Target::new(&format!("/t?{query}")).query()).map(|s| s.to_string())
    }

    #[test]
    fn equal_thumbnail_requests_share_a_key() {
        let expected = key("width=96&height=96&method=crop");
        assert_eq!(expected.as_deref(), Some("96x96-crop"));
        for query in [
            "height=96&method=crop&width=96",
            "width=096&height=96&method=crop",
            "width=96&height=96&method=crop&timeout_ms=5",
            "w%69dth=96&height=9%36&method=crop",
        ] {
            assert_eq!(key(query), expected, "{query}");
        }
    }

    #[test]
    fn an_absent_method_is_a_representation_of_its_own() {
        assert_eq!(key("width=96&height=96").as_deref(), Some("96x96"));
        assert_eq!(key("width=96&height=96&method=scale").as_deref(), Some("96x96-scale"));
    }

    #[test]
    fn a_thumbnail_is_asked_for_in_one_spelling() {
        let query = |query: &str| {
            let target = Target::new(&format!("/t?{query}"));
            ThumbnailSpec::parse(target.query()).map(ThumbnailSpec::to_query)
        };
        assert_eq!(
            query("animated=true&height=096&w%69dth=96&method=crop").as_deref(),
            Some("width=96&height=96&method=crop&animated=true")
        );
        assert_eq!(query("height=1&width=2").as_deref(), Some("width=2&height=1"));
    }

    #[test]
    fn different_thumbnail_requests_have_different_keys() {
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
    fn the_default_sizes_alone_are_usual() {
        let is_usual = |query: &str| {
            let target = Target::new(&format!("/t?{query}"));
            ThumbnailSpec::parse(target.query()).unwrap().is_usual()
        };
        for query in [
            "width=32&height=32&method=crop",
            "width=96&height=96&method=crop&animated=true",
            "width=800&height=600&method=scale&animated=false",
        ] {
            assert!(is_usual(query), "{query}");
        }
        for query in [
            "width=32&height=32",
            "width=32&height=32&method=scale",
            "width=33&height=32&method=crop",
            "width=600&height=800&method=scale",
        ] {
            assert!(!is_usual(query), "{query}");
        }
    }

    #[test]
    fn an_unclear_thumbnail_query_has_no_key() {
        for query in [
            "",
            "width=96",
            "width=&height=96",
            "width=-1&height=96",
            "width=+9&height=96",
            "width=9_6&height=96",
            "width=999999&height=96",
            "width=96&height=96&method=stretch",
            "width=96&height=96&method=CROP",
            "width=96&height=96&method=",
            "width=96&height=96&animated=1",
        ] {
            assert_eq!(key(query), None, "{query}");
        }
    }
}
