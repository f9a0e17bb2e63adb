//! The record: one block of lines for each exchange, made to be compared by `diff`.

mod mask;

use sha2::{Digest, Sha256};
use test_support::http::{Answer, Request};
use test_support::wire::{AnswerHead, Headers};

pub(crate) use self::mask::Addresses;
use self::mask::{answer_field, clock, log_line, stored_field};
use crate::origin::Asked;

/// The longest JSON document that is recorded itself, in bytes.
const MAX_JSON_BYTES: usize = 1024;

/// What was recorded so far.
#[derive(Default)]
pub(crate) struct Record {
    text: String,
    exchanges: usize,
}

/// One exchange, and what happened meanwhile.
pub(crate) struct Exchange<'a> {
    pub(crate) title: String,
    /// `None` where something else than a request set the Worker going.
    pub(crate) request: Option<&'a Request>,
    pub(crate) received: &'a Received,
    /// What was asked, by the name of the server that was asked.
    pub(crate) asked: Vec<(&'a str, Vec<Asked>)>,
    /// Whether the origin may hear those in another order each time.
    pub(crate) is_asked_at_once: bool,
    pub(crate) log: Vec<String>,
    /// What is stored then, by name.
    pub(crate) stored: Vec<(String, Option<Answer>)>,
}

/// What came of a request.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// `None` if the connection ended before.
    pub(crate) head: Option<AnswerHead>,
    pub(crate) body: Vec<u8>,
    /// Whether the body broke off.
    pub(crate) is_broken: bool,
}

impl Record {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn exchanges(&self) -> usize {
        self.exchanges
    }

    /// Adds a block.
    pub(crate) fn add(&mut self, exchange: &Exchange<'_>, addresses: &Addresses) {
        let mut lines = vec![format!("=== {}", exchange.title)];
        if let Some(request) = exchange.request {
            lines.extend(request_lines(request));
            lines.extend(received_lines(exchange.received, addresses));
        }
        for (server, asked) in &exchange.asked {
            let mut blocks: Vec<_> = asked.iter().map(|asked| asked_lines(server, asked)).collect();
            if exchange.is_asked_at_once {
                blocks.sort();
            }
            lines.extend(blocks.concat());
        }
        // Two pipes carry the log: what comes of one may overtake what comes of the other.
        let mut log: Vec<_> = exchange.log.iter().filter_map(|line| log_line(line)).collect();
        log.sort();
        lines.extend(log.into_iter().map(|line| format!("log {line}")));
        for (name, entry) in &exchange.stored {
            lines.extend(stored_lines(name, entry.as_ref()));
        }
        self.text.push_str(&addresses.mask(&lines.join("\n")));
        self.text.push_str("\n\n");
        self.exchanges += 1;
    }

    /// Adds a block that isn't about an exchange.
    pub(crate) fn add_note(&mut self, title: &str, lines: &[String]) {
        self.text.push_str(&format!("=== {title}\n{}\n\n", lines.join("\n")));
    }
}

fn request_lines(request: &Request) -> Vec<String> {
    let head = String::from_utf8_lossy(&request.head()).into_owned();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").map(|line| format!("> {line}")).collect();
    if !request.content().is_empty() {
        lines.push(format!("> {}", body_line(request.content())));
    }
    lines
}

fn received_lines(received: &Received, addresses: &Addresses) -> Vec<String> {
    let Some(head) = &received.head else {
        return vec!["< the connection ends".to_owned()];
    };
    let mut lines = vec![format!("< {}", head.status)];
    let document = document(&head.headers, &received.body);
    let named = document.map(|text| addresses.mask(text));
    let masked = named.as_deref().map(clock);
    let is_masked = masked != named;
    lines.extend(
        head.headers
            .0
            .iter()
            .map(|(name, value)| format!("< {name}: {}", answer_field(name, value, is_masked))),
    );
    if received.is_broken {
        lines.push("< the body breaks off".to_owned());
        return lines;
    }
    lines.push(format!("< {}", body_line(masked.as_deref().map_or(&received.body, str::as_bytes))));
    let is_shown =
        |text: &String| is_json(&head.headers) && (1..MAX_JSON_BYTES).contains(&text.len());
    lines.extend(masked.filter(is_shown).map(|text| format!("< {text}")));
    lines
}

/// Returns the body if it is text in which clocks may have left something.
fn document<'a>(headers: &Headers, body: &'a [u8]) -> Option<&'a str> {
    let is_text = headers.get("content-type").is_some_and(|value| value.starts_with("text/"));
    std::str::from_utf8(body).ok().filter(|_| is_text || is_json(headers))
}

fn is_json(headers: &Headers) -> bool {
    headers.get("content-type").is_some_and(|value| value.starts_with("application/json"))
}

fn asked_lines(server: &str, asked: &Asked) -> Vec<String> {
    let mut lines = vec![format!("{server} {} {}", asked.head.method, asked.head.target)];
    let fields = asked.head.headers.0.iter();
    lines.extend(fields.map(|(name, value)| format!("  {name}: {value}")));
    if !asked.body.is_empty() {
        lines.push(format!("  {}", body_line(&asked.body)));
    }
    lines.push(match asked.answered {
        Some(status) => format!("  answers {status}"),
        None => "  hangs up".to_owned(),
    });
    lines
}

fn stored_lines(name: &str, entry: Option<&Answer>) -> Vec<String> {
    let Some(entry) = entry else { return vec![format!("not stored {name}")] };
    let mut lines = vec![format!("stored {name}")];
    let fields = entry.headers.0.iter();
    lines.extend(fields.map(|(name, value)| format!("  {name}: {}", stored_field(name, value))));
    lines.push(format!("  {}", body_line(&entry.body)));
    lines
}

fn body_line(body: &[u8]) -> String {
    let hex: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    match body.len() {
        0 => "no body".to_owned(),
        length => format!("{length} bytes, SHA-256 {hex}"),
    }
}

#[cfg(test)]
mod tests {
    use test_support::wire::RequestHead;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        Headers(fields.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    fn nobody() -> Addresses {
        Addresses::new([])
    }

    fn asked(target: &str) -> Asked {
        let head = RequestHead {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: headers(&[("Host", "127.0.0.1:40001")]),
        };
        Asked { head, body: Vec::new(), answered: Some(304) }
    }

    #[test]
    fn an_exchange_is_a_block_of_lines() {
        let request = Request::new("PUT", "/a?b").header("Host", "x").body("hello");
        let fields = [("Date", "Thu"), ("content-type", "application/json"), ("X-B", "2")];
        let head = AnswerHead { status: 200, headers: headers(&fields) };
        let received = Received { head: Some(head), body: b"{}".to_vec(), is_broken: false };
        let exchange = Exchange {
            title: "world: title".to_owned(),
            request: Some(&request),
            received: &received,
            asked: vec![("homeserver", vec![asked("/b"), asked("/a")])],
            is_asked_at_once: false,
            log: vec![r#"{"duration_ms":17}"#.to_owned(), "Z".to_owned()],
            stored: vec![("k".to_owned(), None)],
        };
        let mut record = Record::default();
        let addresses = Addresses::new([("homeserver", "127.0.0.1:40001")]);
        record.add(&exchange, &addresses);
        let expected = "\
=== world: title
> PUT /a?b HTTP/1.1
> Host: x
> Content-Length: 5
> 5 bytes, SHA-256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
< 200
< Date: *
< content-type: application/json
< X-B: 2
< 2 bytes, SHA-256 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
< {}
homeserver GET /b
  Host: 127.0.0.1:<homeserver>
  answers 304
homeserver GET /a
  Host: 127.0.0.1:<homeserver>
  answers 304
log Z
log {\"duration_ms\":*}
not stored k

";
        assert_eq!(record.text(), expected);
        let exchange = Exchange { is_asked_at_once: true, ..exchange };
        let mut record = Record::default();
        record.add(&exchange, &addresses);
        assert!(record.text().find("GET /a\n") < record.text().find("GET /b\n"));
        assert_eq!(record.exchanges(), 1);
    }

    #[test]
    fn a_body_is_shown_if_it_is_short_json() {
        let shown = |content_type, body: &str| {
            let headers = headers(&[("Content-Type", content_type)]);
            let head = Some(AnswerHead { status: 200, headers });
            let received = Received { head, body: body.into(), is_broken: false };
            received_lines(&received, &nobody()).len() - 3
        };
        assert_eq!(shown("application/json", "{}"), 1);
        assert_eq!(shown("application/json", &" ".repeat(MAX_JSON_BYTES)), 0);
        assert_eq!(shown("application/json", ""), 0);
        assert_eq!(shown("text/html", "{}"), 0);
    }

    #[test]
    fn a_length_is_masked_where_a_clock_changes_it() {
        let fields = [("Content-Type", "text/html"), ("Content-Length", "7")];
        let lines = |body: &str| {
            let head = Some(AnswerHead { status: 200, headers: headers(&fields) });
            received_lines(&Received { head, body: body.into(), is_broken: false }, &nobody())
        };
        assert_eq!(lines("in 17 ms")[2], "< Content-Length: *");
        assert_eq!(lines("in 17 ms"), lines("in 9 ms"));
        assert_eq!(lines("in 17 s")[2], "< Content-Length: 7");
    }

    #[test]
    fn a_body_that_broke_off_has_no_length() {
        let head = AnswerHead { status: 200, headers: headers(&[("Content-Length", "9")]) };
        let received = Received { head: Some(head), body: b"part".to_vec(), is_broken: true };
        let expected = ["< 200", "< Content-Length: 9", "< the body breaks off"];
        assert_eq!(received_lines(&received, &nobody()), expected);
        assert_eq!(received_lines(&Received::default(), &nobody()), ["< the connection ends"]);
    }
}
