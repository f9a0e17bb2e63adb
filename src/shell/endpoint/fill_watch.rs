//! Watches large cache fills whose reader may leave: from then on a fill goes on only as long as it
//! can end in time.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use crate::cache::entry::Validator;
use crate::cache::key::CacheKey;
use crate::config::Config;
use crate::message::presence::MAX_BACKGROUND_MS;
use crate::message::target::split_url;
use crate::origin::pace::Otherwise;
use crate::origin::ranges::RangeSupport;
use crate::shell::body::streams::PipeEnd;
use crate::shell::origin::known;
use crate::shell::request_context::RequestContext;
use crate::shell::runtime::clock;
use crate::shell::runtime::context::{Context, Stopping};
use crate::shell::runtime::tasks::sleep;
use crate::shell::store::coalescing::{self, FillTarget};

/// How often a fill is looked at, in milliseconds.
const LOOK_MS: u32 = 250;

/// How long a reader may slow a fill down before another fill of the body may begin, in milliseconds.
const MAX_HINDERED_MS: u64 = 20_000;

/// A fill that is watched until this is dropped.
pub(crate) struct Watch {
    given_up: GivenUp,
    _watching: Stopping,
}

/// Whether a fill was ended early.
#[derive(Clone, Default)]
pub(crate) struct GivenUp(Rc<Cell<bool>>);

impl GivenUp {
    /// Records that the fill is ended early.
    pub(crate) fn set(&self) {
        self.0.set(true);
    }
}

/// The fill that is watched.
pub(crate) struct Watched {
    pub(crate) key: CacheKey,
    /// How many bytes the body has.
    pub(crate) length: u64,
    /// Whether a client reads it meanwhile.
    pub(crate) is_read: bool,
    pub(crate) otherwise: OtherwiseAt,
    /// Ends the fill early; `None` if the pump does, or nobody.
    pub(crate) end: Option<PipeEnd>,
    pub(crate) given_up: GivenUp,
}

impl Watch {
    /// Begins to watch a fill that has just begun.
    pub(crate) fn begin(context: &RequestContext, watched: Watched) -> Self {
        let (runtime, given_up) = (Rc::clone(&context.runtime), watched.given_up.clone());
        let watching =
            context.runtime.run_in_background(async move { watched.watch(&runtime).await });
        Self { given_up, _watching: Stopping(watching) }
    }

    /// Returns whether the fill was ended early.
    pub(crate) fn has_given_up(&self) -> bool {
        self.given_up.0.get()
    }
}

impl Watched {
    /// Waits until the fill has to be ended early, and ends it.
    async fn watch(self, runtime: &Context) {
        let Self { key, length, is_read, otherwise, end, given_up } = self;
        let began_ms = clock::now_unix_ms();
        let mut large = Some(coalescing::begin(runtime, FillTarget::Large, &key));
        while is_read && !runtime.has_left() {
            if clock::now_unix_ms().saturating_sub(began_ms) >= MAX_HINDERED_MS {
                large = None;
            }
            let _ = sleep(LOOK_MS).await;
        }
        let Some(end) = end else { return pending().await };
        let _unhindered = coalescing::begin(runtime, FillTarget::Unhindered, &key);
        let alone_ms = clock::now_unix_ms();
        loop {
            let waited_ms = clock::now_unix_ms().saturating_sub(alone_ms);
            let left_ms = runtime.background_ms().unwrap_or(MAX_BACKGROUND_MS);
            if left_ms <= u64::from(2 * LOOK_MS) {
                known::learn_late(length, waited_ms);
                break;
            }
            // Bytes that came before are not counted: the reader may have slowed them down.
            let left = known::pace().left(length, waited_ms);
            if !known::pace().ends_in_time(left, left_ms, otherwise.now()) {
                break;
            }
            let _ = sleep(LOOK_MS).await;
        }
        drop(large);
        given_up.set();
        end.abort();
    }
}

/// The host that a body comes from: whether it serves ranges decides what readers of a part cost if
/// the fill is ended.
pub(crate) struct OtherwiseAt(String);

impl OtherwiseAt {
    /// Returns the homeserver's host, or the one that it redirected to.
    pub(crate) fn new(config: &Config, validator: &Validator) -> Self {
        let redirected = match validator {
            Validator::Redirect(place) => split_url(place).map(|url| url.authority),
            _ => None,
        };
        Self(redirected.unwrap_or_else(|| config.homeserver.authority()).to_owned())
    }

    /// Returns what readers of a part would cost without the fill, as far as is known now.
    pub(crate) fn now(&self) -> Otherwise {
        match known::range_support(&self.0) {
            RangeSupport::Serves => Otherwise::Parts,
            RangeSupport::Ignores | RangeSupport::Unknown => Otherwise::Again,
        }
    }
}
