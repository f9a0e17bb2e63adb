//! A model of the homeserver: who is logged in, what media there is, and what is answered to whom.
//!
//! It judges in Synapse's order: token, parameters, media, door, precondition. Where homeservers
//! differ, [`Habits`] says how this one does it.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION, RANGE, RETRY_AFTER, SET_COOKIE, VARY,
};
use http::{Method, StatusCode};
use matrix_media_edge::headers::range::{RangeRequest, RangeSpec, unsatisfied_content_range};
use matrix_media_edge::origin::{MAX_JSON_BYTES, OriginAnswer, OriginError, OriginHead};

pub const HOMESERVER: &str = "https://origin.example.com";
pub const CDN: &str = "https://cdn.example.com";
pub const SERVER_NAME: &str = "example.com";

#[derive(Debug)]
pub struct Homeserver {
    pub tokens: Vec<Token>,
    pub media: Vec<Media>,
    pub habits: Habits,
    pub health: Health,
    pub quirk: Quirk,
    pub cdn: Cdn,
    /// Its list of what was quarantined and released, in order.
    pub changes: Vec<QuarantineChange>,
    boundaries: u32,
}

/// One row of its list of quarantined media.
#[derive(Clone, Copy, Debug)]
pub struct QuarantineChange {
    pub media: usize,
    pub is_quarantined: bool,
    pub at_ms: u64,
}

/// How many rows a page of that list has.
const PAGE_ROWS: usize = 3;

#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub is_valid: bool,
    /// Its account is locked: 401 with a word of its own.
    pub is_locked: bool,
    /// It belongs to an application service, which speaks for whom `user_id` names.
    pub is_service: bool,
}

#[derive(Clone, Debug)]
pub struct Media {
    pub server_name: &'static str,
    pub id: String,
    pub length: usize,
    pub content_type: &'static str,
    pub disposition: Option<&'static str>,
    pub is_quarantined: bool,
    pub is_deleted: bool,
    /// The file is gone, and its thumbnails are not.
    pub is_halved: bool,
    /// It came after the legacy door was shut to new media.
    pub is_frozen: bool,
    /// The only token (by index) that may read it, where servers restrict media (MSC3911).
    pub reader: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    pub validators: Validators,
    pub knows_head: bool,
    /// Whether it sends parts, as the place does that it redirects to.
    pub serves_ranges: bool,
    pub knows_whoami: bool,
    /// Whether a token opens media at the legacy door that is shut to everybody else.
    pub reads_legacy_tokens: bool,
    /// How it refuses media to those who may not read it.
    pub refusal: u16,
    /// How it refuses media that is gone.
    pub gone: u16,
    /// Of a parameter that is given twice, it reads the last.
    pub reads_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validators {
    /// `ETag: 1`, unquoted, for everything, as Synapse does.
    One,
    /// A tag and a date for each representation.
    Both,
    /// A date.
    Date,
    /// Synapse's, which something in between takes away.
    Eaten,
    Nothing,
    /// It redirects to where the bytes are.
    Redirect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    Unreachable,
    Silent,
    /// It answers everything with this.
    Status(u16),
    /// It answers whatever is about this media with a 503.
    StuckAt(usize),
}

/// What is odd about its answers with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    None,
    NoStore,
    NoLength,
    Cookie,
    Vary,
    /// The connection breaks half-way through the body.
    BreaksOff,
}

/// What the host answers that the homeserver redirects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cdn {
    Serves,
    Expired,
    Down,
    Loops,
    /// It redirects to a near host, where TLS is not a must.
    Downgrades,
}

/// A request on the wire.
#[derive(Clone, Debug)]
pub struct Wire {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Result<OriginHead, OriginError>,
    pub body: Vec<u8>,
    pub is_broken: bool,
    pub by: By,
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Homeserver,
    /// Whoever stands in front of it.
    Proxy,
    /// Where the homeserver redirects to.
    Cdn,
    /// Where the proxy redirects to.
    Login,
}

impl Answer {
    pub fn new(by: By, status: u16, headers: HeaderMap, body: impl Into<Vec<u8>>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { head: Ok(OriginHead { status, headers }), body: body.into(), is_broken: false, by }
    }

    pub fn failed(by: By, error: OriginError) -> Self {
        Self { head: Err(error), body: Vec::new(), is_broken: false, by }
    }

    fn own(status: u16, headers: HeaderMap, body: impl Into<Vec<u8>>) -> Self {
        Self::new(By::Homeserver, status, headers, body)
    }

    fn refused(status: u16, errcode: &str) -> Box<Self> {
        let body = format!("{{\"errcode\":\"{errcode}\",\"error\":\"by the homeserver\"}}");
        let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(body.len()))]);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == 429 {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
        }
        Box::new(Self::own(status, headers, body))
    }

    pub fn status(&self) -> Option<u16> {
        self.head.as_ref().ok().map(|head| head.status.as_u16())
    }

    /// As much of it as the shell reads for a decision.
    pub fn read(
        &self,
        is_needed: impl FnOnce(&OriginHead) -> bool,
    ) -> Result<OriginAnswer, OriginError> {
        let head = self.head.clone()?;
        if self.body.is_empty() || self.is_broken || !is_needed(&head) {
            return Ok(OriginAnswer::unread(head));
        }
        let text = (self.body.len() <= MAX_JSON_BYTES).then(|| self.body.clone());
        Ok(OriginAnswer { head, text: text.and_then(|bytes| String::from_utf8(bytes).ok()) })
    }

    /// The status that stands for no answer (RFC 9110 §15.6.3, §15.6.5).
    pub const fn failure_status(&self) -> u16 {
        match self.head {
            Err(OriginError::TimedOut) => 504,
            Ok(_) | Err(_) => 502,
        }
    }
}

impl Media {
    pub fn mxc(&self) -> String {
        format!("{}/{}", self.server_name, self.id)
    }

    /// The bytes of `what`: `content`, or a thumbnail's parameters. All thumbnails have one length,
    /// so that only their names and bytes tell them apart.
    pub fn bytes(&self, what: &str) -> Vec<u8> {
        let length = if what == CONTENT { self.length } else { THUMBNAIL_LENGTH };
        let phrase = format!("{what} of {} ", self.mxc());
        let mut bytes = phrase.repeat(length.div_ceil(phrase.len())).into_bytes();
        bytes.truncate(length);
        bytes
    }

    pub fn content_type(&self, what: &str) -> &'static str {
        if what == CONTENT { self.content_type } else { "image/webp" }
    }

    pub fn disposition(&self, what: &str) -> Option<&'static str> {
        if what == CONTENT { self.disposition } else { Some("inline") }
    }

    /// The tag for `what`, where the homeserver has one for each.
    pub fn tag(&self, what: &str) -> String {
        format!("\"{}/{what}\"", self.mxc())
    }

    /// One date for all, as from a restored backup.
    pub const fn date() -> &'static str {
        "Mon, 03 Mar 2025 03:03:03 GMT"
    }
}

pub const CONTENT: &str = "content";
const THUMBNAIL_LENGTH: usize = 17;

/// Thumbnails of it are refused with 400.
pub const NO_PICTURE: &str = "text/plain";

impl Homeserver {
    pub fn new(habits: Habits) -> Self {
        Self {
            tokens: Vec::new(),
            media: Vec::new(),
            habits,
            health: Health::Up,
            quirk: Quirk::None,
            cdn: Cdn::Serves,
            changes: Vec::new(),
            boundaries: 0,
        }
    }

    /// Quarantines a media or releases it, and lists that.
    pub fn quarantine(&mut self, media: usize, is_quarantined: bool, at_ms: u64) {
        self.media[media].is_quarantined = is_quarantined;
        self.changes.push(QuarantineChange { media, is_quarantined, at_ms });
    }

    /// Goes back to an older copy of its database, which has so many rows of its list.
    pub fn restore(&mut self, rows: usize) {
        self.changes.truncate(rows);
        for (index, media) in self.media.iter_mut().enumerate() {
            let last = self.changes.iter().rfind(|change| change.media == index);
            media.is_quarantined = last.is_some_and(|change| change.is_quarantined);
        }
    }

    /// A page of its list, for the URL that it is asked at, as Synapse answers.
    pub fn page(&self, url: &str) -> (StatusCode, String) {
        let from = url.rsplit_once("from=").and_then(|(_, from)| from.parse().ok());
        let from: usize = from.expect("a number");
        if self.health != Health::Up {
            return (StatusCode::BAD_GATEWAY, String::new());
        }
        if from > self.changes.len() {
            return (StatusCode::BAD_REQUEST, String::new());
        }
        let end = self.changes.len().min(from + PAGE_ROWS);
        let row = |change: &QuarantineChange| {
            let Media { server_name, id, .. } = &self.media[change.media];
            let quarantined = u8::from(change.is_quarantined);
            format!(r#"{{"origin":"{server_name}","media_id":"{id}","quarantined":{quarantined}}}"#)
        };
        let rows: Vec<_> = self.changes[from..end].iter().map(row).collect();
        (StatusCode::OK, format!(r#"{{"next_batch":{end},"changes":[{}]}}"#, rows.join(",")))
    }

    pub fn answer(&mut self, wire: &Wire) -> Answer {
        let answer = self.answer_whole(wire);
        if self.habits.serves_ranges { part_of(wire, answer) } else { answer }
    }

    fn answer_whole(&mut self, wire: &Wire) -> Answer {
        if let Some(target) = wire.url.strip_prefix(CDN) {
            return self.answer_as_cdn(wire, target);
        }
        let target = wire.url.strip_prefix(HOMESERVER).expect("a URL of the homeserver");
        let mut answer = match self.health {
            Health::StuckAt(media) if target.contains(&self.media[media].id) => {
                *Answer::refused(503, "M_UNKNOWN")
            }
            Health::Up | Health::StuckAt(_) => {
                self.judge(wire, target).unwrap_or_else(|refusal| *refusal)
            }
            Health::Unreachable => Answer::failed(By::Homeserver, OriginError::Unreachable),
            Health::Silent => Answer::failed(By::Homeserver, OriginError::TimedOut),
            Health::Status(status) => *Answer::refused(status, "M_LIMIT_EXCEEDED"),
        };
        if wire.method == Method::HEAD {
            answer.body.clear();
        }
        answer
    }

    fn judge(&mut self, wire: &Wire, target: &str) -> Result<Answer, Box<Answer>> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments: Vec<&str> = path.split('/').skip(2).collect();
        let knows_method =
            wire.method == Method::GET || wire.method == Method::HEAD && self.habits.knows_head;
        match segments[..] {
            _ if !knows_method => Err(Answer::refused(405, "M_UNRECOGNIZED")),
            ["client", "v3", "account", "whoami"] if self.habits.knows_whoami => {
                let user = self.token(wire, query)?;
                let json = (CONTENT_TYPE, value("application/json"));
                let body = format!("{{\"user_id\":\"@{user}:{SERVER_NAME}\"}}");
                Ok(Answer::own(200, HeaderMap::from_iter([json]), body))
            }
            ["client", "v1", "media", "config"] => {
                self.token(wire, query)?;
                Ok(Answer::own(200, HeaderMap::new(), "{\"m.upload.size\":1}"))
            }
            ["client", "v1", "media", kind, server_name, id, ..] => {
                let reader = self.token(wire, query)?;
                let media = self.media_for(query, kind, &format!("{server_name}/{id}"))?;
                let is_forbidden = self.media[media].reader.is_some_and(|owner| owner != reader);
                if is_forbidden {
                    return Err(Answer::refused(self.habits.refusal, "M_FORBIDDEN"));
                }
                self.serve(wire, media, kind, query)
            }
            ["media", "v3" | "r0", kind @ ("download" | "thumbnail"), server_name, id, ..] => {
                let has_token = self.habits.reads_legacy_tokens && self.token(wire, query).is_ok();
                let media = self.media_for(query, kind, &format!("{server_name}/{id}"))?;
                let is_shut = self.media[media].is_frozen || self.media[media].reader.is_some();
                let is_elsewhere = server_name != SERVER_NAME;
                if is_shut && !has_token || is_elsewhere && has(query, "allow_remote=false") {
                    return Err(Answer::refused(404, "M_NOT_FOUND"));
                }
                self.serve(wire, media, kind, query)
            }
            ["federation", "v1", "media", kind, id] => {
                let signed = format!("X-Matrix {} {target}", wire.method);
                if wire.headers.get(AUTHORIZATION).is_none_or(|sent| *sent != *signed) {
                    return Err(Answer::refused(401, "M_UNAUTHORIZED"));
                }
                let media = self.media_for(query, kind, &format!("{SERVER_NAME}/{id}"))?;
                let answer = self.serve(wire, media, kind, query)?;
                Ok(self.enveloped(answer))
            }
            _ => Err(Answer::refused(404, "M_UNRECOGNIZED")),
        }
    }

    /// For whom a request is, by the index of their token.
    fn token(&self, wire: &Wire, query: &str) -> Result<usize, Box<Answer>> {
        let header = wire.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let text = match (header, value_of(query, "access_token")) {
            (Some(header), None) => header.strip_prefix("Bearer "),
            (None, in_query) => in_query,
            (Some(_), Some(_)) => None,
        };
        let text = text.ok_or_else(|| Answer::refused(401, "M_MISSING_TOKEN"))?;
        let unknown = || Answer::refused(401, "M_UNKNOWN_TOKEN");
        let found = self.tokens.iter().position(|token| token.text == text).ok_or_else(unknown)?;
        if !self.tokens[found].is_valid {
            return Err(unknown());
        }
        if self.tokens[found].is_locked {
            return Err(Answer::refused(401, "M_USER_LOCKED"));
        }
        match value_of(query, "user_id") {
            Some(user) if self.tokens[found].is_service => user
                .parse()
                .ok()
                .filter(|user: &usize| self.tokens.get(*user).is_some_and(|token| token.is_valid))
                .ok_or_else(|| Answer::refused(403, "M_FORBIDDEN")),
            _ => Ok(found),
        }
    }

    fn media_for(&self, query: &str, kind: &str, mxc: &str) -> Result<usize, Box<Answer>> {
        if value_of(query, "timeout_ms").is_some_and(|value| value.parse::<u64>().is_err()) {
            return Err(Answer::refused(400, "M_INVALID_PARAM"));
        }
        self.media
            .iter()
            .position(|media| {
                let is_there = !media.is_halved || kind == "thumbnail";
                media.mxc() == mxc && is_there && !media.is_deleted && !media.is_quarantined
            })
            .ok_or_else(|| Answer::refused(self.habits.gone, "M_NOT_FOUND"))
    }

    fn serve(
        &self,
        wire: &Wire,
        media: usize,
        kind: &str,
        query: &str,
    ) -> Result<Answer, Box<Answer>> {
        let is_last = self.habits.reads_last;
        let what = if kind == "download" { CONTENT.to_owned() } else { thumbnail(query, is_last) };
        let item = &self.media[media];
        let is_pictured = what == CONTENT || item.content_type != NO_PICTURE;
        if self.habits.validators == Validators::Redirect && !wire.url.contains("/federation/") {
            let location = format!("{CDN}/{media}/{what}");
            let headers = HeaderMap::from_iter([(LOCATION, value(&location))]);
            return Ok(Answer::own(307, headers, ""));
        }
        let mut headers = self.validators(item, &what);
        headers.insert(CACHE_CONTROL, value("public,max-age=86400,s-maxage=0,proxy-revalidate"));
        let is_eaten = self.habits.validators == Validators::Eaten;
        let is_ones = |name: &HeaderName| wire.headers.get(name).is_some_and(|tag| tag == "1");
        let holds = |name: HeaderName, validator: HeaderName| {
            is_eaten && is_ones(&name)
                || headers.contains_key(&validator)
                    && wire.headers.get(name) == headers.get(&validator)
        };
        if holds(IF_NONE_MATCH, ETAG)
            || !wire.headers.contains_key(IF_NONE_MATCH) && holds(IF_MODIFIED_SINCE, LAST_MODIFIED)
        {
            return Ok(Answer::own(304, headers, ""));
        }
        if !is_pictured {
            return Err(Answer::refused(400, "M_UNKNOWN"));
        }
        let body = item.bytes(&what);
        headers.insert(CONTENT_TYPE, value(item.content_type(&what)));
        headers.insert(CONTENT_LENGTH, body.len().into());
        if let Some(disposition) = item.disposition(&what) {
            headers.insert(CONTENT_DISPOSITION, value(disposition));
        }
        let is_broken = self.quirk == Quirk::BreaksOff && wire.method == Method::GET;
        match self.quirk {
            Quirk::None | Quirk::BreaksOff => {}
            Quirk::NoStore => drop(headers.insert(CACHE_CONTROL, value("no-store"))),
            Quirk::NoLength => drop(headers.remove(CONTENT_LENGTH)),
            Quirk::Cookie => drop(headers.insert(SET_COOKIE, value("a=b"))),
            Quirk::Vary => drop(headers.insert(VARY, value("User-Agent"))),
        }
        Ok(Answer { is_broken, ..Answer::own(200, headers, body) })
    }

    fn validators(&self, item: &Media, what: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self.habits.validators {
            Validators::One => drop(headers.insert(ETAG, value("1"))),
            Validators::Both => {
                headers.insert(ETAG, value(&item.tag(what)));
                headers.insert(LAST_MODIFIED, value(Media::date()));
            }
            Validators::Date => drop(headers.insert(LAST_MODIFIED, value(Media::date()))),
            Validators::Eaten | Validators::Nothing | Validators::Redirect => {}
        }
        headers
    }

    /// What servers get: the media in an envelope, whose boundary is new each time.
    fn enveloped(&mut self, answer: Answer) -> Answer {
        let Ok(mut head) = answer.head else { return answer };
        if head.status != StatusCode::OK {
            return Answer { head: Ok(head), ..answer };
        }
        self.boundaries += 1;
        let boundary = format!("b{}", self.boundaries);
        let body = envelope(&boundary, &answer.body);
        head.headers.remove(CONTENT_DISPOSITION);
        let content_type = format!("multipart/mixed; boundary={boundary}");
        head.headers.insert(CONTENT_TYPE, value(&content_type));
        if head.headers.contains_key(CONTENT_LENGTH) {
            head.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        Answer { head: Ok(head), body, ..answer }
    }

    fn answer_as_cdn(&self, wire: &Wire, target: &str) -> Answer {
        assert!(!wire.headers.contains_key(AUTHORIZATION), "a stranger gets no credential");
        assert!(!target.contains("access_token"), "a stranger gets no token");
        let elsewhere = |location: &str| {
            Answer::new(By::Cdn, 307, HeaderMap::from_iter([(LOCATION, value(location))]), "")
        };
        match self.cdn {
            Cdn::Serves => {
                let (media, what) = target[1..].split_once('/').expect("media and what of it");
                let item = &self.media[media.parse::<usize>().expect("an index")];
                let body = item.bytes(what);
                let mut headers =
                    HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(body.len()))]);
                headers.insert(CONTENT_TYPE, value(item.content_type(what)));
                headers.insert(ETAG, value("\"cdn\""));
                if let Some(disposition) = item.disposition(what) {
                    headers.insert(CONTENT_DISPOSITION, value(disposition));
                }
                Answer::new(By::Cdn, 200, headers, body)
            }
            Cdn::Expired => Answer { by: By::Cdn, ..*Answer::refused(403, "AccessDenied") },
            Cdn::Down => Answer::failed(By::Cdn, OriginError::Unreachable),
            Cdn::Loops => elsewhere(&wire.url),
            Cdn::Downgrades => elsewhere("http://127.0.0.1/0/content"),
        }
    }
}

/// Cuts the range out of an answer that a question wants.
fn part_of(wire: &Wire, mut answer: Answer) -> Answer {
    let range = wire.headers.get(RANGE).and_then(|range| RangeSpec::parse(range.to_str().ok()?));
    let (Some(range), Ok(head)) = (range, &mut answer.head) else { return answer };
    let is_media = !wire.url.ends_with("/config") && !wire.url.ends_with("/whoami");
    if head.status != StatusCode::OK || wire.method != Method::GET || !is_media {
        return answer;
    }
    let length = answer.body.len() as u64;
    match range.of(length) {
        RangeRequest::Whole => {}
        RangeRequest::Part(part) => {
            head.status = StatusCode::PARTIAL_CONTENT;
            head.headers.insert(CONTENT_RANGE, value(&part.content_range(length)));
            if head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(CONTENT_LENGTH, part.length().into());
            }
            let at = |offset| usize::try_from(offset).expect("it is short");
            answer.body = answer.body[at(part.first)..=at(part.last)].to_vec();
        }
        RangeRequest::Unsatisfiable => {
            let headers = [(CONTENT_RANGE, value(&unsatisfied_content_range(length)))];
            let status = StatusCode::RANGE_NOT_SATISFIABLE.as_u16();
            return Answer::new(answer.by, status, HeaderMap::from_iter(headers), "");
        }
    }
    answer
}

/// Two parts: a JSON object and the media.
pub fn envelope(boundary: &str, media: &[u8]) -> Vec<u8> {
    let head = format!("\r\n--{boundary}\r\n\r\n{{}}\r\n--{boundary}\r\n\r\n");
    [head.as_bytes(), media, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
}

/// What a query asks for. Whoever gives no method leaves it to the homeserver.
fn thumbnail(query: &str, reads_last: bool) -> String {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let or = |wanted, default: &str| {
        let mut values = pairs.clone().filter(|(name, _)| *name == wanted).map(|(_, value)| value);
        let found = if reads_last { values.next_back() } else { values.next() };
        found.unwrap_or(default).to_lowercase()
    };
    let number = |name| or(name, "0").parse::<u32>().unwrap_or(0);
    let (width, height) = (number("width"), number("height"));
    format!("{width}x{height}-{}-{}", or("method", "default"), or("animated", "default"))
}

fn value_of<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|pair| pair.0 == name)
        .map(|p| p.1)
}

fn has(query: &str, pair: &str) -> bool {
    query.split('&').any(|found| found == pair)
}

pub fn value(text: &str) -> HeaderValue {
    text.parse().expect("a header value")
}
