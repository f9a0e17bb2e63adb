//! What must be gone, and where: purges, and who must have heard of them. Worked out from when they
//! were made and how long nobody who asked for the list was kept from reading it.

use std::collections::BTreeSet;

use matrix_media_edge::admin::purge::Scope;
use matrix_media_edge::cache::purge_list::{PURGES_FRESH_SECS, PURGES_HEARD_SECS};
use matrix_media_edge::matrix::ids::{Mxc, ServerName};

use crate::edge::{ISOLATES, Now, POPS, pop_of};
use crate::homeserver::Media;

/// Within this time everybody has heard of a purge: an older list is not used before another is read.
const HEARD_AFTER_MS: u64 = PURGES_HEARD_SECS * 1000;

/// Within this time after the list could not be read everybody looks again, and takes no copy that was
/// written in the meantime for a new one.
const LOOKED_AFTER_MS: u64 = PURGES_FRESH_SECS * 1000;

/// What an admin wants gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Media(usize),
    /// The same under another spelling of its server's name.
    Respelt(usize),
    Server(&'static str),
    Everything,
}

impl What {
    pub fn scope(self, media: &[Media]) -> Scope {
        match self {
            Self::Media(media_index) => {
                let uri = format!("mxc://{}", media[media_index].mxc());
                Scope::Media(Mxc::parse(&uri).expect("an mxc URI"))
            }
            Self::Respelt(media_index) => {
                let Media { server_name, id, .. } = &media[media_index];
                let host = host(server_name).to_uppercase();
                let uri = format!("mxc://{host}:4443/{id}");
                Scope::Media(Mxc::parse(&uri).expect("an mxc URI"))
            }
            Self::Server(name) => Scope::Server(ServerName::parse(name).expect("a server name")),
            Self::Everything => Scope::Everything,
        }
    }

    fn covers(self, index: usize, media: &Media) -> bool {
        match self {
            Self::Media(doomed) | Self::Respelt(doomed) => doomed == index,
            Self::Server(name) => host(media.server_name).eq_ignore_ascii_case(host(name)),
            Self::Everything => true,
        }
    }
}

fn host(server_name: &str) -> &str {
    server_name.split(':').next().unwrap_or_default()
}

/// All purges, and who has heard of which.
#[derive(Default)]
pub struct Purged {
    purges: Vec<Purge>,
    heard: BTreeSet<(usize, usize)>,
    deaf_ms: [u64; POPS],
}

struct Purge {
    what: What,
    at_ms: u64,
    /// The same by the clock of the one who purged.
    at_unix_secs: u64,
    /// The data centres whose isolates are to hear of it.
    reach: [bool; POPS],
}

/// The purges that a request must obey.
pub type Heard = Vec<usize>;

impl Purged {
    /// A purge is carried out by `isolate`, and reaches those.
    pub fn add(&mut self, what: What, isolate: usize, reach: [bool; POPS], now: Now<'_>) {
        self.heard.insert((isolate, self.purges.len()));
        let Now { ms: at_ms, unix_secs: at_unix_secs, .. } = now;
        self.purges.push(Purge { what, at_ms, at_unix_secs, reach });
    }

    /// A list has been written over that could not be read: nobody there will hear of what was on
    /// it.
    pub fn lose(&mut self, pop: usize) {
        self.purges.iter_mut().for_each(|purge| purge.reach[pop] = false);
    }

    /// The list can't be read there now.
    pub const fn keep_deaf(&mut self, pop: usize, now_ms: u64) {
        self.deaf_ms[pop] = now_ms;
    }

    /// An isolate that starts anew has heard of nothing.
    pub fn forget(&mut self, isolate: usize) {
        self.heard.retain(|(by, _)| *by != isolate);
    }

    /// A request comes to an isolate, which has looked at the list if that was due: what must it
    /// have heard of?
    pub fn heard_by(&mut self, isolate: usize, now_ms: u64) -> Heard {
        assert!(isolate < ISOLATES, "an isolate");
        let pop = pop_of(isolate);
        for (index, purge) in self.purges.iter().enumerate() {
            let heard_ms = (purge.at_ms + HEARD_AFTER_MS).max(self.deaf_ms[pop] + LOOKED_AFTER_MS);
            if purge.reach[pop] && heard_ms <= now_ms {
                self.heard.insert((isolate, index));
            }
        }
        self.heard.iter().filter(|(by, _)| *by == isolate).map(|(_, index)| *index).collect()
    }

    /// When those purges of a media were made by which something may still have to be gone.
    pub fn standing(
        &self,
        heard: &Heard,
        (index, media): (usize, &Media),
        now: Now<'_>,
    ) -> Vec<u64> {
        let purges = heard.iter().map(|heard| &self.purges[*heard]);
        purges
            .filter(|purge| purge.what.covers(index, media))
            .map(|purge| purge.at_unix_secs)
            .filter(|at| now.unix_secs < at + now.config.cache_secs)
            .collect()
    }

    /// Whether bytes that were asked for then should be gone.
    pub fn dooms(&self, heard: &Heard, (index, media): (usize, &Media), asked_ms: u64) -> bool {
        let is_doomed = |purge: &Purge| asked_ms < purge.at_ms && purge.what.covers(index, media);
        heard.iter().any(|heard| is_doomed(&self.purges[*heard]))
    }
}
