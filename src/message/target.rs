//! The request target, kept as it came: path and query are never re-encoded, since federation
//! requests sign them, and an escape that moves from one segment to another would ask the origin
//! for something else.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Path and query of a request, raw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    raw: String,
    path_len: usize,
}

/// What becomes of a target when the runtime's `fetch` parses it as a URL again
/// (WHATWG URL §4.4, which folds dot segments and escapes some letters).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// It leaves as it came.
    Exact,
    /// Some letters get percent-encoded: the target names the resource as before, but is no longer
    /// the signed bytes.
    Equivalent,
    /// It would name another resource.
    Changed,
}

/// A URL taken apart without changing a byte of it.
#[derive(Debug, PartialEq, Eq)]
pub struct SplitUrl<'a> {
    /// Scheme, without `://`.
    pub scheme: &'a str,
    /// Host, with its port if it has one.
    pub authority: &'a str,
    /// The rest, from the first `/`.
    pub target: Target,
}

/// Splits an absolute URL such as the runtime gives for a request.
pub fn split_url(url: &str) -> Option<SplitUrl<'_>> {
    let (scheme, rest) = url.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    Some(SplitUrl { scheme, authority, target: Target::new(target) })
}

impl Target {
    /// Takes a raw path with its query.
    pub fn new(raw: &str) -> Self {
        let raw = if raw.starts_with('/') { raw.to_owned() } else { format!("/{raw}") };
        let path_len = raw.find('?').unwrap_or(raw.len());
        Self { raw, path_len }
    }

    /// Returns path and query as they came.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Returns the raw path.
    pub fn path(&self) -> &str {
        &self.raw[..self.path_len]
    }

    /// Returns the raw query, without its `?`.
    pub fn query(&self) -> Query<'_> {
        Query(self.raw.get(self.path_len + 1..).unwrap_or_default())
    }

    /// Returns the target without the last segment of its path where that
    /// [hides](Self::has_hidden_dot_segment) a dot segment, and else as it is.
    pub fn without_hidden_name(&self) -> Cow<'_, str> {
        let path = self.path();
        match path.rfind('/').filter(|_| self.has_hidden_dot_segment()) {
            Some(end) => Cow::Owned(format!("{}{}", &path[..end], &self.raw[self.path_len..])),
            None => Cow::Borrowed(&self.raw),
        }
    }

    /// Returns whether the path has a dot segment for a parser that decodes slashes or backslashes
    /// first, once or twice: proxies and servers differ in that.
    pub fn has_hidden_dot_segment(&self) -> bool {
        let once = decode_lossy(self.path());
        let twice = decode_lossy(&once);
        let has_one = |path: &str| path.split(['/', '\\']).any(|s| matches!(s, "." | ".."));
        has_one(&once) || has_one(&twice)
    }

    /// Returns what `fetch` would make of this target.
    pub fn fidelity(&self) -> Fidelity {
        let (path, query) = (self.path(), self.query().0);
        // A replacement character stands for bytes that the runtime could not read as UTF-8. Tabs
        // and newlines are dropped wherever they stand, other controls and spaces at the end.
        if self.raw.contains(['#', '\u{fffd}', '\t', '\n', '\r'])
            || self.raw.ends_with(|c| c <= ' ')
            || path.contains('\\')
            || path.split('/').any(is_dot_segment)
        {
            return Fidelity::Changed;
        }
        let is_escaped_anywhere =
            |c: char| !c.is_ascii() || c.is_ascii_control() || " \"<>".contains(c);
        if path.contains(|c| is_escaped_anywhere(c) || "`{}^".contains(c))
            || query.contains(|c| is_escaped_anywhere(c) || c == '\'')
        {
            return Fidelity::Equivalent;
        }
        Fidelity::Exact
    }
}

/// Returns whether a URL parser takes the segment for `.` or `..`.
fn is_dot_segment(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase();
    matches!(segment.as_str(), "." | ".." | "%2e" | ".%2e" | "%2e." | "%2e%2e")
}

/// Decodes one path segment, once, as the homeserver does. Returns `None` if it is not UTF-8.
pub fn decode_segment(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

fn decode_lossy(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// A raw query.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Returns the parameters in order, decoded as forms are; undecodable bytes become U+FFFD,
    /// which no known parameter contains.
    ///
    /// Some homeservers separate at `;` as well as at `&`: see [`Self::has_one_reading`].
    pub fn pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        form_pairs(self.0)
    }

    /// Returns whether all homeservers read the query alike: it has no `;`, which separates
    /// parameters for some of them, and no name twice, of which some take the first and some the
    /// last.
    pub fn has_one_reading(self) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut names: Vec<_> = self.pairs().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() == count && !self.0.contains(';')
    }
}

/// Returns the fields of a form, or the parameters of a query, in order and decoded.
pub fn form_pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split(['&', ';']).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(name), decode_form(value))
    })
}

fn decode_form(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8_lossy();
    }
    Cow::Owned(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_without_change() {
        let url = split_url("http://a:1/x%2Fy//z?q='&r").unwrap();
        assert_eq!((url.scheme, url.authority), ("http", "a:1"));
        assert_eq!(url.target.as_str(), "/x%2Fy//z?q='&r");
        assert_eq!(url.target.path(), "/x%2Fy//z");
    }

    #[test]
    fn dot_segments_in_any_spelling_would_be_changed() {
        for path in
            ["/a/../b", "/a/%2e%2E/b", "/a/.%2e", "/.", "/a/%2e/b", "/a\\b", "/a#b", "/a?\u{fffd}"]
        {
            assert_eq!(Target::new(path).fidelity(), Fidelity::Changed, "{path:?}");
        }
    }

    #[test]
    fn characters_that_a_url_parser_drops_would_be_changed() {
        for path in ["/a\tb", "/a\nb", "/a\rb", "/a?b\t", "/a ", "/a?b ", "/a\u{1}"] {
            assert_eq!(Target::new(path).fidelity(), Fidelity::Changed, "{path:?}");
        }
    }

    #[test]
    fn dots_that_are_no_segment_are_kept() {
        for path in ["/a..b", "/...", "/a/..%2f..", "/a?..", "/a?\\", "/%252e%252e/"] {
            assert_eq!(Target::new(path).fidelity(), Fidelity::Exact, "{path:?}");
        }
    }

    #[test]
    fn dot_segments_after_encoded_slashes_are_found() {
        for path in ["/a/..%2fb", "/a/..%5Cb", "/%252e%252e%252fb", "/a%2f..", "/a/%2e%2e%2fb"] {
            assert!(Target::new(path).has_hidden_dot_segment(), "{path}");
        }
        for path in ["/a/mxc:%2F%2Fb%2Fc", "/a..b", "/...", "/a%2fb..c"] {
            assert!(!Target::new(path).has_hidden_dot_segment(), "{path}");
        }
    }

    #[test]
    fn a_name_that_hides_a_dot_segment_is_left_out() {
        let target = Target::new("/download/a/b/..%2f..%2fc?d=e");
        assert_eq!(target.without_hidden_name(), "/download/a/b?d=e");
        let target = Target::new("/download/a/b/c%2fd?e");
        assert_eq!(target.without_hidden_name(), target.as_str());
    }

    #[test]
    fn an_ambiguous_query_is_found() {
        for query in ["a=1;b=2", "a=1&a=1", "a=1&%61=2", "a&a"] {
            assert!(!Target::new(&format!("/p?{query}")).query().has_one_reading(), "{query}");
        }
        for query in ["", "a=1&b=2", "a=%3B", "a&b"] {
            assert!(Target::new(&format!("/p?{query}")).query().has_one_reading(), "{query}");
        }
    }

    #[test]
    fn letters_that_get_escaped_are_equivalent() {
        for path in ["/é", "/a\u{1}b", "/a{b", "/a?b='c'", "/a?b=\"c\""] {
            assert_eq!(Target::new(path).fidelity(), Fidelity::Equivalent, "{path:?}");
        }
    }

    #[test]
    fn parameters_are_read_as_the_homeserver_reads_them() {
        let target = Target::new("/p?a=1&a=2;b=x+y%26&&c");
        let pairs: Vec<_> = target.query().pairs().collect();
        let expected = [("a", "1"), ("a", "2"), ("b", "x y&"), ("c", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
