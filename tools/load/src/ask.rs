//! What readers ask for, and what they are to get for it.

use test_support::http::Request;

use crate::origin::{SIGNATURE, UPLOAD_LIMIT_BYTES, envelope};
use crate::truth::{Media, SERVER_NAME, Truth, bytes_of, thumbnail_of};
use model::random::Random;

const MEDIA_HOST: &str = "media.example.com";
const WEBSITE: &str = "example.com";

/// The sides of thumbnails, and how they are made.
const SIDES: [u32; 3] = [32, 96, 320];
const METHODS: [&str; 2] = ["crop", "scale"];

/// Uploads are no shorter: one must not by chance be of bytes that are quarantined, which Synapse
/// then knows by their hash.
const MIN_UPLOAD_BYTES: usize = 16;

/// A request, and what is known of it beforehand.
pub(crate) struct Ask {
    /// The word for the summary.
    pub(crate) kind: &'static str,
    pub(crate) method: &'static str,
    pub(crate) request: Request,
    pub(crate) body: Vec<u8>,
    pub(crate) right: Right,
}

/// The right answer, as far as there is no trouble.
pub(crate) enum Right {
    /// This status, whatever is true.
    Status(u16),
    /// A document that names the media server, with this member.
    Document(&'static str),
    /// Whatever this token may have.
    Token(String, Yes),
    /// This media, if it and the credential are good.
    Media(Reading),
}

impl Ask {
    /// Expects no more than so many bytes of media, for a reader who leaves then.
    pub(crate) fn shorten(&mut self, bytes: usize) {
        if let Right::Media(reading) = &mut self.right {
            reading.body.truncate(bytes);
        }
    }
}

/// What a token gets that is good.
pub(crate) enum Yes {
    /// The limit of uploads.
    Limit,
    /// The ID of what was uploaded.
    Upload,
}

/// One reading of media.
pub(crate) struct Reading {
    pub(crate) id: String,
    pub(crate) door: &'static str,
    /// At the client door alone.
    pub(crate) token: Option<String>,
    /// Whether a lease may stand for the origin's word, and is ended by it.
    pub(crate) is_plain: bool,
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the door is shut to it for good.
    pub(crate) is_shut: bool,
    /// A field, and how it must be.
    pub(crate) field: Option<(&'static str, String)>,
}

/// Draws what to ask next; servers ask only where the origin would know them.
pub(crate) fn draw(random: &mut Random, truth: &Truth, is_federated: bool) -> Ask {
    let (token, media, picture) = {
        let state = truth.now();
        (state.pick_token(random), state.pick_media(random), state.pick_picture(random))
    };
    match random.below(100) {
        0..18 => client(&media, token, "download", ""),
        18..32 => thumbnail(random, &picture, token),
        32..46 => range(random, &media, token),
        46..50 => head(&media, token),
        50..54 => unchanged(&media, token),
        54..60 => masquerade(&media, token),
        60..70 => legacy(&media),
        70..77 if is_federated => federation(&media),
        70..77 => client(&media, token, "download", ""),
        77..81 => stranger(random, &media),
        81..86 => upload(random, token),
        86..88 => too_large(token),
        88..91 => document(random),
        91..95 => config(token),
        _ => preflight(&media),
    }
}

/// Draws whom to ask for media whose body takes its time.
pub(crate) fn draw_large(random: &mut Random, truth: &Truth) -> Ask {
    let (token, media) = {
        let state = truth.now();
        (state.pick_token(random), state.pick_large(random))
    };
    client(&media, token, "download", "")
}

fn on(host: &str, method: &str, target: &str) -> Request {
    Request::new(method, target).header("Host", host)
}

fn get(kind: &'static str, request: Request, right: Right) -> Ask {
    Ask { kind, method: "GET", request, body: Vec::new(), right }
}

fn path(media: &Media) -> String {
    format!("/_matrix/client/v1/media/download/{SERVER_NAME}/{}", media.id)
}

fn reading(media: &Media, token: String) -> Reading {
    Reading {
        id: media.id.clone(),
        door: "client",
        token: Some(token),
        is_plain: true,
        status: 200,
        body: media.bytes.to_vec(),
        is_shut: false,
        field: None,
    }
}

fn client(media: &Media, token: String, kind: &'static str, query: &str) -> Ask {
    let request = on(MEDIA_HOST, "GET", &format!("{}{query}", path(media))).bearer(&token);
    get(kind, request, Right::Media(reading(media, token)))
}

/// All that thumbnails are asked for by.
pub(crate) fn thumbnail_queries() -> impl Iterator<Item = String> {
    SIDES.iter().flat_map(|side| METHODS.iter().map(|method| thumbnail_query(*side, method)))
}

fn thumbnail_query(side: u32, method: &str) -> String {
    format!("width={side}&height={side}&method={method}")
}

fn thumbnail(random: &mut Random, media: &Media, token: String) -> Ask {
    let query = thumbnail_query(random.pick(&SIDES), random.pick(&METHODS));
    let target = format!("/_matrix/client/v1/media/thumbnail/{SERVER_NAME}/{}?{query}", media.id);
    let request = on(MEDIA_HOST, "GET", &target).bearer(&token);
    let reading = Reading { body: thumbnail_of(media, &query), ..reading(media, token) };
    get("thumbnail", request, Right::Media(reading))
}

fn range(random: &mut Random, media: &Media, token: String) -> Ask {
    let length = media.bytes.len();
    let ask = client(media, token.clone(), "range", "");
    if random.once_in(10) {
        let request = ask.request.header("Range", format!("bytes={length}-"));
        let field = Some(("content-range", format!("bytes */{length}")));
        let reading = Reading { status: 416, body: Vec::new(), field, ..reading(media, token) };
        return Ask { request, right: Right::Media(reading), ..ask };
    }
    let first = random.below(length);
    let last = first + random.below((length - first).min(100_000));
    let request = ask.request.header("Range", format!("bytes={first}-{last}"));
    let body = media.bytes[first..=last].to_vec();
    let field = Some(("content-range", format!("bytes {first}-{last}/{length}")));
    let reading = Reading { status: 206, body, field, ..reading(media, token) };
    Ask { request, right: Right::Media(reading), ..ask }
}

fn head(media: &Media, token: String) -> Ask {
    let request = on(MEDIA_HOST, "HEAD", &path(media)).bearer(&token);
    let field = Some(("content-length", media.bytes.len().to_string()));
    let reading = Reading { body: Vec::new(), field, ..reading(media, token) };
    Ask { method: "HEAD", ..get("head", request, Right::Media(reading)) }
}

fn unchanged(media: &Media, token: String) -> Ask {
    let tag = format!("\"{}-{}\"", media.id, media.bytes.len());
    let ask = client(media, token.clone(), "if-none-match", "");
    let request = ask.request.header("If-None-Match", &tag);
    let field = Some(("etag", tag));
    let reading = Reading { status: 304, body: Vec::new(), field, ..reading(media, token) };
    Ask { request, right: Right::Media(reading), ..ask }
}

/// As an application service may: the origin is asked about each of these.
fn masquerade(media: &Media, token: String) -> Ask {
    let ask = client(media, token.clone(), "user_id", "?user_id=@a:example.com");
    let reading = Reading { is_plain: false, ..reading(media, token) };
    Ask { right: Right::Media(reading), ..ask }
}

fn legacy(media: &Media) -> Ask {
    let target = format!("/_matrix/media/v3/download/{SERVER_NAME}/{}", media.id);
    let reading = Reading {
        door: "legacy",
        token: None,
        is_shut: !media.is_legacy,
        ..reading(media, String::new())
    };
    get("legacy", on(MEDIA_HOST, "GET", &target), Right::Media(reading))
}

fn federation(media: &Media) -> Ask {
    let target = format!("/_matrix/federation/v1/media/download/{}", media.id);
    let request = on(MEDIA_HOST, "GET", &target).header("Authorization", SIGNATURE);
    let reading = Reading {
        door: "federation",
        token: None,
        is_plain: false,
        body: envelope(&media.bytes),
        ..reading(media, String::new())
    };
    get("federation", request, Right::Media(reading))
}

/// Someone whom the origin has never let in.
fn stranger(random: &mut Random, media: &Media) -> Ask {
    let shown = match random.below(4) {
        0 => return get("stranger", on(MEDIA_HOST, "GET", &path(media)), Right::Status(401)),
        1 => "Bearer syt_nobody".to_owned(),
        2 => format!("Bearer syt_{}x", random.below(1000)),
        _ => SIGNATURE.to_owned(),
    };
    let request = on(MEDIA_HOST, "GET", &path(media)).header("Authorization", shown);
    get("stranger", request, Right::Status(401))
}

fn upload(random: &mut Random, token: String) -> Ask {
    let (name, length) = (random.bits().to_string(), MIN_UPLOAD_BYTES + random.below(8_000));
    let body = bytes_of(&name, length);
    let request = on(MEDIA_HOST, "POST", "/_matrix/media/v3/upload").bearer(&token);
    let request = request.header("Content-Length", body.len().to_string());
    Ask { kind: "upload", method: "POST", request, body, right: Right::Token(token, Yes::Upload) }
}

fn too_large(token: String) -> Ask {
    let request = on(MEDIA_HOST, "POST", "/_matrix/media/v3/upload").bearer(&token);
    let length = (UPLOAD_LIMIT_BYTES * 1000).to_string();
    let request = request.header("Content-Length", length).header("Connection", "close");
    Ask { method: "POST", ..get("too large", request, Right::Status(413)) }
}

fn document(random: &mut Random) -> Ask {
    let (name, member) = random.pick(&[("client", "m.homeserver"), ("server", "m.server")]);
    let request = on(WEBSITE, "GET", &format!("/.well-known/matrix/{name}"));
    get("well-known", request, Right::Document(member))
}

fn config(token: String) -> Ask {
    let request = on(MEDIA_HOST, "GET", "/_matrix/client/v1/media/config").bearer(&token);
    get("config", request, Right::Token(token, Yes::Limit))
}

fn preflight(media: &Media) -> Ask {
    let request = on(MEDIA_HOST, "OPTIONS", &path(media)).header("Origin", "https://app.example");
    Ask { method: "OPTIONS", ..get("preflight", request, Right::Status(204)) }
}
