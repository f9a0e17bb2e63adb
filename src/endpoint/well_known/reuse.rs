//! `WELL_KNOWN_SECONDS`: for how long a document is sent again without asking its host, whatever the
//! host's `Cache-Control` is.
//!
//! Until half of that age a copy is sent as it is; until the whole, it is sent and refreshed in the
//! background; after that its host is asked first. The age counts from before the host was asked,
//! and stays with the copy, wherever that is taken: so no client gets an older copy while the host
//! answers. A document that the edge generates is treated likewise, by the 404 that led to it.

use http::header::{AGE, HeaderValue};

use super::{CopyChange, KeptDocument, WellKnownReply, document_parts, names_server};
use crate::cache::purge_list::Purges;
use crate::config::Config;
use crate::headers::cache_status::{CacheStatus, Source};
use crate::matrix::well_known::Document;
use crate::message::ReplyHead;

/// A reply that may be sent again, ready for that, as an isolate keeps it.
#[derive(Clone, Debug)]
pub struct ReadyReply {
    /// When the document's host was asked, in seconds since the Unix epoch.
    asked_unix_secs: u64,
    head: ReplyHead,
    text: String,
}

/// What may be done with a reply that is ready.
#[derive(Debug)]
pub enum Reuse {
    /// It may be sent with this head.
    Send(ReplyHead),
    /// It may be sent with this head, and is to be refreshed in the background.
    SendAndRefresh(ReplyHead),
    /// The document's host is to be asked first.
    AskHost,
}

/// What becomes of the reply that an isolate keeps.
#[derive(Debug)]
pub enum ReadyChange {
    /// It stays, if there is one.
    Unchanged,
    /// It is out of date.
    Forget,
    /// This one takes its place.
    Keep(ReadyReply),
}

impl ReadyReply {
    /// Returns the reply of a copy; `None` if no copy is sent again, or if this one names no server:
    /// that may be an error, which its host is asked about each time.
    pub fn of_copy(document: Document, copy: &KeptDocument, config: &Config) -> Option<Self> {
        if reuse_secs(config) == 0 || !names_server(document, &copy.text) {
            return None;
        }
        let cache_control = copy.cache_control.as_deref();
        let (head, text) = document_parts(document, &copy.text, cache_control, config)?;
        Some(Self { asked_unix_secs: copy.asked_unix_secs, head, text })
    }

    /// Returns whether the reply is young enough to be sent, if no purge covers it.
    pub fn is_young(&self, config: &Config, now_unix_secs: u64) -> bool {
        age_secs(self.asked_unix_secs, config, now_unix_secs).is_some()
    }

    /// Returns what may be done with the reply.
    pub fn reuse(&self, purges: &Purges, config: &Config, now_unix_secs: u64) -> Reuse {
        let Some(age_secs) = age_secs(self.asked_unix_secs, config, now_unix_secs)
            .filter(|_| !purges.covers_documents(&config.server_name, self.asked_unix_secs))
        else {
            return Reuse::AskHost;
        };
        let left_secs = reuse_secs(config) - age_secs;
        let mut head = self.head.clone();
        head.headers.insert(AGE, HeaderValue::from(age_secs));
        let source = Source::Hit { ttl_secs: left_secs.cast_signed() };
        head.set_cache_status(CacheStatus { source, is_stored: false, detail: None });
        if age_secs < left_secs { Reuse::Send(head) } else { Reuse::SendAndRefresh(head) }
    }

    /// Returns the document, with the edge's members in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the reply takes the place of `other`: unless that was asked for later. A time
    /// in the future is not taken for one, since its clock can't be relied on.
    pub fn replaces(&self, other: &Self, now_unix_secs: u64) -> bool {
        self.asked_unix_secs >= other.asked_unix_secs || other.asked_unix_secs > now_unix_secs
    }
}

impl ReadyChange {
    /// Returns what becomes of the isolate's reply after the host was asked at this time, by what is
    /// answered and what becomes of the copy.
    pub fn after(
        document: Document,
        reply: &WellKnownReply,
        change: &CopyChange,
        config: &Config,
        asked_unix_secs: u64,
    ) -> Self {
        match (reply, change) {
            (WellKnownReply::Generated(head, text), _) if reuse_secs(config) > 0 => {
                Self::Keep(ReadyReply { asked_unix_secs, head: head.clone(), text: text.clone() })
            }
            (_, CopyChange::Store(copy)) => {
                ReadyReply::of_copy(document, copy, config).map_or(Self::Forget, Self::Keep)
            }
            (_, CopyChange::Remove) => Self::Forget,
            (_, CopyChange::Unchanged) => Self::Unchanged,
        }
    }
}

/// Returns how many seconds ago a host was asked; `None` if that is too long ago for its document to be
/// sent again, or in the future: that clock can't be relied on.
pub(super) fn age_secs(asked_unix_secs: u64, config: &Config, now_unix_secs: u64) -> Option<u64> {
    now_unix_secs.checked_sub(asked_unix_secs).filter(|age_secs| *age_secs < reuse_secs(config))
}

/// Returns for how many seconds a reply may be sent again. `CACHE_SECONDS` bounds this too: a purge is
/// listed for no longer than that.
fn reuse_secs(config: &Config) -> u64 {
    config.well_known_secs.min(config.cache_secs)
}

#[cfg(test)]
mod tests;
