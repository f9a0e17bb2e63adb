//! Variables and secrets of the Worker, parsed once for the life of the isolate.

use std::cell::OnceCell;
use std::rc::Rc;

use worker::{Env, console_error};

use crate::config::{Config, ConfigError};

type Parsed = Rc<Result<Rc<Config>, ConfigError>>;

thread_local! {
    static CONFIG: OnceCell<Parsed> = const { OnceCell::new() };
}

/// The config, or what the admin has to mend.
pub(super) fn config(env: &Env) -> Parsed {
    CONFIG.with(|cell| {
        Rc::clone(cell.get_or_init(|| {
            let parsed = Config::parse(|name| read(env, name)).map(Rc::new);
            if let Err(error) = &parsed {
                console_error!("configuration: {error} (wrangler.toml [vars], or a secret)");
            }
            Rc::new(parsed)
        }))
    })
}

/// A variable as text. TOML numbers and booleans arrive as such.
fn read(env: &Env, name: &str) -> Option<String> {
    let value = js_sys::Reflect::get(env.as_ref(), &name.into()).ok()?;
    if value.is_undefined() || value.is_null() {
        return None;
    }
    Some(js_sys::Object::from(value).to_string().into())
}
