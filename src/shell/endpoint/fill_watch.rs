//! Large cache fills whose reader may leave: from then on they go on only as long as they can end in time.

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

/// A fill that is watched over until this is dropped.
pub(crate) struct Watch {
    given_up: GivenUp,
    _watching: Stopping,
}

/// Whether a fill was ended before its time.
#[derive(Clone, Default)]
pub(crate) struct GivenUp(Rc<Cell<bool>>);

impl GivenUp {
    /// Records that the fill is ended before its time.
    pub(crate) fn set(&self) {
        self.0.set(true);
    }
}

/// What is watched over.
pub(crate) struct Watched {
    pub(crate) key: CacheKey,
    /// How many bytes the body has.
    pub(crate) length: u64,
    /// Whether a client reads it meanwhile.
    pub(crate) is_read: bool,
    pub(crate) otherwise: OtherwiseAt,
    /// Ends it before its time; `None` where it is ended by another, or not at all.
    pub(crate) end: Option<PipeEnd>,
    pub(crate) given_up: GivenUp,
}

impl Watch {
    /// Begins to watch over a fill that has just begun.
    pub(crate) fn begin(call: &RequestContext, watched: Watched) -> Self {
        let (context, given_up) = (Rc::clone(&call.context), watched.given_up.clone());
        let watching = call.context.run_in_background(async move { watched.watch(&context).await });
        Self { given_up, _watching: Stopping(watching) }
    }

    /// Whether the fill was ended before its time.
    pub(crate) fn has_given_up(&self) -> bool {
        self.given_up.0.get()
    }
}

impl Watched {
    /// Returns once the fill has been ended before its time.
    async fn watch(self, context: &Context) {
        let Self { key, length, is_read, otherwise, end, given_up } = self;
        let began_ms = clock::now_unix_ms();
        let mut large = Some(coalescing::begin(context, FillTarget::Large, &key));
        while is_read && !context.has_left() {
            if clock::now_unix_ms().saturating_sub(began_ms) >= MAX_HINDERED_MS {
                large = None;
            }
            let _ = sleep(LOOK_MS).await;
        }
        let Some(end) = end else { return pending().await };
        let _unhindered = coalescing::begin(context, FillTarget::Unhindered, &key);
        let alone_ms = clock::now_unix_ms();
        loop {
            let waited_ms = clock::now_unix_ms().saturating_sub(alone_ms);
            let left_ms = context.background_ms().unwrap_or(MAX_BACKGROUND_MS);
            if left_ms <= u64::from(2 * LOOK_MS) {
                known::learn_late(length, waited_ms);
                break;
            }
            // What came before is not counted: its reader may have slowed it down.
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

/// The host of a body, by which readers of a part cost that part or more.
pub(crate) struct OtherwiseAt(String);

impl OtherwiseAt {
    /// Takes the homeserver's host, or the one that it redirected to.
    pub(crate) fn new(config: &Config, validator: &Validator) -> Self {
        let redirected = match validator {
            Validator::Redirect(place) => split_url(place).map(|url| url.authority),
            _ => None,
        };
        Self(redirected.unwrap_or_else(|| config.homeserver.authority()).to_owned())
    }

    /// Returns what readers of a part cost, as far as is known now.
    pub(crate) fn now(&self) -> Otherwise {
        match known::range_support(&self.0) {
            RangeSupport::Serves => Otherwise::Parts,
            RangeSupport::Ignores | RangeSupport::Unknown => Otherwise::Again,
        }
    }
}
