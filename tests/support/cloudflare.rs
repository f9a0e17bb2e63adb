//! The stand-ins of Cloudflare's cache and of what R2 limits (see the folder), as tests tell them
//! what to do.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http::{Answer, Request};

/// A stand-in that runs.
#[derive(Debug)]
pub struct StandIn {
    address: String,
}

impl StandIn {
    pub(crate) fn at(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Returns where it listens, `127.0.0.1:port`.
    ///
    /// # Panics
    /// In a layout without it.
    pub(crate) fn address(&self) -> &str {
        assert!(!self.address.is_empty(), "the layout has none");
        &self.address
    }

    /// Changes the settings that are named, and has calls counted from none.
    ///
    /// # Panics
    /// In a layout without it.
    pub fn set(&self, settings: &Value) {
        self.ask(Request::new("PUT", "/settings").body(settings.to_string()));
    }

    /// How many calls there have been of each kind.
    ///
    /// # Panics
    /// When they can't be counted.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let answer = self.ask(Request::new("GET", "/counts"));
        serde_json::from_value(answer.json()).expect("they are numbers")
    }

    /// The names of all that is in the cache.
    ///
    /// # Panics
    /// When they can't be listed.
    pub fn keys(&self) -> Vec<String> {
        let answer = self.ask(Request::new("GET", "/keys"));
        serde_json::from_value(answer.json()).expect("they are texts")
    }

    /// Waits until no write is under way and what was put is found. Returns at once in a layout
    /// without the stand-in, whose cache shows at once what is put.
    ///
    /// # Panics
    /// When that takes longer than a client waits.
    pub fn wait_until_settled(&self) {
        if !self.address.is_empty() {
            self.ask(Request::new("GET", "/settled"));
        }
    }

    /// Has so many milliseconds pass for what is in the cache.
    ///
    /// # Panics
    /// In a layout without it.
    pub fn pass_ms(&self, ms: u64) {
        self.ask(Request::new("POST", format!("/later?ms={ms}")));
    }

    fn ask(&self, request: Request) -> Answer {
        let answer = request.header("Host", "stand-in").send(self.address());
        assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.status, answer.text());
        answer
    }
}
