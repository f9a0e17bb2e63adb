//! Requests as tests write them, sent to Synapse directly or through the edge.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use test_support::http::{self, Request};
use test_support::time::wait_for;

use crate::servers::SERVER_NAME;
use crate::world::world;

/// Hosts that the edge is asked for: the homeserver's own, and the one with media only.
pub(crate) const HOMESERVER_AUTHORITY: &str = "matrix.example.org";
pub(crate) const MEDIA_AUTHORITY: &str = "media.example.org";

/// How long the edge may take to store what it sent, and Synapse to log what it answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that can be sent many times and to several servers.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone)]
enum Body {
    None,
    Whole(Vec<u8>),
    Chunked(Vec<u8>),
}

impl Ask {
    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target, Body::None)
    }

    pub(crate) fn post(target: &str, body: &[u8]) -> Self {
        Self::new("POST", target, Body::Whole(body.to_owned()))
    }

    pub(crate) fn put(target: &str, body: &[u8]) -> Self {
        Self::new("PUT", target, Body::Whole(body.to_owned()))
    }

    fn new(method: &str, target: &str, body: Body) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body,
        }
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub(crate) fn path_suffix(mut self, suffix: &str) -> Self {
        self.path += suffix;
        self
    }

    /// Adds to the query, raw.
    pub(crate) fn query(mut self, query: &str) -> Self {
        if !self.query.is_empty() {
            self.query += "&";
        }
        self.query += query;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn user(self, user: &str) -> Self {
        self.token(world().token(user))
    }

    /// Doesn't tell the body's length.
    pub(crate) fn chunked(mut self) -> Self {
        if let Body::Whole(bytes) = self.body {
            self.body = Body::Chunked(bytes);
        }
        self
    }

    pub(crate) fn target(&self) -> String {
        let separator = if self.query.is_empty() { "" } else { "?" };
        format!("{}{separator}{}", self.path, self.query)
    }

    pub(crate) fn direct(&self) -> Answer {
        self.send(&world().synapse.address, HOMESERVER_AUTHORITY)
    }

    /// Through the edge, on the homeserver's own host.
    pub(crate) fn edge(&self) -> Answer {
        self.send(&world().edge.address, HOMESERVER_AUTHORITY)
    }

    pub(crate) fn media_domain(&self) -> Answer {
        self.send(&world().edge.address, MEDIA_AUTHORITY)
    }

    /// To a server at any address.
    pub(crate) fn send(&self, address: &str, authority: &str) -> Answer {
        static SENT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("ask/{}", SENT.fetch_add(1, Ordering::Relaxed));
        let request = self.head(authority).header("User-Agent", &mark);
        let request = match &self.body {
            Body::None => request,
            Body::Whole(bytes) => request.body(bytes),
            Body::Chunked(bytes) => request.chunked(bytes),
        };
        Answer { answer: request.send(address), mark }
    }

    /// The request without its body, for those who move that themselves.
    pub(crate) fn head(&self, authority: &str) -> Request {
        let request = Request::new(&self.method, self.target()).header("Host", authority);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Asks through the edge until it answers from its store.
    pub(crate) fn warm(&self) {
        wait_for(&format!("{} is stored", self.target()), PATIENCE, || {
            self.edge().is_revalidated().then_some(())
        });
    }
}

pub(crate) struct Answer {
    answer: http::Answer,
    /// The User-Agent of the request, which no other request has.
    mark: String,
}

impl Deref for Answer {
    type Target = http::Answer;

    fn deref(&self) -> &http::Answer {
        &self.answer
    }
}

impl Answer {
    /// Whether the edge served what it had stored, on Synapse's word.
    pub(crate) fn is_revalidated(&self) -> bool {
        let status = self.header("cache-status").unwrap_or_default();
        status.contains("fwd=stale") && status.contains("fwd-status=304")
    }

    /// The statuses that Synapse gave for this request, by its own log.
    pub(crate) fn asked_synapse(&self) -> Vec<u16> {
        wait_for("Synapse logs a request", PATIENCE, || {
            let statuses = world().synapse.answers_to(&self.mark);
            (!statuses.is_empty()).then_some(statuses)
        })
    }

    /// Returns the statuses that Synapse gave for this request as a POST, and not for the fetch of what was
    /// uploaded, which the edge may make with its agent.
    pub(crate) fn posted_to_synapse(&self) -> Vec<u16> {
        wait_for("Synapse logs an upload", PATIENCE, || {
            let statuses = world().synapse.answers_to_posts(&self.mark);
            (!statuses.is_empty()).then_some(statuses)
        })
    }

    /// Whether Synapse never heard of this request, although it has logged a later one.
    pub(crate) fn is_unknown_to_synapse(&self) -> bool {
        let later = Ask::get("/_matrix/client/versions").direct();
        later.asked_synapse() == [200] && world().synapse.answers_to(&self.mark).is_empty()
    }
}

/// Media of our homeserver.
pub(crate) struct Media {
    pub(crate) id: String,
}

impl Media {
    /// What an upload or a create made.
    pub(crate) fn of(answer: &http::Answer) -> Self {
        let json = answer.json();
        let uri = json["content_uri"].as_str().unwrap_or_else(|| panic!("no content_uri: {json}"));
        let id = uri.strip_prefix(&format!("mxc://{SERVER_NAME}/")).expect("media of our own");
        Self { id: id.to_owned() }
    }

    pub(crate) fn download(&self) -> Ask {
        Ask::get(&format!("/_matrix/client/v1/media/download/{SERVER_NAME}/{}", self.id))
    }

    pub(crate) fn thumbnail(&self, query: &str) -> Ask {
        let path = format!("/_matrix/client/v1/media/thumbnail/{SERVER_NAME}/{}", self.id);
        Ask::get(&path).query(query)
    }

    /// At the door without credentials; `what` is `download` or `thumbnail`.
    pub(crate) fn legacy(&self, version: &str, what: &str) -> Ask {
        Ask::get(&format!("/_matrix/media/{version}/{what}/{SERVER_NAME}/{}", self.id))
    }

    /// The second half of an asynchronous upload.
    pub(crate) fn put(&self, content_type: &str, body: &[u8]) -> Ask {
        Ask::put(&format!("/_matrix/media/v3/upload/{SERVER_NAME}/{}", self.id), body)
            .header("Content-Type", content_type)
    }
}
