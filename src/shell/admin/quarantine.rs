//! The scheduled reader of what Synapse has quarantined.

use ::http::StatusCode;
use worker::worker_sys::R2Bucket;

use crate::admin::quarantine::{self, LastRun, MAX_PAGE_BYTES, MAX_PAGES, Page};
use crate::cache::key::{CacheKey, Subject};
use crate::config::Config;
use crate::matrix::access_token::AccessToken;
use crate::shell::admin::purge;
use crate::shell::body::streams;
use crate::shell::origin::fetch::{self, Answer};
use crate::shell::runtime::clock;
use crate::shell::runtime::log;
use crate::shell::runtime::tasks::sleep;
use crate::shell::store::bucket::{self, Condition, Written};
use crate::shell::store::purge_list;

/// The most that a position takes, in bytes.
const MAX_POSITION_BYTES: usize = 20;

/// The most that the record of the last run takes, in bytes.
const MAX_RUN_BYTES: usize = 40;

/// Reads what has been quarantined since the last time, and purges it. Records that it has run.
pub(crate) async fn poll(config: &Config, bucket: Option<&R2Bucket>) {
    let Some(token) = &config.synapse_admin_token else { return };
    let Some(bucket) = bucket else {
        log::error("quarantine: bind MEDIA_BUCKET, where the position is kept");
        return;
    };
    let is_done = catch_up(config, bucket, token).await;
    let run = LastRun { at_unix_secs: clock::now_unix_secs(), is_done };
    // Where that fails the log has it, and the run counts as not seen.
    let _ = bucket::write_text(bucket, &run_key(config), &run.to_text(), &Condition::None).await;
}

/// Returns the last run, if it was recorded and can be read.
pub(crate) async fn last_run(config: &Config, bucket: &R2Bucket) -> Option<LastRun> {
    let (text, _) = bucket::read_text(bucket, &run_key(config), MAX_RUN_BYTES).await.ok()??;
    LastRun::parse(&text)
}

fn run_key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::LastRun)
}

/// Reads page by page. Returns whether all went well.
async fn catch_up(config: &Config, bucket: &R2Bucket, token: &AccessToken) -> bool {
    let key = CacheKey::new(&config.server_name, Subject::QuarantinePosition);
    let Ok(kept) = bucket::read_text(bucket, &key, MAX_POSITION_BYTES).await else { return false };
    let mut position = kept.and_then(|(text, _)| text.parse().ok()).unwrap_or(0);
    for _ in 0..MAX_PAGES {
        let Some(page) = read(config, token, position).await else {
            log::error(
                "quarantine: Synapse did not tell, see that SYNAPSE_ADMIN_TOKEN is an admin's",
            );
            return false;
        };
        let to_purge = purge::prefixes(config, &page.quarantined);
        if !to_purge.is_empty() && !purge_list::list(config, Some(bucket), &to_purge).await {
            return false;
        }
        // Only now: what fails before is read again the next time. And no later, since deleting a
        // full page takes more operations than some plans grant, and the list holds without it.
        if page.next != position && !write_position(bucket, &key, page.next).await {
            return false;
        }
        if !to_purge.is_empty() {
            purge::delete(Some(bucket), &to_purge).await;
            log::info(&format!("quarantine: {} media purged", page.quarantined.len()));
        }
        position = page.next;
        if !page.has_changes {
            break;
        }
    }
    true
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
                let _ = sleep(bucket::busy_pause_ms()).await;
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
