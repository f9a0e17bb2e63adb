//! A real Synapse, which is told what to do as its users and admins tell it.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use test_support::ROOT;
use test_support::http::{Answer, Request};
use test_support::synapse::Synapse;
use test_support::time::now;

use crate::ask::thumbnail_queries;
use crate::homeserver::Homeserver;
use crate::truth::{History, Media, SERVER_NAME, Thumbnails};

const READER: &str = "alice";
const ADMIN: &str = "admin";

/// Room for the largest media of the load.
const UPLOAD_LIMIT: &str = "5000000";

const PICTURE: &[u8] = include_bytes!("../../bench/circles.jpg");
const PICTURES: usize = 8;

/// What tells the load's own requests from those of the Workers.
const MARK: &str = "load";

/// How long Synapse may be unable to answer, since it is being restarted.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// When Synapse is there again all readers wait for it at once, and it has nothing in memory yet: a
/// connection that was made to the old process, or not at all, is found out in the order of the
/// queue. No answer of 200 readers has taken longer than this.
const AFTERMATH: Duration = Duration::from_secs(5);

pub(crate) struct Real {
    synapse: Synapse,
}

impl Real {
    /// Starts one that is gone for so long whenever it is ended in good order.
    pub(crate) fn start(outage: Duration) -> Self {
        let outage = outage.as_secs_f64().to_string();
        let options = ["--max-upload-size", UPLOAD_LIMIT, "--revive", &outage];
        let folder = format!("{ROOT}/target/load");
        Self { synapse: Synapse::start(&folder, SERVER_NAME, &[READER], &options) }
    }

    /// The answer to what it is asked directly, as soon as it can give one.
    fn ask(&self, request: &Request) -> Answer {
        let deadline = now() + PATIENCE;
        loop {
            let answer = request.try_send(&self.synapse.address);
            match answer {
                Ok(answer) if answer.status < 500 => return answer,
                _ if now() < deadline => sleep(PAUSE),
                answer => panic!("Synapse gave no answer to {request}: {answer:?}"),
            }
        }
    }

    /// What becomes of a request that can't be refused.
    fn tell(&self, token: Option<&str>, path: &str, content_type: &str, body: &[u8]) -> Value {
        let request = request("POST", path, token).header("Content-Type", content_type).body(body);
        let answer = self.ask(&request);
        assert_eq!(answer.status, 200, "{request}: {}", answer.text());
        answer.json()
    }

    fn upload(&self, content_type: &str, bytes: Vec<u8>) -> Media {
        let token = Some(self.synapse.token(READER));
        let answer = self.tell(token, "/_matrix/media/v3/upload", content_type, &bytes);
        let uri = answer["content_uri"].as_str().unwrap_or_default();
        let id = uri.rsplit('/').next().unwrap_or_default();
        media(id, bytes)
    }

    fn thumbnail(&self, id: &str, query: String) -> (String, Vec<u8>) {
        let path = format!("/_matrix/client/v1/media/thumbnail/{SERVER_NAME}/{id}?{query}");
        let answer = self.ask(&request("GET", &path, Some(self.synapse.token(READER))));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        (query, answer.body)
    }
}

impl Homeserver for Real {
    fn url(&self) -> String {
        format!("http://{}", self.synapse.address)
    }

    fn asked(&self) -> u64 {
        let ours = self.synapse.answers_to(MARK).len();
        (self.synapse.answers_with(" synapse.access.").len() - ours) as u64
    }

    fn log_in(&self) -> String {
        let login = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": READER },
            "password": self.synapse.users[READER]["password"],
        });
        let login = login.to_string().into_bytes();
        let answer = self.tell(None, "/_matrix/client/v3/login", "application/json", &login);
        answer["access_token"].as_str().expect("a login is a token").to_owned()
    }

    fn log_out(&self, token: &str) {
        self.tell(Some(token), "/_matrix/client/v3/logout", "application/json", b"{}");
    }

    /// It has frozen the open door.
    fn add(&self, bytes: Vec<u8>, _is_open: bool) -> Media {
        self.upload("application/octet-stream", bytes)
    }

    /// Whose bytes differ behind the end of the picture: Synapse quarantines by their hash.
    fn add_pictures(&self) -> Vec<Media> {
        let picture = |number: usize| {
            let bytes = [PICTURE, format!("number {number}").as_bytes()].concat();
            let media = self.upload("image/jpeg", bytes);
            let thumbnails = thumbnail_queries().map(|query| self.thumbnail(&media.id, query));
            Media { thumbnails: thumbnails.collect::<Thumbnails>().into(), ..media }
        };
        (0..PICTURES).map(picture).collect()
    }

    fn show(&self, id: &str, is_there: bool) {
        let action = if is_there { "unquarantine" } else { "quarantine" };
        let path = format!("/_synapse/admin/v1/media/{action}/{SERVER_NAME}/{id}");
        self.tell(Some(self.synapse.token(ADMIN)), &path, "application/json", b"{}");
    }

    fn stored(&self, id: &str) -> Option<Media> {
        let path = format!("/_matrix/client/v1/media/download/{SERVER_NAME}/{id}");
        let answer = self.ask(&request("GET", &path, Some(self.synapse.token(READER))));
        (answer.status == 200).then(|| media(id, answer.body))
    }

    /// Its key isn't the load's to sign with.
    fn is_federated(&self) -> bool {
        false
    }

    fn crash(&self) {
        self.synapse.crash();
    }

    fn be_gone(&self) {
        self.synapse.restart();
    }

    fn aftermath(&self) -> Duration {
        AFTERMATH
    }
}

fn request(method: &str, path: &str, token: Option<&str>) -> Request {
    let request = Request::new(method, path).header("Host", SERVER_NAME);
    let request = request.header("User-Agent", MARK).header("Connection", "close");
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

fn media(id: &str, bytes: Vec<u8>) -> Media {
    Media {
        id: id.to_owned(),
        bytes: bytes.into(),
        is_legacy: false,
        thumbnails: Thumbnails::new().into(),
        is_there: History::new(),
    }
}
