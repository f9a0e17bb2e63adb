//! How far the list of purges holds all that the homeserver has quarantined.

use sha2::{Digest, Sha256};

use crate::config::Config;

/// How far the homeserver's own list of quarantined media has been followed. It is written with the
/// list of purges, in one object, so that the list never lacks a name that the stamp vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the homeserver was asked for the page that turned out to be the last, in seconds since
    /// the Unix epoch: what it had quarantined by then is on the list.
    pub complete_unix_secs: u64,
    /// Since when its list has been followed without a gap, in seconds since the Unix epoch.
    pub since_unix_secs: u64,
    /// Until when grants don't count any more, in seconds since the Unix epoch: names of that time had
    /// no room on the list.
    pub ask_again_until_unix_secs: u64,
}

impl Stamp {
    /// Returns the stamp of a list that is complete as of `asked_unix_secs`. It has been followed for
    /// as long as the stamp before it shows; without one, since then.
    pub fn complete(before: Option<Self>, asked_unix_secs: u64) -> Self {
        Self {
            complete_unix_secs: asked_unix_secs,
            since_unix_secs: before.map_or(asked_unix_secs, |stamp| stamp.since_unix_secs),
            ask_again_until_unix_secs: before.map_or(0, |stamp| stamp.ask_again_until_unix_secs),
        }
    }

    /// Returns the stamp for a list that has the names of two: the later one's, with the later of both
    /// limits on grants.
    pub fn merge(self, other: Self) -> Self {
        let order = |stamp: &Self| (stamp.complete_unix_secs, stamp.since_unix_secs);
        let later = if order(&other) > order(&self) { other } else { self };
        let [a, b] = [self, other].map(|stamp| stamp.ask_again_until_unix_secs);
        Self { ask_again_until_unix_secs: a.max(b), ..later }
    }

    /// Returns the stamp as text: three seconds and the deployment, a space apart.
    pub fn to_text(self, config: &Config) -> String {
        let Self { complete_unix_secs, since_unix_secs, ask_again_until_unix_secs } = self;
        let deployment = deployment(config);
        format!("{complete_unix_secs} {since_unix_secs} {ask_again_until_unix_secs} {deployment}")
    }

    /// Parses a stamp; `None` for any other text, and for the stamp of a list of another homeserver.
    pub fn parse(text: &str, config: &Config) -> Option<Self> {
        let mut words = text.split(' ');
        let mut second = || words.next()?.parse().ok();
        let stamp = Self {
            complete_unix_secs: second()?,
            since_unix_secs: second()?,
            ask_again_until_unix_secs: second()?,
        };
        (words.next()? == deployment(config) && words.next().is_none()).then_some(stamp)
    }
}

/// Returns what stands for the homeserver that is asked: 16 hexadecimal digits.
pub fn deployment(config: &Config) -> String {
    let digest = Sha256::digest(format!("{} {}", config.homeserver, config.server_name));
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    const STAMP: Stamp =
        Stamp { complete_unix_secs: 300, since_unix_secs: 100, ask_again_until_unix_secs: 200 };

    #[test]
    fn a_stamp_is_read_back_by_its_own_deployment_only() {
        let own = config(&[]).unwrap();
        let text = STAMP.to_text(&own);
        assert_eq!(Stamp::parse(&text, &own), Some(STAMP));
        let moved = config(&[("HOMESERVER_URL", "https://other.example.com")]).unwrap();
        assert_eq!(Stamp::parse(&text, &moved), None);
        for text in ["", "1 2 3", &format!("{text} x"), &text.replace("300", "x")] {
            assert_eq!(Stamp::parse(text, &own), None, "{text}");
        }
    }

    #[test]
    fn a_complete_list_has_been_followed_since_the_stamp_before_or_since_now() {
        let followed = Stamp::complete(Some(STAMP), 400);
        assert_eq!(followed, Stamp { complete_unix_secs: 400, ..STAMP });
        let first =
            Stamp { complete_unix_secs: 400, since_unix_secs: 400, ask_again_until_unix_secs: 0 };
        assert_eq!(Stamp::complete(None, 400), first);
    }

    #[test]
    fn merged_stamps_are_as_complete_as_the_later_and_as_strict_as_either() {
        let later =
            Stamp { complete_unix_secs: 360, since_unix_secs: 350, ask_again_until_unix_secs: 0 };
        let merged = Stamp { ask_again_until_unix_secs: 200, ..later };
        assert_eq!(STAMP.merge(later), merged);
        assert_eq!(later.merge(STAMP), merged);
        let anew = Stamp { since_unix_secs: 300, ..STAMP };
        assert_eq!(STAMP.merge(anew).since_unix_secs, 300);
    }
}
