//! Variables, secrets and bindings of the Worker, read once for the life of the isolate.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use worker::worker_sys::R2Bucket;
use worker::{AnalyticsEngineDataset, Env};

use crate::config::{Config, ConfigError};
use crate::shell::runtime::log;
use crate::shell::runtime::panic;

/// What the admin has set and bound.
pub(crate) struct Bindings {
    /// The config, or what the admin has to fix.
    pub(crate) config: Result<Rc<Config>, ConfigError>,
    /// `MEDIA_BUCKET`, if it is bound.
    pub(crate) bucket: Option<R2Bucket>,
    /// `METRICS`, a dataset of Analytics Engine, if it is bound.
    pub(crate) metrics: Option<AnalyticsEngineDataset>,
}

thread_local! {
    static BINDINGS: OnceCell<Rc<Bindings>> = const { OnceCell::new() };
}

/// Returns the bindings of this isolate.
pub(crate) fn of(env: &Env) -> Rc<Bindings> {
    BINDINGS.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(read_all(env)))))
}

fn read_all(env: &Env) -> Bindings {
    panic::install();
    let config = Config::parse(|name| text(env, name)).map(Rc::new);
    if let Err(error) = &config {
        log::error(&format!("configuration: {error} (wrangler.toml [vars], or a secret)"));
    }
    if let Some(warning) = config.as_ref().ok().and_then(|config| config.warning()) {
        log::warn(&format!("configuration: {warning}"));
    }
    Bindings { config, bucket: bucket(env), metrics: env.analytics_engine("METRICS").ok() }
}

/// Returns `MEDIA_BUCKET`; `None` where it is not bound, or is something else than an R2 bucket.
/// `Env::bucket` goes by the constructor's name, which differs where a bucket is a stand-in.
fn bucket(env: &Env) -> Option<R2Bucket> {
    let binding = read(env, "MEDIA_BUCKET")?;
    // KV has all of a bucket's other methods.
    let head = Reflect::get(&binding, &"head".into());
    if !head.is_ok_and(|head| head.is_function()) {
        log::error(
            "configuration: MEDIA_BUCKET is not an R2 bucket, and is not used: bind one, or nothing",
        );
        return None;
    }
    Some(binding.unchecked_into())
}

/// Returns a variable as text. `Env::var` refuses the numbers and booleans of TOML.
fn text(env: &Env, name: &str) -> Option<String> {
    Some(Object::from(read(env, name)?).to_string().into())
}

/// Returns a binding or variable of any type; `None` where there is none.
fn read(env: &Env, name: &str) -> Option<JsValue> {
    let value = Reflect::get(env, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}
