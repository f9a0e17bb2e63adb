//! What an admin decides, and what is compared here.

use std::collections::BTreeMap;
use std::fmt;

use matrix_media_edge::config::Config;

use crate::model::DAY_SECS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) lease_seconds: u64,
    /// 0: grants about media last as long as those to tokens.
    pub(crate) media_lease_seconds: u64,
    pub(crate) has_bucket: bool,
}

pub(crate) const SETTINGS: [Setting; 8] = [
    Setting { lease_seconds: 0, media_lease_seconds: 0, has_bucket: false },
    Setting { lease_seconds: 60, media_lease_seconds: 0, has_bucket: false },
    Setting { lease_seconds: 300, media_lease_seconds: 0, has_bucket: false },
    Setting { lease_seconds: 0, media_lease_seconds: 0, has_bucket: true },
    Setting { lease_seconds: 60, media_lease_seconds: 0, has_bucket: true },
    Setting { lease_seconds: 300, media_lease_seconds: 0, has_bucket: true },
    Setting { lease_seconds: 60, media_lease_seconds: DAY_SECS, has_bucket: true },
    Setting { lease_seconds: 60, media_lease_seconds: 3 * DAY_SECS, has_bucket: true },
];

pub(crate) const SERVER_NAME: &str = "example.com";

impl Setting {
    /// All else is as it is when nothing is said about it.
    pub(crate) fn config(self) -> Config {
        let lease_seconds = self.lease_seconds.to_string();
        let media_lease_seconds = self.media_lease_seconds.to_string();
        let mut vars = BTreeMap::from([
            ("HOMESERVER_URL", "https://origin.example.com"),
            ("SERVER_NAME", SERVER_NAME),
            ("MEDIA_URL", "https://media.example.com"),
            ("LEASE_SECONDS", &lease_seconds),
            ("MEDIA_LEASE_SECONDS", &media_lease_seconds),
        ]);
        if self.media_lease_seconds > 0 {
            vars.insert("SYNAPSE_ADMIN_TOKEN", "syt_admin_of_the_edge");
        }
        Config::parse(|name| vars.get(name).map(|text| (*text).to_owned()))
            .expect("variables that can be used")
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.media_lease_seconds > 0 {
            let hours = self.media_lease_seconds / 3600;
            return write!(f, "{} s, media {hours} h", self.lease_seconds);
        }
        let bucket = if self.has_bucket { ", bucket" } else { "" };
        match self.lease_seconds {
            0 => write!(f, "strict{bucket}"),
            seconds => write!(f, "leased {seconds} s{bucket}"),
        }
    }
}
