//! What one isolate has counted since it began: what it stored, what not and why, how stored media
//! was revalidated, and how uploads came. Other isolates have counts of their own.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cache::storability::NoStoreReason;
use crate::origin::revalidation::Revalidated;

/// The counts of one isolate. As JSON they have the members that docs/numbers.md names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// When the isolate got its first request, in seconds since the Unix epoch.
    pub since_unix_secs: u64,
    /// Answers with media whose storing was begun.
    pub stored: u64,
    /// Answers with media that were not stored, by reason.
    pub not_stored: BTreeMap<NoStoreReason, u64>,
    /// Questions about stored media that were answered without a body.
    pub revalidated_without_body: u64,
    /// Questions about stored media that brought the body again.
    pub revalidated_with_body: u64,
    /// Uploads that came with a length.
    pub uploads_with_length: u64,
    /// Uploads that came without one.
    pub uploads_without_length: u64,
}

impl Counts {
    /// Records when the isolate began: with the first request that it gets.
    pub const fn begin(&mut self, now_unix_secs: u64) {
        if self.since_unix_secs == 0 {
            self.since_unix_secs = now_unix_secs;
        }
    }

    /// Counts an answer with media: stored, or why not.
    pub fn add_fetched(&mut self, storing: Result<(), NoStoreReason>) {
        match storing {
            Ok(()) => self.stored += 1,
            Err(reason) => *self.not_stored.entry(reason).or_default() += 1,
        }
    }

    /// Counts a revalidation.
    pub const fn add_revalidated(&mut self, revalidated: Revalidated) {
        match revalidated {
            Revalidated::WithoutBody => self.revalidated_without_body += 1,
            Revalidated::WithBody => self.revalidated_with_body += 1,
        }
    }

    /// Counts an upload.
    pub const fn add_upload(&mut self, has_length: bool) {
        if has_length {
            self.uploads_with_length += 1;
        } else {
            self.uploads_without_length += 1;
        }
    }

    /// Returns how many answers with media were not stored.
    pub fn not_stored_in_all(&self) -> u64 {
        self.not_stored.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::json;

    #[test]
    fn each_thing_is_counted_under_its_own_name() {
        let mut counts = Counts::default();
        counts.begin(9);
        counts.begin(10);
        counts.add_fetched(Ok(()));
        counts.add_fetched(Err(NoStoreReason::SetCookie));
        counts.add_fetched(Err(NoStoreReason::SetCookie));
        counts.add_fetched(Err(NoStoreReason::NoValidator));
        for _ in 0..3 {
            counts.add_revalidated(Revalidated::WithoutBody);
        }
        counts.add_revalidated(Revalidated::WithBody);
        for has_length in [true, true, false] {
            counts.add_upload(has_length);
        }
        assert_eq!(counts.not_stored_in_all(), 3);
        let expected = concat!(
            r#"{"since_unix_secs":9,"stored":1,"not_stored":{"set-cookie":2,"no-validator":1},"#,
            r#""revalidated_without_body":3,"revalidated_with_body":1,"#,
            r#""uploads_with_length":2,"uploads_without_length":1}"#
        );
        assert_eq!(json::write(&counts), expected);
    }
}
