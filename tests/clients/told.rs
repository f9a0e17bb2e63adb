//! What the clients tell: each plays its story once, and all of them at the same time.

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use serde_json::Value;
use test_support::ROOT;
use test_support::script::{node, told_by};

use crate::world::{SETTINGS, world};

/// What one client saw in one setting.
pub(crate) struct Told {
    /// Of client and setting, for people.
    pub(crate) name: String,
    pub(crate) client: &'static str,
    pub(crate) is_leased: bool,
    story: &'static Value,
}

impl Told {
    pub(crate) fn at(&self, pointer: &str) -> &'static Value {
        let told = self.story.pointer(pointer);
        told.unwrap_or_else(|| panic!("{} tells no {pointer}: {}", self.name, self.story))
    }

    pub(crate) fn text(&self, pointer: &str) -> &'static str {
        let told = self.at(pointer);
        told.as_str().unwrap_or_else(|| panic!("{}: {pointer} is no text: {told}", self.name))
    }
}

/// What every client saw in every setting.
pub(crate) fn told() -> impl Iterator<Item = Told> {
    static STORIES: LazyLock<Vec<(&str, Value)>> = LazyLock::new(play);
    STORIES.iter().flat_map(|(client, stories)| {
        SETTINGS.iter().map(move |(setting, ..)| Told {
            name: format!("{client}, {setting}"),
            client,
            is_leased: setting.starts_with("leased"),
            story: &stories[*setting],
        })
    })
}

fn play() -> Vec<(&'static str, Value)> {
    let mut clients = vec![("js-sdk", js_sdk()), ("mautrix", mautrix())];
    clients.extend(env::var_os("MATRIX_SDK_CLIENT").map(|path| ("matrix-sdk", Command::new(path))));
    let description = world().describe().to_string();
    let run = |(name, mut command): (&'static str, Command)| {
        command.arg(&description);
        thread::spawn(move || (name, told_by(name, command)))
    };
    let running: Vec<_> = clients.into_iter().map(run).collect();
    running.into_iter().map(|client| client.join().expect("a client failed")).collect()
}

fn js_sdk() -> Command {
    let mut command = node();
    command.arg("tests/clients/js-sdk/play.mjs");
    command
}

fn mautrix() -> Command {
    Command::new(Path::new(ROOT).join("tests/clients/mautrix/play"))
}
