//! One Synapse, an edge that asks about every request, and one that keeps leases.

use std::sync::LazyLock;

use serde_json::{Value, json};
use test_support::edge::{Edge, Layout};
use test_support::process::free_port;
use test_support::synapse::Synapse;

/// The picture that is uploaded, 1000 × 500 pixels.
pub(crate) const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/synapse/squares.png");

/// How often bob reads the same file.
pub(crate) const READS: usize = 5;

/// The settings by name: which edge, and where media is moved.
pub(crate) const SETTINGS: [(&str, &str, &str); 4] = [
    ("strict, homeserver's host", STRICT_DOMAIN, "matrix"),
    ("strict, media domain", STRICT_DOMAIN, "media"),
    ("leased, homeserver's host", LEASED_DOMAIN, "matrix"),
    ("leased, media domain", LEASED_DOMAIN, "media"),
];

/// The domain of an edge, whose names are `matrix.` and `media.` before it.
const STRICT_DOMAIN: &str = "strict.example";
const LEASED_DOMAIN: &str = "leased.example";

/// More than a story takes.
const LEASE_SECONDS: &str = "600";

const USERS: [&str; 2] = ["alice", "bob"];

pub(crate) struct World {
    pub(crate) synapse: Synapse,
    strict: Site,
    leased: Site,
}

/// An edge that speaks TLS, as it is reached by its names.
struct Site {
    domain: &'static str,
    address: String,
    _edge: Edge,
}

/// Started by the first test that asks, and ended with this process.
pub(crate) fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(World::start);
    &WORLD
}

impl World {
    fn start() -> Self {
        let public_url = format!("https://matrix.{STRICT_DOMAIN}");
        let options = ["--public-url", public_url.as_str()];
        let synapse = Synapse::start(env!("CARGO_TARGET_TMPDIR"), STRICT_DOMAIN, &USERS, &options);
        let strict = Site::start(&synapse, STRICT_DOMAIN, &[]);
        let leased = Site::start(&synapse, LEASED_DOMAIN, &[("LEASE_SECONDS", LEASE_SECONDS)]);
        Self { synapse, strict, leased }
    }

    /// All that a client has to know.
    pub(crate) fn describe(&self) -> Value {
        let sites = [&self.strict, &self.leased];
        let edges = sites.map(|site| (site.domain.to_owned(), json!(site.address)));
        let passwords =
            USERS.map(|user| (user.to_owned(), self.synapse.users[user]["password"].clone()));
        let settings = SETTINGS.map(|(name, domain, media)| {
            let url = |name| format!("https://{name}.{domain}");
            let setting =
                json!({ "domain": domain, "homeserver": url("matrix"), "media": url(media) });
            (name.to_owned(), setting)
        });
        json!({
            "edges": Value::Object(edges.into_iter().collect()),
            "passwords": Value::Object(passwords.into_iter().collect()),
            "settings": Value::Object(settings.into_iter().collect()),
            "picture": PICTURE,
            "sizes": { "file": 3_000_001, "encrypted": 100_003, "asynchronous": 300_007 },
            "reads": READS,
        })
    }
}

impl Site {
    fn start(synapse: &Synapse, domain: &'static str, more: &[(&str, &str)]) -> Self {
        let homeserver = format!("http://{}", synapse.address);
        let media = format!("https://media.{domain}");
        let vars = [
            ("HOMESERVER_URL", homeserver.as_str()),
            ("SERVER_NAME", &synapse.server_name),
            ("MEDIA_URL", &media),
            ("WELL_KNOWN_URL", &homeserver),
        ];
        let port = free_port();
        let layout = Layout { tls_port: Some(port), ..Layout::default() };
        let edge = Edge::start_as(layout, &[&vars, more].concat());
        Self { domain, address: format!("127.0.0.1:{port}"), _edge: edge }
    }
}
