//! The scheduled reader of what Synapse has quarantined.

use ::http::StatusCode;
use worker::worker_sys::R2Bucket;

use crate::admin::quarantine::{
    LastRun, MAX_PAGE_BYTES, MAX_PAGES, MAX_POSITION_BYTES, MAX_RUN_MS, Position, Step,
};
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
use crate::shell::store::purge_list::{self, Run};

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
    let kept = bucket::read_text(bucket, &run_key(config), MAX_RUN_BYTES).await.ok()??;
    LastRun::parse(&kept.text)
}

fn run_key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::LastRun)
}

/// Reads page by page, and then purges what was quarantined. Returns whether all went well.
async fn catch_up(config: &Config, bucket: &R2Bucket, token: &AccessToken) -> bool {
    let key = CacheKey::new(&config.server_name, Subject::QuarantinePosition);
    let Ok(kept) = bucket::read_text(bucket, &key, MAX_POSITION_BYTES).await else { return false };
    // What is written to the list is what this isolate knows of it.
    let Ok(before) = purge_list::read(config, bucket).await else { return false };
    let (text, stamp) = kept.map_or((None, None), |kept| (Some(kept.text), kept.stamp));
    let began = Position::parse(text.as_deref(), stamp.as_deref(), config);
    let end_unix_ms = clock::now_unix_ms() + MAX_RUN_MS;
    let (mut position, mut quarantined) = (began.clone(), Vec::new());
    let (mut complete, mut is_read) = (None, true);
    for _ in 0..MAX_PAGES {
        let asked_unix_secs = clock::now_unix_secs();
        let step = match ask(config, token, &position).await {
            Some((status, text)) => position.clone().on_answer(status, text.as_deref()),
            None => Step::Failed,
        };
        match step {
            Step::Next(scopes, next) => {
                quarantined.extend(scopes);
                position = next;
            }
            Step::Complete { position: next, is_begun_anew } => {
                complete = Some((before.filter(|_| !is_begun_anew), asked_unix_secs));
                position = next;
            }
            Step::Failed => {
                log::error(
                    "quarantine: Synapse did not tell, see that SYNAPSE_ADMIN_TOKEN is an admin's",
                );
                is_read = false;
            }
        }
        if complete.is_some() || !is_read || clock::now_unix_ms() > end_unix_ms {
            break;
        }
    }
    let to_purge = purge::prefixes(config, &quarantined);
    // Nobody goes by a stamp where no grant stands by the list.
    let complete = complete.filter(|_| config.lease.media_lease_secs > 0);
    let run = Run { quarantined: &to_purge, complete };
    if (!to_purge.is_empty() || complete.is_some())
        && !purge_list::record_run(config, bucket, run).await
    {
        return false;
    }
    // Only now: a position without a gap before it must not be kept beside a list that lacks names,
    // or a stamp of before the gap. And no later, since deleting what was quarantined may take more
    // operations than some plans grant, and the list holds without it.
    if position != began && !write_position(config, bucket, &key, &position).await {
        return false;
    }
    if !to_purge.is_empty() {
        purge::delete(Some(bucket), &to_purge).await;
        log::info(&format!("quarantine: {} media purged", quarantined.len()));
    }
    is_read
}

/// How often a position is tried to be written.
const ATTEMPTS: usize = 5;

/// Writes how far the list has been read. Returns whether that has happened.
async fn write_position(
    config: &Config,
    bucket: &R2Bucket,
    key: &CacheKey,
    position: &Position,
) -> bool {
    let (text, stamp) = (position.to_text(), position.stamp(config));
    for _ in 0..ATTEMPTS {
        let condition = Condition::None;
        match bucket::write_stamped_text(bucket, key, &text, Some(&stamp), &condition).await {
            Written::Yes => return true,
            Written::Unmet | Written::Failed => return false,
            // A page before has been written within this second.
            Written::Busy => {
                let _ = sleep(bucket::busy_pause_ms()).await;
            }
        }
    }
    false
}

/// Asks for the page after a position. Returns its status and, where that is 200, its text; `None` if
/// there was no answer.
async fn ask(
    config: &Config,
    token: &AccessToken,
    position: &Position,
) -> Option<(StatusCode, Option<String>)> {
    let request = position.request(config, token);
    let Answer { head, response } = fetch::ask_alone(config, &request).await.ok()?;
    if head.status != StatusCode::OK {
        return Some((head.status, None));
    }
    let bytes = streams::read_bounded(&response.body()?, MAX_PAGE_BYTES).await.ok()??;
    Some((head.status, String::from_utf8(bytes).ok()))
}
