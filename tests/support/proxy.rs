//! What Cloudflare's proxy before the origin is told to do (see `cloudflare/proxy.mjs`).

use serde_json::json;

use crate::http::Request;

/// The address that it shows to the origin for the Worker's own.
pub const WORKER_ADDRESS: &str = "2a06:98c0:3600::103";

/// What it adds to a question, in lower case.
pub const ADDED_FIELDS: [&str; 2] = ["cf-ray", "connection"];

/// The proxy between an edge and its origin; there is none in the plain profile.
#[derive(Debug)]
pub struct Proxy {
    address: Option<String>,
}

impl Proxy {
    pub(crate) fn at(address: &str) -> Self {
        Self { address: (!address.is_empty()).then(|| address.to_owned()) }
    }

    /// Has it do something to all questions whose URL contains this: answer them by a page
    /// (`blocked`, `challenged`, `limited`, `login`, `maintenance`, `520`, …) or change them or
    /// their answers (`drops conditions`, `drops tags`, `doubles tags`, `drops lengths`,
    /// `gets for heads`). `passes` ends that.
    ///
    /// # Panics
    /// When there is no proxy.
    pub fn on(&self, url_part: &str, does: &str) {
        self.add(json!({ "contains": url_part, "does": does }));
    }

    /// Does likewise to those with this in their `User-Agent` alone, which readers choose.
    ///
    /// # Panics
    /// When there is no proxy.
    pub fn on_agent(&self, url_part: &str, agent: &str, does: &str) {
        self.add(json!({ "contains": url_part, "agent": agent, "does": does }));
    }

    fn add(&self, rule: serde_json::Value) {
        let address = self.address.as_ref().expect("the plain profile has no proxy");
        let answer = Request::new("POST", "/rules").body(rule.to_string()).send(address);
        assert_eq!(answer.status, 200, "{rule}");
    }
}
