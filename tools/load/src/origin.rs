//! A homeserver stand-in that answers by what is true when it is asked, as Synapse does; and that
//! can be gone.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::{Value, json};
use test_support::http::reset;
use test_support::wire::{Body, Framing, RequestHead, read_request_head};

use crate::homeserver::Homeserver;
use crate::truth::{History, Media, SERVER_NAME, State, Thumbnails, Truth, thumbnail_of};

/// The largest upload that it takes, in bytes.
pub(crate) const UPLOAD_LIMIT_BYTES: u64 = 1_000_000;

/// What other servers sign with, as far as it looks.
pub(crate) const SIGNATURE: &str =
    r#"X-Matrix origin="other.example",key="ed25519:1",sig="Z29vZA""#;

const BOUNDARY: &str = "5c1b0c9e7f3d4a21";

/// Every so many answers are slow.
const SLOW_ONE_IN: u64 = 100;
const SLOW: Duration = Duration::from_millis(200);

/// How long after trouble a connection that it broke may still come to light.
const AFTERMATH: Duration = Duration::from_secs(1);

pub(crate) struct Origin {
    address: String,
    outage: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    truth: Arc<Truth>,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    connected: AtomicU64,
    asked: AtomicU64,
    is_gone: AtomicBool,
}

impl Origin {
    /// Starts one that is gone for so long whenever it is told to be.
    pub(crate) fn start(truth: &Arc<Truth>, outage: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let shared = Shared {
            truth: Arc::clone(truth),
            connections: Mutex::default(),
            connected: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
        };
        let address = listener.local_addr().expect("it is bound").to_string();
        let origin = Self { address, outage, shared: Arc::new(shared) };
        origin.listen(listener);
        origin
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_gone.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // The Worker sees an error as the end of the connection.
                thread::spawn(move || serve(stream, &shared));
            }
        });
    }
}

/// It answers by the truth, and so needs not be told what is true.
impl Homeserver for Origin {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    fn log_in(&self) -> String {
        format!("syt_{}", self.shared.truth.now().tokens.len())
    }

    fn log_out(&self, _token: &str) {}

    fn add(&self, bytes: Vec<u8>, is_open: bool) -> Media {
        media(&self.shared.truth.now(), bytes, is_open)
    }

    fn add_pictures(&self) -> Vec<Media> {
        Vec::new()
    }

    fn show(&self, _id: &str, _is_there: bool) {}

    fn stored(&self, id: &str) -> Option<Media> {
        self.shared.truth.now().media.get(id).cloned()
    }

    fn is_federated(&self) -> bool {
        true
    }

    fn crash(&self) {
        for stream in lock(&self.shared.connections).values() {
            reset(stream);
            // An error means that it is gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn be_gone(&self) {
        self.shared.is_gone.store(true, Ordering::SeqCst);
        // Wakes the listener, which then closes.
        drop(TcpStream::connect(&self.address));
        self.crash();
        sleep(self.outage);
        self.shared.is_gone.store(false, Ordering::SeqCst);
        self.listen(TcpListener::bind(&self.address).expect("the port is still free"));
    }

    fn aftermath(&self) -> Duration {
        AFTERMATH
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let number = shared.connected.fetch_add(1, Ordering::Relaxed);
    lock(&shared.connections).insert(number, stream.try_clone()?);
    let served = serve_all(stream, shared);
    lock(&shared.connections).remove(&number);
    served
}

fn serve_all(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_request_head(&mut stream)? {
        let mut body = Vec::new();
        let framing = Framing::of_request(&head.headers);
        Body::new(&mut stream, framing).read_to_end(&mut body)?;
        let asked = shared.asked.fetch_add(1, Ordering::Relaxed);
        if asked.is_multiple_of(SLOW_ONE_IN) {
            sleep(SLOW);
        }
        let answer = answer(&head, body, &mut shared.truth.now());
        stream.get_mut().write_all(&answer.to_bytes(&head.method))?;
    }
    Ok(())
}

struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, json: &Value) -> Self {
        let fields = vec![("Content-Type", "application/json".to_owned())];
        Self { status, fields, body: json.to_string().into_bytes() }
    }

    fn error(status: u16, errcode: &str) -> Self {
        Self::json(status, &json!({ "errcode": errcode, "error": "No." }))
    }

    /// Media, or Synapse's yes about it.
    fn media(head: &RequestHead, content_type: &str, body: Vec<u8>) -> Self {
        let is_known = head.headers.get("if-none-match") == Some("1");
        let fields = vec![
            ("ETag", "1".to_owned()),
            ("Cache-Control", "public,max-age=86400,s-maxage=0,proxy-revalidate".to_owned()),
            ("Content-Type", content_type.to_owned()),
            ("Content-Disposition", "inline".to_owned()),
        ];
        if is_known {
            return Self { status: 304, fields, body: Vec::new() };
        }
        Self { status: 200, fields, body }
    }

    fn to_bytes(&self, method: &str) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Whatever\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if self.status != 304 {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        if method != "HEAD" {
            bytes.extend(&self.body);
        }
        bytes
    }
}

fn answer(head: &RequestHead, body: Vec<u8>, state: &mut State) -> Answer {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is_let_in = match segments[..] {
        [".well-known", "matrix", "client"] => {
            return Answer::json(200, &json!({ "m.homeserver": { "base_url": "https://x" } }));
        }
        [".well-known", "matrix", "server"] => {
            return Answer::json(200, &json!({ "m.server": "x:443" }));
        }
        [_, "media", _, "download" | "thumbnail", ..] => true,
        [_, "federation", ..] => head.headers.get("authorization") == Some(SIGNATURE),
        _ => head.headers.get("authorization").is_some_and(|shown| {
            let token = shown.strip_prefix("Bearer ").and_then(|token| state.tokens.get(token));
            token.is_some_and(|token| token.is_so())
        }),
    };
    if !is_let_in {
        return Answer::error(401, "M_UNKNOWN_TOKEN");
    }
    match segments[1..] {
        ["media", _, "upload"] => {
            let media = media(state, body, false);
            let uri = format!("mxc://{SERVER_NAME}/{}", media.id);
            state.media.insert(media.id.clone(), media);
            Answer::json(200, &json!({ "content_uri": uri }))
        }
        [.., "config"] => Answer::json(200, &json!({ "m.upload.size": UPLOAD_LIMIT_BYTES })),
        ["media", _, kind, SERVER_NAME, id] => match there(state, id).filter(|m| m.is_legacy) {
            Some(media) => Answer::media(head, "image/png", bytes_of(kind, media, query)),
            None => Answer::error(404, "M_NOT_FOUND"),
        },
        ["client", _, _, kind, SERVER_NAME, id] => match there(state, id) {
            Some(media) => Answer::media(head, "image/png", bytes_of(kind, media, query)),
            None => Answer::error(404, "M_NOT_FOUND"),
        },
        ["federation", _, _, _, id] => match there(state, id) {
            Some(media) => {
                let content_type = format!("multipart/mixed; boundary={BOUNDARY}");
                Answer::media(head, &content_type, envelope(&media.bytes))
            }
            None => Answer::error(404, "M_NOT_FOUND"),
        },
        _ => Answer::error(404, "M_UNRECOGNIZED"),
    }
}

/// Media that is new.
fn media(state: &State, bytes: Vec<u8>, is_legacy: bool) -> Media {
    Media {
        id: format!("media{}", state.media.len()),
        bytes: bytes.into(),
        is_legacy,
        thumbnails: Thumbnails::new().into(),
        is_there: History::new(),
    }
}

fn there<'a>(state: &'a State, id: &str) -> Option<&'a Media> {
    state.media.get(id).filter(|media| media.is_there.is_so())
}

fn bytes_of(kind: &str, media: &Media, query: &str) -> Vec<u8> {
    if kind == "thumbnail" { thumbnail_of(media, query) } else { media.bytes.to_vec() }
}

/// What servers get.
pub(crate) fn envelope(bytes: &[u8]) -> Vec<u8> {
    let before = format!(
        "\r\n--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n\
         --{BOUNDARY}\r\nContent-Type: image/png\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    [before.as_bytes(), bytes, after.as_bytes()].concat()
}

/// A thread that fell over has said so already.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
