//! The scheduled reader of what Synapse has quarantined.

use ::http::StatusCode;
use worker_sys::R2Bucket;

use crate::admin::quarantine::{self, MAX_PAGE_BYTES, MAX_PAGES, Page};
use crate::cache::key::{CacheKey, Subject};
use crate::config::Config;
use crate::matrix::access_token::AccessToken;
use crate::shell::admin::purge;
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::runtime::log::{complain, note};
use crate::shell::runtime::tasks::sleep;
use crate::shell::store::bucket::{self, Condition, Written};
use crate::shell::store::purge_list;

/// The most that a position takes, in bytes.
const MAX_POSITION_BYTES: usize = 20;

/// Reads what has been quarantined since the last time, and purges it.
pub(crate) async fn follow(config: &Config, bucket: Option<&R2Bucket>) {
    let Some(token) = &config.synapse_admin_token else { return };
    let Some(bucket) = bucket else {
        complain("quarantine: bind MEDIA_BUCKET, where the position is kept");
        return;
    };
    let key = CacheKey::new(&config.server_name, Subject::QuarantinePosition);
    let Ok(kept) = bucket::read_text(bucket, &key, MAX_POSITION_BYTES).await else { return };
    let mut position = kept.and_then(|(text, _)| text.parse().ok()).unwrap_or(0);
    for _ in 0..MAX_PAGES {
        let Some(page) = read(config, token, position).await else {
            complain(
                "quarantine: Synapse did not tell, see that SYNAPSE_ADMIN_TOKEN is an admin's",
            );
            return;
        };
        let doomed = purge::prefixes(config, &page.quarantined);
        if !doomed.is_empty() && !purge_list::list(config, Some(bucket), &doomed).await {
            return;
        }
        // Only now: what fails before is read again the next time. And no later, since deleting a
        // full page takes more operations than some plans grant, and the list holds without it.
        if page.next != position && !write_position(bucket, &key, page.next).await {
            return;
        }
        if !doomed.is_empty() {
            purge::delete(Some(bucket), &doomed).await;
            note(&format!("quarantine: {} media purged", page.quarantined.len()));
        }
        position = page.next;
        if !page.has_changes {
            return;
        }
    }
}

/// Writes how far the list has been read. Returns whether that has happened.
async fn write_position(bucket: &R2Bucket, key: &CacheKey, position: u64) -> bool {
    let text = position.to_string();
    loop {
        match bucket::write_text(bucket, key, &text, &Condition::None).await {
            Written::Yes => return true,
            Written::Unmet | Written::Failed => return false,
            // A page before has been written within this second.
            Written::Busy => {
                let _ = sleep(bucket::busy_pause_millis()).await;
            }
        }
    }
}

async fn read(config: &Config, token: &AccessToken, position: u64) -> Option<Page> {
    let request = quarantine::request(config, token, position);
    let Answer { head, response } = fetch::ask_alone(config, &request).await.ok()?;
    if head.status == StatusCode::BAD_REQUEST {
        return Some(quarantine::refused());
    }
    if !head.status.is_success() {
        return None;
    }
    let text = streams::read_bounded(&response.body()?, MAX_PAGE_BYTES).await.ok()??;
    quarantine::parse(std::str::from_utf8(&text).ok()?)
}
