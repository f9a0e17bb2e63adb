//! What differs from run to run, taken out of the record: what clocks tell, and ports.

/// What stands where something was taken out.
const MASK: &str = "*";

/// The beginnings of lines of Miniflare's own, and of the stacks that it and workerd print.
const RUNTIME: [&str; 3] = ["[mf:", "    at ", "stack: "];

/// The numbers of a data point.
const DOUBLES: &str = r#""doubles":["#;

/// Members of JSON, in front of numbers that clocks tell.
const CLOCK_MEMBERS: [&str; 4] =
    [r#""duration_ms":"#, r#""origin_ms":"#, r#""checked_unix_secs":"#, r#""began_unix_secs":"#];

/// Dates and times as pages and JSON write them, `0` for any digit, and what becomes of them.
const DATES: [(&str, &str); 3] =
    [("0000-00-00 00:00:00", MASK), ("0000-00-00", MASK), (">00-00<", ">*<")];

/// The servers of a world: what they are called, and where they listen.
#[derive(Debug)]
pub(crate) struct Addresses(Vec<(String, String)>);

impl Addresses {
    /// Names servers, by name and address. An empty address is nobody's.
    pub(crate) fn new<'a>(servers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let spellings = |(name, address): (&str, &str)| {
            let (host, _port) = address.rsplit_once(':').expect("a host and a port");
            let plain = (address.to_owned(), format!("{host}:<{name}>"));
            // As the record of a stored response spells it.
            let escape = |text: &str| text.replace('.', "%2E").replace(':', "%3A");
            let escaped = (escape(&plain.0), escape(&plain.1));
            [plain, escaped]
        };
        let servers = servers.into_iter().filter(|(_, address)| !address.is_empty());
        Self(servers.flat_map(spellings).collect())
    }

    /// Replaces ports by the names of those who listen there.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (address, name)| text.replace(address, name))
    }
}

/// Masks the value of a field of an answer. `is_body_masked` says that the body's length may differ.
pub(crate) fn answer_field(name: &str, value: &str, is_body_masked: bool) -> String {
    match name.to_ascii_lowercase().as_str() {
        "date" | "age" => MASK.to_owned(),
        "content-length" if is_body_masked => MASK.to_owned(),
        "cache-status" => number_after("ttl=", value),
        "server-timing" => number_after("dur=", value),
        _ => value.to_owned(),
    }
}

/// Masks the value of a field of a stored response.
pub(crate) fn stored_field(name: &str, value: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "x-edge-meta" | "record" => number_after("&answered=", &number_after("&stored=", value)),
        "cache-control" => number_after("max-age=", value),
        _ => answer_field(name, value, false),
    }
}

/// Masks a line of the log: how long things took, and how long the status is, which tells that too.
///
/// `None` if the line isn't the Worker's: when its caches are in trouble, Miniflare says so as often
/// as they are asked.
pub(crate) fn log_line(line: &str) -> Option<String> {
    if RUNTIME.iter().any(|beginning| line.starts_with(beginning)) {
        return None;
    }
    let line = clock(line);
    let line = match line.contains(r#""route":"status""#) {
        true => number_after(r#""body_bytes":"#, &line),
        false => line,
    };
    Some(match line.strip_prefix("POINT ").and_then(|point| point.split_once(DOUBLES)) {
        Some((before, doubles)) => {
            let is_status = line.contains(r#""blobs":["status""#);
            format!("POINT {before}{DOUBLES}{}", columns(doubles, is_status))
        }
        None => line,
    })
}

/// Masks the last two numbers of a data point, which are durations, and a status's length.
fn columns(doubles: &str, is_status: bool) -> String {
    let (numbers, rest) = doubles.split_once(']').unwrap_or((doubles, ""));
    let mut numbers: Vec<_> = numbers.split(',').collect();
    if let [length, .., whole, origin] = &mut numbers[..] {
        (*whole, *origin) = (MASK, MASK);
        *length = if is_status { MASK } else { length };
    }
    format!("{}]{rest}", numbers.join(","))
}

/// Masks what clocks tell in JSON and in pages: members, dates and milliseconds.
pub(crate) fn clock(text: &str) -> String {
    let text = CLOCK_MEMBERS.iter().fold(text.to_owned(), |text, name| number_after(name, &text));
    let text = DATES.iter().fold(text, |text, (shape, mask)| shaped(shape, mask, &text));
    number_before(" ms", &text)
}

/// Replaces the number that follows each `prefix`.
fn number_after(prefix: &str, text: &str) -> String {
    let mut parts = text.split(prefix);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix('-').unwrap_or(part);
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let mask = if rest.len() < part.len() { MASK } else { "" };
        masked.extend([prefix, mask, rest]);
    }
    masked
}

/// Replaces the number that each `suffix` follows.
fn number_before(suffix: &str, text: &str) -> String {
    let (parts, last) = text.rsplit_once(suffix).map_or((None, text), |(p, last)| (Some(p), last));
    let mut masked = String::new();
    for part in parts.into_iter().flat_map(|parts| parts.split(suffix)) {
        let rest = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let mask = if rest.len() < part.len() { MASK } else { "" };
        masked.extend([rest, mask, suffix]);
    }
    masked + last
}

/// Replaces what has this shape, in which `0` is any digit.
fn shaped(shape: &str, mask: &str, text: &str) -> String {
    let fits = |rest: &str| {
        let rest = rest.as_bytes().get(..shape.len());
        rest.is_some_and(|rest| {
            rest.iter().zip(shape.bytes()).all(|(&byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                _ => byte == wanted,
            })
        })
    };
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (part, length) = if fits(rest) {
            (mask, shape.len())
        } else {
            (&rest[..first.len_utf8()], first.len_utf8())
        };
        masked.push_str(part);
        rest = &rest[length..];
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_get_names() {
        let servers = [("edge", "127.0.0.1:4000"), ("store", "127.0.0.1:5000"), ("none", "")];
        let addresses = Addresses::new(servers);
        let text = "http://127.0.0.1:4000/ 127%2E0%2E0%2E1%3A5000 127.0.0.1:6000";
        let masked = "http://127.0.0.1:<edge>/ 127%2E0%2E0%2E1%3A<store> 127.0.0.1:6000";
        assert_eq!(addresses.mask(text), masked);
    }

    #[test]
    fn clocks_in_answers_are_masked_and_nothing_else() {
        for (name, value, masked) in [
            ("Date", "Thu, 01 Jan 1970 00:00:00 GMT", "*"),
            ("age", "17", "*"),
            ("Cache-Status", "edge; hit; ttl=-17; detail=x", "edge; hit; ttl=*; detail=x"),
            ("Cache-Status", "edge; fwd=stale; fwd-status=304", "edge; fwd=stale; fwd-status=304"),
            ("server-timing", "tier;desc=pop, origin;dur=4", "tier;desc=pop, origin;dur=*"),
            ("cache-control", "max-age=4", "max-age=4"),
            ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("content-length", "17", "17"),
        ] {
            assert_eq!(answer_field(name, value, false), masked, "{name}");
        }
        assert_eq!(answer_field("content-length", "17", true), "*");
    }

    #[test]
    fn the_time_of_storing_is_masked() {
        let masked = stored_field("x-edge-meta", "version=3&key=stored%3D1&stored=17&length=9");
        assert_eq!(masked, "version=3&key=stored%3D1&stored=*&length=9");
        assert_eq!(stored_field("cache-control", "public, max-age=9"), "public, max-age=*");
    }

    #[test]
    fn durations_in_the_log_are_masked() {
        let line = r#"{"route":"media","body_bytes":256,"duration_ms":12,"origin_ms":3,"pop":""}"#;
        let masked = r#"{"route":"media","body_bytes":256,"duration_ms":*,"origin_ms":*,"pop":""}"#;
        assert_eq!(log_line(line).as_deref(), Some(masked));
        let line = r#"{"route":"status","body_bytes":256,"duration_ms":12}"#;
        assert_eq!(
            log_line(line).as_deref(),
            Some(r#"{"route":"status","body_bytes":*,"duration_ms":*}"#)
        );
    }

    #[test]
    fn lines_of_the_runtime_are_left_out() {
        for line in ["stack: /usr/bin/workerd@1234", "    at f (a.js:1:2)", "[mf:error] Error: x"] {
            assert_eq!(log_line(line), None);
        }
        let line = "origin: Network connection lost.";
        assert_eq!(log_line(line).as_deref(), Some(line));
    }

    #[test]
    fn durations_in_data_points_are_masked() {
        let line = r#"POINT {"blobs":["media"],"doubles":[1,2,3,44,55]}"#;
        assert_eq!(
            log_line(line).as_deref(),
            Some(r#"POINT {"blobs":["media"],"doubles":[1,2,3,*,*]}"#)
        );
        let line = r#"POINT {"doubles":[1,2,3,44,55],"blobs":["status"]}"#;
        assert_eq!(
            log_line(line).as_deref(),
            Some(r#"POINT {"doubles":[*,2,3,*,*],"blobs":["status"]}"#)
        );
    }

    #[test]
    fn clocks_in_documents_are_masked_and_nothing_else() {
        for (text, masked) in [
            (r#"{"checked_unix_secs":1700000000,"a":17}"#, r#"{"checked_unix_secs":*,"a":17}"#),
            ("Checked 2026-05-04 10:20:30 UTC", "Checked * UTC"),
            ("<th>2026-05-04</th><text>05-04</text>", "<th>*</th><text>*</text>"),
            ("It answers in 17 ms, or 4 ms. é", "It answers in * ms, or * ms. é"),
            ("within 60 seconds, some ms 05-04", "within 60 seconds, some ms 05-04"),
        ] {
            assert_eq!(clock(text), masked);
        }
    }
}
