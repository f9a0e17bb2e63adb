//! A client's request, as what it means; the text that goes on the wire is made from it.

use http::Method;
use http::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    RANGE, REFERER, USER_AGENT,
};
use matrix_media_edge::headers::CONNECTING_IP;
use matrix_media_edge::matrix::media::Door;
use matrix_media_edge::message::target::Target;
use matrix_media_edge::message::{REQUEST_HEADERS, RequestHead};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::homeserver::{CONTENT, Homeserver, SERVER_NAME};

#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub door: Door,
    /// Index of the media; there may be none such.
    pub media: usize,
    pub what: What,
    pub file_name: Option<&'static str>,
    pub credential: Credential,
    pub extra: Option<Extra>,
    pub range: Option<Span>,
    pub if_range: Option<Validator>,
    pub if_none_match: Option<Validator>,
    pub if_modified_since: Option<Validator>,
    pub guise: Guise,
}

/// How a reader comes along: what may provoke whoever stands in front of the homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guise {
    pub agent: &'static str,
    /// How long the `Referer` is, in bytes; none of 0.
    pub referer_bytes: usize,
    /// Whether they say what they want, as browsers do.
    pub has_accept: bool,
    pub is_http: bool,
    /// The last number of their address.
    pub address: usize,
}

impl Guise {
    pub const PLAIN: Self = Self {
        agent: "Element/1.11",
        referer_bytes: 0,
        has_accept: false,
        is_http: false,
        address: 1,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Content,
    /// A thumbnail: what the homeserver takes it for, and one way to ask for it.
    Thumbnail(&'static str, &'static str),
    /// An endpoint that answers each user by itself.
    Config,
}

/// What is shown, tokens by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    None,
    Header(usize),
    Query(usize),
    Both(usize, usize),
    /// Text of no token.
    Garbage(&'static str),
    /// A server's signature over method and target.
    Signature,
    /// The same over something else.
    BadSignature,
}

/// A parameter more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    Timeout,
    BadTimeout,
    /// On behalf of the user of this token.
    UserId(usize),
    AllowRemote,
    ForbidRemote,
    AllowRedirect,
    Junk,
}

/// A `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    From(usize),
    Between(usize, usize),
    Last(usize),
    /// Several, or none that can be read.
    Ignored(&'static str),
}

/// What stands in a precondition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// The tag that the edge gave for this; a text that is no one's, as long as it gave none.
    Tag(usize, What),
    WeakTag(usize, What),
    /// Among others.
    ListedTag(usize, What),
    Text(&'static str),
}

impl What {
    /// The word for it in [`crate::homeserver::Media::bytes`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content | Self::Config => CONTENT,
            Self::Thumbnail(name, _) => name,
        }
    }
}

impl Ask {
    /// A plain GET at a door.
    pub const fn new(door: Door, media: usize, credential: Credential) -> Self {
        Self {
            method: Method::GET,
            door,
            media,
            what: What::Content,
            file_name: None,
            credential,
            extra: None,
            range: None,
            if_range: None,
            if_none_match: None,
            if_modified_since: None,
            guise: Guise::PLAIN,
        }
    }

    /// Whether the homeserver may answer this one differently from a plain request at its door, so
    /// that nothing but its word about this very request permits anything.
    pub fn is_judged_alone(&self) -> bool {
        let credential_is_plain = match self.door {
            Door::Client => matches!(self.credential, Credential::Header(_) | Credential::Query(_)),
            Door::Legacy => self.credential == Credential::None,
            Door::Federation | Door::Other => false,
        };
        !(credential_is_plain && self.is_on_plain_terms())
    }

    /// Whether the client can follow redirects, and says so.
    pub fn wants_redirects(&self) -> bool {
        self.extra == Some(Extra::AllowRedirect)
    }

    /// Whether nothing is asked besides that could be a reason to refuse.
    pub fn is_on_plain_terms(&self) -> bool {
        match self.extra {
            None | Some(Extra::Timeout | Extra::AllowRedirect) => true,
            Some(Extra::AllowRemote) => self.door == Door::Legacy,
            Some(Extra::BadTimeout | Extra::UserId(_) | Extra::ForbidRemote | Extra::Junk) => false,
        }
    }

    /// The one token that it shows.
    pub const fn token(&self) -> Option<usize> {
        match self.credential {
            Credential::Header(token) | Credential::Query(token) => Some(token),
            _ => None,
        }
    }

    /// What it is asked with by the edge, in the one spelling for all that means the same.
    pub fn question(
        &self,
        homeserver: &Homeserver,
        is_stored: bool,
        passes_redirects: bool,
    ) -> String {
        let unnamed = Self { file_name: None, ..self.clone() };
        if self.door == Door::Federation {
            return unnamed.target(homeserver);
        }
        let extra = match self.extra {
            Some(Extra::Timeout) if is_stored => None,
            Some(Extra::AllowRemote) => None,
            Some(Extra::AllowRedirect) if !passes_redirects => None,
            extra => extra,
        };
        let what = match self.what {
            What::Thumbnail(name, _) => What::Thumbnail(name, canonical(name)),
            what => what,
        };
        Self { what, extra, ..unnamed }.target(homeserver)
    }

    pub fn target(&self, homeserver: &Homeserver) -> String {
        let media = homeserver.media.get(self.media);
        let (server_name, id) = media.map_or((SERVER_NAME, "nothing"), |m| (m.server_name, &*m.id));
        let base = match self.door {
            Door::Client | Door::Other => "/_matrix/client/v1/media",
            Door::Legacy => "/_matrix/media/v3",
            Door::Federation => "/_matrix/federation/v1/media",
        };
        let item = match self.door {
            Door::Federation => id.to_owned(),
            Door::Client | Door::Legacy | Door::Other => format!("{server_name}/{id}"),
        };
        let (path, mut query) = match self.what {
            What::Content => (format!("{base}/download/{item}"), Vec::new()),
            What::Thumbnail(_, query) => (format!("{base}/thumbnail/{item}"), vec![query.into()]),
            What::Config => (format!("{base}/config"), Vec::new()),
        };
        let name = self.file_name.filter(|_| self.what == What::Content);
        let name = name.map(|name| format!("/{}", utf8_percent_encode(name, NON_ALPHANUMERIC)));
        query.extend(self.extra.map(|extra| match extra {
            Extra::Timeout => "timeout_ms=20000".to_owned(),
            Extra::BadTimeout => "timeout_ms=-1".to_owned(),
            Extra::UserId(token) => format!("user_id={token}"),
            Extra::AllowRemote => "allow_remote=true".to_owned(),
            Extra::ForbidRemote => "allow_remote=false".to_owned(),
            Extra::AllowRedirect => "allow_redirect=true".to_owned(),
            Extra::Junk => "utm=1".to_owned(),
        }));
        if let Credential::Query(token) | Credential::Both(_, token) = self.credential {
            query.push(format!("access_token={}", homeserver.tokens[token].text));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}{}{mark}{}", name.unwrap_or_default(), query.join("&"))
    }

    /// All headers that the client sends, given how to find the tags that it may have kept.
    pub fn headers(
        &self,
        homeserver: &Homeserver,
        tag_of: impl Fn(usize, What) -> Option<String>,
    ) -> HeaderMap {
        let authorization = match self.credential {
            Credential::None | Credential::Query(_) => None,
            Credential::Header(token) | Credential::Both(token, _) => {
                Some(format!("Bearer {}", homeserver.tokens[token].text))
            }
            Credential::Garbage(text) => Some(text.to_owned()),
            Credential::Signature => {
                Some(format!("X-Matrix {} {}", self.method, self.target(homeserver)))
            }
            Credential::BadSignature => Some("X-Matrix forged".to_owned()),
        };
        let tag = |media, what| tag_of(media, what).unwrap_or_else(|| "\"unseen\"".to_owned());
        let validator = |validator: &Validator| match *validator {
            Validator::Tag(media, what) => tag(media, what),
            Validator::WeakTag(media, what) => format!("W/{}", tag(media, what)),
            Validator::ListedTag(media, what) => format!("\"x\", W/\"y\" ,{}", tag(media, what)),
            Validator::Text(text) => text.to_owned(),
        };
        let guise = self.guise;
        let referer = || format!("https://a.example/{}", "x".repeat(guise.referer_bytes));
        let fields: [(HeaderName, Option<String>); 9] = [
            (USER_AGENT, (!guise.agent.is_empty()).then(|| guise.agent.to_owned())),
            (REFERER, (guise.referer_bytes > 0).then(referer)),
            (ACCEPT, guise.has_accept.then(|| "text/html".to_owned())),
            (CONNECTING_IP, Some(format!("203.0.113.{}", guise.address))),
            (AUTHORIZATION, authorization),
            (RANGE, self.range.map(Span::text)),
            (IF_RANGE, self.if_range.as_ref().map(validator)),
            (IF_NONE_MATCH, self.if_none_match.as_ref().map(validator)),
            (IF_MODIFIED_SINCE, self.if_modified_since.as_ref().map(validator)),
        ];
        let sent = fields.into_iter().filter_map(|(name, text)| Some((name, text?.parse().ok()?)));
        sent.collect()
    }

    /// The head as the shell reads it.
    pub fn head(&self, homeserver: &Homeserver, sent: &HeaderMap) -> RequestHead {
        let is_read = |name: &HeaderName| REQUEST_HEADERS.contains(name);
        let read = sent.iter().filter(|(name, _)| is_read(name));
        RequestHead {
            method: self.method.clone(),
            scheme: if self.guise.is_http { "http" } else { "https" }.to_owned(),
            authority: "media.example.com".to_owned(),
            target: Target::new(&self.target(homeserver)),
            headers: read.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// The query for the thumbnail of this name.
fn canonical(name: &str) -> &'static str {
    match name {
        "32x32-crop-default" => "width=32&height=32&method=crop",
        "32x32-default-default" => "width=32&height=32",
        "32x32-scale-default" => "width=32&height=32&method=scale",
        "44x32-scale-default" => "width=44&height=32&method=scale",
        "64x32-scale-default" => "width=64&height=32&method=scale",
        "32x32-scale-true" => "width=32&height=32&method=scale&animated=true",
        other => panic!("nobody asks for {other}"),
    }
}

impl Span {
    fn text(self) -> String {
        match self {
            Self::From(first) => format!("bytes={first}-"),
            Self::Between(first, last) => format!("bytes={first}-{last}"),
            Self::Last(count) => format!("bytes=-{count}"),
            Self::Ignored(text) => text.to_owned(),
        }
    }
}
