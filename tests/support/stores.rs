//! What is in an edge's stores, and what goes wrong with its bucket (see `stores.mjs`).

use std::collections::BTreeMap;
use std::io;

use serde_json::json;

use crate::http::{Answer, Request};

/// The stores of an edge: its bucket and its caches.
#[derive(Debug)]
pub struct Stores {
    address: String,
}

/// What is stored under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The edge's record of it, as text.
    pub record: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Stores {
    pub(crate) fn at(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// The keys of all objects in the bucket.
    ///
    /// # Panics
    /// When there are things that can't be listed.
    pub fn keys(&self) -> Vec<String> {
        let answer = self.ask(Request::new("GET", "/objects"));
        serde_json::from_value(answer.json()).expect("they are texts")
    }

    /// The object under `key` in the bucket.
    pub fn object(&self, key: &str) -> Option<Stored> {
        stored(&self.ask(Request::new("GET", object_path(key))))
    }

    /// Puts an object of another's making into the bucket.
    pub fn put_object(&self, key: &str, object: &Stored) {
        self.put(&object_path(key), object);
    }

    /// Puts a text with a stamp into the bucket, as the edge's own list of purges is.
    pub fn put_stamped(&self, key: &str, stamp: &str, text: &str) {
        self.ask(Request::new("PUT", object_path(key)).header("Stamp", stamp).body(text));
    }

    /// The stamp of the text under `key` in the bucket.
    pub fn stamp(&self, key: &str) -> Option<String> {
        let answer = self.ask(Request::new("GET", object_path(key)));
        answer.header("stamp").filter(|stamp| !stamp.is_empty()).map(str::to_owned)
    }

    /// Removes an object from the bucket.
    pub fn remove_object(&self, key: &str) {
        self.ask(Request::new("DELETE", object_path(key)));
    }

    /// The answer that is stored in a cache under `https://` and this.
    ///
    /// # Panics
    /// When its body breaks off.
    pub fn entry(&self, name: &str) -> Option<Answer> {
        self.try_entry(name).expect("it is whole")
    }

    /// The same where that may be.
    ///
    /// # Errors
    /// When its body breaks off.
    pub fn try_entry(&self, name: &str) -> io::Result<Option<Answer>> {
        let request = Request::new("GET", entry_path(name)).header("Host", "stores");
        let answer = request.try_send(&self.address)?;
        Ok((answer.status == 200).then_some(answer))
    }

    /// Puts an entry of another's making into a cache.
    pub fn put_entry(&self, name: &str, entry: &Stored) {
        self.put(&entry_path(name), entry);
    }

    /// Removes an entry from a cache.
    pub fn remove_entry(&self, name: &str) {
        self.ask(Request::new("DELETE", entry_path(name)));
    }

    /// From now on has the bucket's operations (`get`, `put`, `delete`, `list`) go wrong in the ways
    /// that are named, and counts them from none.
    pub fn set_faults(&self, faults: &[(&str, &str)]) {
        let faults: BTreeMap<_, _> = faults.iter().copied().collect();
        self.ask(Request::new("PUT", "/faults").body(json!(faults).to_string()));
    }

    /// How many operations there have been of each kind, on a bucket that can fail.
    ///
    /// # Panics
    /// When they can't be counted.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let answer = self.ask(Request::new("GET", "/counts"));
        serde_json::from_value(answer.json()).expect("they are numbers")
    }

    fn put(&self, path: &str, stored: &Stored) {
        self.ask(Request::new("PUT", path).header("Record", &stored.record).body(&stored.body));
    }

    fn ask(&self, request: Request) -> Answer {
        let answer = request.header("Host", "stores").send(&self.address);
        assert!(matches!(answer.status, 200 | 404), "{}: {}", answer.status, answer.text());
        answer
    }
}

fn stored(answer: &Answer) -> Option<Stored> {
    let record = answer.header("record")?.to_owned();
    Some(Stored { record, body: answer.body.clone() })
}

fn object_path(key: &str) -> String {
    format!("/objects/{key}")
}

fn entry_path(name: &str) -> String {
    format!("/entries/{name}")
}
