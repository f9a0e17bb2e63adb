//! Answers as a homeserver writes them.

use serde_json::{Value, json};

/// What Synapse sends with every download, beside the type and the validator.
pub(crate) const MEDIA_HEADERS: [(&str, &str); 10] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    ("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, Date"),
    ("Access-Control-Expose-Headers", "Synapse-Trace-Id, Server"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    (
        "Content-Security-Policy",
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
         style-src 'unsafe-inline'; media-src 'self'; object-src 'self';",
    ),
    ("X-Content-Security-Policy", "sandbox;"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "public,max-age=86400,s-maxage=0,proxy-revalidate"),
    ("ETag", "1"),
];

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    is_chunked: bool,
}

impl Reply {
    /// An answer without fields or body.
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), is_chunked: false }
    }

    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status).header("Content-Type", "application/json").body(value.to_string())
    }

    /// An error as Synapse sends it: chunked, with CORS, and not to be stored.
    pub(crate) fn error(status: u16, errcode: &str, error: &str) -> Self {
        let mut reply = Self::json(status, &json!({ "errcode": errcode, "error": error }));
        reply.headers.extend(MEDIA_HEADERS[..4].iter().map(|&(n, v)| (n.to_owned(), v.into())));
        reply.header("Cache-Control", "no-cache, no-store, must-revalidate").chunked()
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The same without a field.
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

    /// The body that it has.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// A field that it has, the first of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    /// Doesn't tell the length of the body.
    #[must_use]
    pub(crate) fn chunked(mut self) -> Self {
        self.is_chunked = true;
        self
    }

    /// How many bytes of body a request of this method gets.
    pub(crate) fn body_bytes(&self, method: &str) -> usize {
        if self.has_body(method) { self.body.len() } else { 0 }
    }

    fn has_body(&self, method: &str) -> bool {
        method != "HEAD" && !matches!(self.status, 204 | 304)
    }

    /// The answer to a request of this method, on the wire.
    pub(crate) fn to_bytes(&self, method: &str) -> Vec<u8> {
        let mut bytes = self.head_bytes(self.body.len());
        if !self.has_body(method) {
            return bytes;
        }
        if self.is_chunked {
            for chunk in self.body.chunks(1 << 14) {
                bytes
                    .extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }

    /// The head alone, claiming a body of `length` bytes.
    pub(crate) fn head_bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Whatever\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if matches!(self.status, 204 | 304) {
        } else if self.is_chunked {
            bytes.extend(b"Transfer-Encoding: chunked\r\n");
        } else {
            bytes.extend(format!("Content-Length: {length}\r\n").as_bytes());
        }
        bytes.extend(b"\r\n");
        bytes
    }
}
