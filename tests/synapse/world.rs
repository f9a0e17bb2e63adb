//! One Synapse and one edge for all tests of this binary, and its users.

use std::sync::{LazyLock, OnceLock};

use serde_json::{Value, json};
use test_support::edge::Edge;
use test_support::signature::ServerKey;
use test_support::synapse::Synapse;

use crate::ask::{Answer, Ask, Media};
use crate::servers::{SERVER_NAME, start_edge, start_synapse};

/// 1000 × 500 pixels, so that Synapse makes thumbnails of every size.
pub(crate) const SQUARES: &[u8] = include_bytes!("squares.png");

/// Just the size of the largest bodies that the tests send.
pub(crate) const MAX_UPLOAD_BYTES: u64 = 480 << 20;

/// An edge with this takes whatever Synapse does.
pub(crate) const NO_LIMIT_OF_ITS_OWN: (&str, &str) = ("MAX_UPLOAD_BYTES", "5000000000");

pub(crate) struct World {
    pub(crate) synapse: Synapse,
    pub(crate) edge: Edge,
    key: ServerKey,
    guest: OnceLock<String>,
    logged_out: OnceLock<String>,
}

/// Started by the first test that asks, and ended with this process.
pub(crate) fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(World::start);
    &WORLD
}

impl World {
    fn start() -> Self {
        let users = ["alice", "bob", "carol", "clumsy", "hasty", "locked", "patient", "suspended"];
        let options = ["--max-upload-size", &MAX_UPLOAD_BYTES.to_string()];
        let synapse = start_synapse(SERVER_NAME, &users, &options);
        let edge = start_edge(&synapse, &[NO_LIMIT_OF_ITS_OWN]);
        let key = ServerKey::read(&synapse.signing_key);
        Self { synapse, edge, key, guest: OnceLock::new(), logged_out: OnceLock::new() }
    }

    /// Uploads to Synapse directly: the edge knows nothing of this media.
    pub(crate) fn upload(&self, content_type: &str, body: &[u8]) -> Media {
        self.upload_named(content_type, "", body)
    }

    /// The same with a file name, percent-encoded.
    pub(crate) fn upload_named(&self, content_type: &str, file_name: &str, body: &[u8]) -> Media {
        let upload = Ask::post("/_matrix/media/v3/upload", body)
            .query(&format!("filename={file_name}"))
            .header("Content-Type", content_type)
            .user("alice");
        Media::of(&upload.direct())
    }

    pub(crate) fn token(&self, user: &str) -> &str {
        self.synapse.token(user)
    }

    pub(crate) fn guest(&self) -> &str {
        self.guest.get_or_init(|| {
            let guest = Ask::post("/_matrix/client/v3/register?kind=guest", b"{}").direct();
            access_token(&guest)
        })
    }

    /// A token that was good once.
    pub(crate) fn logged_out(&self) -> &str {
        self.logged_out.get_or_init(|| {
            let token = self.log_in("carol");
            self.log_out(&token);
            token
        })
    }

    pub(crate) fn log_in(&self, user: &str) -> String {
        let login = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": self.synapse.users[user]["password"],
        });
        let path = "/_matrix/client/v3/login";
        access_token(&Ask::post(path, login.to_string().as_bytes()).direct())
    }

    pub(crate) fn log_out(&self, token: &str) {
        let answer = Ask::post("/_matrix/client/v3/logout", b"{}").token(token).direct();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Does what only an admin of the homeserver may.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) {
        let ask = Ask::post(path, body.to_string().as_bytes()).method(method).user("admin");
        let answer = ask.direct();
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    }

    pub(crate) fn lock(&self, user: &str) {
        let path = format!("/_synapse/admin/v2/users/@{user}:{SERVER_NAME}");
        self.admin("PUT", &path, &json!({ "locked": true }));
    }

    pub(crate) fn suspend(&self, user: &str) {
        let path = format!("/_synapse/admin/v1/suspend/@{user}:{SERVER_NAME}");
        self.admin("PUT", &path, &json!({ "suspend": true }));
    }

    /// The Authorization header of a request that this homeserver signed.
    pub(crate) fn authorization(&self, method: &str, uri: &str) -> String {
        self.key.authorization(method, uri, SERVER_NAME)
    }
}

fn access_token(answer: &Answer) -> String {
    let json = answer.json();
    json["access_token"].as_str().unwrap_or_else(|| panic!("no token in {json}")).to_owned()
}
