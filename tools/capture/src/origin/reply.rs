//! Answers of an origin, whole or broken.

use serde_json::{Value, json};
use test_support::wire::RequestHead;

/// What Synapse sends with every download, beside the type.
const MEDIA_HEADERS: [(&str, &str); 9] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    ("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, Date"),
    ("Access-Control-Expose-Headers", "Synapse-Trace-Id, Server"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Content-Security-Policy", "sandbox; default-src 'none'; script-src 'none';"),
    ("X-Content-Security-Policy", "sandbox;"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "public,max-age=86400,s-maxage=0,proxy-revalidate"),
];

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Length,
    Chunks,
    /// By the end of the connection.
    Close,
    /// With the length of a body that is longer than what comes of it.
    Short,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    ending: Ending,
    is_conditional: bool,
}

impl Reply {
    /// Returns an answer without fields or body.
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            ending: Ending::Length,
            is_conditional: false,
        }
    }

    /// Returns media as Synapse sends it, but without a validator.
    pub(crate) fn media(body: impl AsRef<[u8]>) -> Self {
        let reply = MEDIA_HEADERS.iter().fold(Self::new(200), |r, (n, v)| r.header(n, v));
        let reply = reply.header("Content-Type", "image/png");
        reply.header("Content-Disposition", "inline").body(body)
    }

    /// Returns a JSON document.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status).header("Content-Type", "application/json").body(value.to_string())
    }

    /// Returns an error as Synapse sends it: chunked, with CORS, and `no-store`.
    pub(crate) fn error(status: u16, errcode: &str, error: &str) -> Self {
        let reply = Self::json(status, &json!({ "errcode": errcode, "error": error }));
        let reply = MEDIA_HEADERS[..4].iter().fold(reply, |r, (n, v)| r.header(n, v));
        reply.header("Cache-Control", "no-cache, no-store, must-revalidate").chunked()
    }

    /// Returns a page such as a proxy sends.
    pub(crate) fn page(status: u16, text: &str) -> Self {
        Self::new(status).header("Content-Type", "text/html; charset=utf-8").body(text)
    }

    /// Returns a redirect.
    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        Self::new(status).header("Location", to)
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_owned();
        self
    }

    /// Sends the body in chunks, without its length.
    #[must_use]
    pub(crate) fn chunked(mut self) -> Self {
        self.ending = Ending::Chunks;
        self
    }

    /// Ends the body with the connection.
    #[must_use]
    pub(crate) fn until_close(mut self) -> Self {
        self.ending = Ending::Close;
        self
    }

    /// Breaks the body off before the length that the head tells.
    #[must_use]
    pub(crate) fn short(mut self) -> Self {
        self.ending = Ending::Short;
        self
    }

    /// Answers requests that name its validator with a 304.
    #[must_use]
    pub(crate) fn conditional(mut self) -> Self {
        self.is_conditional = true;
        self
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Returns whether more requests may follow on the connection.
    pub(super) fn keeps_connection(&self) -> bool {
        matches!(self.ending, Ending::Length | Ending::Chunks)
    }

    /// Returns what becomes of it where the request may be conditional.
    pub(super) fn to_request(&self, head: &RequestHead) -> Self {
        let validators = [("if-none-match", "etag"), ("if-modified-since", "last-modified")];
        let is_known = validators.iter().any(|(condition, validator)| {
            let known = head.headers.get(condition);
            known.is_some() && known.map(str::as_bytes) == self.value(validator)
        });
        if !(self.is_conditional && is_known) {
            return self.clone();
        }
        let reply = self.clone().without("Content-Type").without("Content-Disposition").body("");
        Self { status: 304, ..reply }
    }

    fn value(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(n, _)| n.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_slice())
    }

    /// Returns the answer to a request of this method, as it goes over the wire.
    pub(super) fn to_bytes(&self, method: &str) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Whatever\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let is_bodiless = matches!(self.status, 204 | 304);
        let length = self.body.len();
        let framing = match self.ending {
            _ if is_bodiless => String::new(),
            Ending::Length => format!("Content-Length: {length}\r\n"),
            Ending::Short => format!("Content-Length: {}\r\n", 2 * length),
            Ending::Chunks => "Transfer-Encoding: chunked\r\n".to_owned(),
            Ending::Close => "Connection: close\r\n".to_owned(),
        };
        bytes.extend([framing.as_bytes(), b"\r\n"].concat());
        if is_bodiless || method == "HEAD" {
            return bytes;
        }
        if self.ending == Ending::Chunks {
            let size = format!("{length:x}\r\n");
            if length > 0 {
                bytes.extend([size.as_bytes(), &self.body, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }
}
