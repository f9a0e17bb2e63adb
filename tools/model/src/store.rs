//! One store of the edge: a data centre's cache, or the bucket. All of it may be gone at any time,
//! and nothing about it need work.

use std::collections::BTreeMap;
use std::rc::Rc;

use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::cache::purge_list::Unread;

use crate::flight::Moment;

#[derive(Default)]
pub struct Store {
    /// By name, which some keys share.
    entries: BTreeMap<String, (CacheKey, Entry)>,
    /// Stored, but not to be found yet.
    late: Vec<(CacheKey, Entry)>,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Nothing is found, or too late to be of use.
    LookUp,
    /// Nothing is stored.
    Store,
    /// A response that is stored turns up later.
    Late,
    /// What is stored is there, and is said not to be.
    Doubt,
    /// What is found ends half-way.
    Break,
    /// Nothing is removed.
    Remove,
}

/// How an entry can be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// Its record is of this version.
    Version(&'static str),
    /// Its record is another key's.
    Key,
    /// It has no record of ours.
    Record,
    /// Its body is shorter than its record says.
    Body,
}

/// When a store is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    IsAbsent,
}

#[derive(Clone)]
pub struct Entry {
    /// The record of a stored response, or a text of our own.
    pub record: String,
    pub body: Body,
    pub ends_ms: u64,
    /// The door at which the body was granted, beside the record.
    pub grant: Option<&'static str>,
}

/// The bytes of a stored response.
#[derive(Clone)]
pub struct Body {
    pub bytes: Rc<[u8]>,
    /// When the origin was asked for them.
    pub asked: Moment,
}

impl Entry {
    /// A text of our own.
    pub fn text(text: String, ends_ms: u64) -> Self {
        let body = Body { bytes: Rc::from([]), asked: Moment::default() };
        Self { record: text, body, ends_ms, grant: None }
    }

    fn is_response(&self) -> bool {
        self.record.starts_with("version=")
    }
}

impl Store {
    /// What is found under `key`, its body open.
    pub fn find(&self, key: &CacheKey, now_ms: u64) -> Option<Entry> {
        let found = self.entries.get(&*key.name()).map(|(_, entry)| entry);
        let found = found.filter(|entry| now_ms < entry.ends_ms);
        let mut entry = found.filter(|_| self.fault != Fault::LookUp).cloned()?;
        if self.fault == Fault::Break {
            entry.break_off();
        }
        Some(entry)
    }

    /// A text of our own, read to its end.
    pub fn find_text(&self, key: &CacheKey, now_ms: u64) -> Option<String> {
        let found = self.find(key, now_ms).filter(|_| self.fault != Fault::Break);
        found.map(|entry| entry.record)
    }

    /// The same where it matters why there is none: `Err` if it can't be read.
    pub fn read_text(&self, key: &CacheKey, now_ms: u64) -> Result<Option<String>, Unread> {
        if self.is_unreadable() { Err(Unread) } else { Ok(self.find_text(key, now_ms)) }
    }

    pub const fn is_unreadable(&self) -> bool {
        matches!(self.fault, Fault::LookUp | Fault::Break)
    }

    /// Says whether the entry has been written, as far as it knows.
    pub fn store(&mut self, key: &CacheKey, entry: Entry, condition: Condition) -> bool {
        assert!(!key.to_string().contains("syt_"), "a key tells no token");
        let is_allowed = condition == Condition::None || !self.entries.contains_key(&*key.name());
        match self.fault {
            _ if !is_allowed => return false,
            Fault::Store => return false,
            Fault::Late if entry.is_response() => self.late.push((key.clone(), entry)),
            _ => self.insert(key.clone(), entry),
        }
        self.fault != Fault::Doubt
    }

    fn insert(&mut self, key: CacheKey, entry: Entry) {
        self.entries.insert(key.name().into_owned(), (key, entry));
    }

    pub fn remove(&mut self, key: &CacheKey) {
        if self.fault != Fault::Remove {
            self.entries.remove(&*key.name());
        }
    }

    /// Removes all that is named, if that can be found out.
    pub fn remove_where(&mut self, is_doomed: impl Fn(&CacheKey) -> bool) {
        if !matches!(self.fault, Fault::Remove | Fault::LookUp) {
            self.entries.retain(|_, (key, _)| !is_doomed(key));
        }
    }

    /// Forgets one entry. The list of purges stays: it is the one thing that must.
    pub fn evict(&mut self, which: usize) {
        let is_list = |name: &str| name.ends_with("/purges");
        let names: Vec<_> = self.entries.keys().filter(|name| !is_list(name)).cloned().collect();
        names.get(which % names.len().max(1)).map(|name| self.entries.remove(name));
    }

    /// What was late is there now.
    pub fn settle(&mut self) {
        for (key, entry) in std::mem::take(&mut self.late) {
            self.insert(key, entry);
        }
    }

    /// Makes one stored response bad.
    pub fn spoil(&mut self, which: usize, spoil: Spoil) {
        let mut responses: Vec<_> = self
            .entries
            .values_mut()
            .map(|(_, entry)| entry)
            .filter(|entry| entry.is_response())
            .collect();
        let count = responses.len().max(1);
        if let Some(entry) = responses.get_mut(which % count) {
            entry.spoil(spoil);
        }
    }
}

impl Entry {
    fn spoil(&mut self, spoil: Spoil) {
        match spoil {
            Spoil::Version(version) => {
                let (_, rest) = self.record.split_once('&').expect("a version and more");
                self.record = format!("version={version}&{rest}");
            }
            Spoil::Key => self.record = self.record.replace("&key=v2", "&key=v2%2Fnot"),
            Spoil::Record => self.record.clear(),
            Spoil::Body => self.break_off(),
        }
    }

    fn break_off(&mut self) {
        let half = self.body.bytes.len() / 2;
        self.body.bytes = Rc::from(&self.body.bytes[..half]);
    }
}
