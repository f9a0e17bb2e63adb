//! Promise 2: no homeserver gets worse. Whatever Synapse answers directly, it answers through the
//! edge, whether or not the edge has the media stored.

use serde_json::Value;

use crate::ask::{Answer, Ask};

/// What the client must see exactly as Synapse sent it. (The validator is the edge's own.)
const KEPT: [&str; 10] = [
    "cache-control",
    "content-disposition",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "location",
    "referrer-policy",
    "x-content-security-policy",
    "x-robots-tag",
];

/// Lists, to which the edge may add.
const KEPT_MEMBERS: [&str; 4] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
];

/// Members of an answer's body that differ between any two answers.
const VOLATILE: [&str; 3] = ["content_uri", "retry_after_ms", "unused_expires_at"];

/// Sends the same request both ways, many times over, and remembers what differed.
#[derive(Default)]
pub(crate) struct Parity {
    differences: Vec<String>,
}

impl Parity {
    /// Asks Synapse and the edge, and expects one answer. Returns Synapse's status and errcode.
    pub(crate) fn check(&mut self, name: &str, ask: &Ask) -> (u16, String) {
        self.compare(name, &ask.direct(), &ask.edge())
    }

    pub(crate) fn compare(&mut self, name: &str, direct: &Answer, edge: &Answer) -> (u16, String) {
        let mut differ = |what: &str, direct: &str, edge: &str| {
            self.differences.push(format!("{name}: {what}: Synapse {direct:?}, edge {edge:?}"));
        };
        if direct.status != edge.status {
            differ("status", &direct.status.to_string(), &edge.status.to_string());
        }
        if comparable(direct) != comparable(edge) {
            differ("body", &excerpt(&direct.body), &excerpt(&edge.body));
        }
        for header in KEPT {
            // Synapse sends its JSON chunked, and a body's length is no secret.
            let Some(value) = direct.header(header) else { continue };
            let found = edge.header(header).map(without_own_directive);
            if found != Some(value) {
                differ(header, value, found.unwrap_or("none"));
            }
        }
        for header in KEPT_MEMBERS {
            let ours = members(edge, header);
            if members(direct, header).iter().any(|member| !ours.contains(member)) {
                differ(header, &members(direct, header).join(","), &ours.join(","));
            }
        }
        (direct.status, direct.errcode())
    }

    pub(crate) fn expect_none(self) {
        assert!(self.differences.is_empty(), "\n{}", self.differences.join("\n"));
    }
}

/// A field as it came, without the directive that the edge adds to what no cache may re-encode.
fn without_own_directive(value: &str) -> &str {
    value.strip_suffix(", no-transform").unwrap_or(value)
}

fn comparable(answer: &Answer) -> Value {
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(mut object)) => {
            for member in VOLATILE {
                object.remove(member);
            }
            Value::Object(object)
        }
        _ => Value::from(answer.body.clone()),
    }
}

fn members(answer: &Answer, header: &str) -> Vec<String> {
    let value = answer.header(header).unwrap_or_default();
    value.split(',').map(|m| m.trim().to_lowercase()).filter(|m| !m.is_empty()).collect()
}

fn excerpt(body: &[u8]) -> String {
    format!("{} bytes, {}", body.len(), String::from_utf8_lossy(&body[..body.len().min(200)]))
}
