//! What an origin may do wrong, and how it is done.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::gzip::gzip;
use crate::support::origin::{Call, Reply, Then};

/// Long enough for what was sent to have arrived, on a busy machine too.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Refused,
    Reset,
    Closed,
    HalfHead,
    NoHttp,
    EndlessHead,
    Error,
    Continue,
    EarlyHints,
    Part,
    NotModified,
    Gzip,
    RedirectLoop,
    ResetAfterHead,
    ShortBody,
    ResetBody,
    LongBody,
    UnendedBody,
    EndlessBody,
    Flapping,
    WrongDate,
    AbsurdAge,
    NonsenseExpiry,
    SilentHead,
    SilentMidHead,
    SilentMidBody,
    SilentEnd,
    /// Cloudflare answers in its place (see [`test_support::proxy::Proxy::on`]).
    Page(&'static str),
}

impl Fault {
    /// The words for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refuses connections",
            Self::Reset => "resets the connection before the headers",
            Self::Closed => "closes the connection before the headers",
            Self::HalfHead => "closes the connection within the headers",
            Self::NoHttp => "sends something that is not HTTP",
            Self::EndlessHead => "sends headers without end",
            Self::Error => "answers with a 503",
            Self::Continue => "sends a 100 before its answer",
            Self::EarlyHints => "sends a 103 before its answer",
            Self::Part => "sends an unrequested 206",
            Self::NotModified => "sends an unrequested 304",
            Self::Gzip => "compresses, though `identity` was asked for",
            Self::RedirectLoop => "redirects in a loop",
            Self::ResetAfterHead => "resets the connection after the headers",
            Self::ShortBody => "closes the connection half-way through the body",
            Self::ResetBody => "resets the connection half-way through the body",
            Self::LongBody => "sends more than its `Content-Length`",
            Self::UnendedBody => "sends no length, and closes the connection half-way",
            Self::EndlessBody => "sends no length, and never ends",
            Self::Flapping => "fails every second request",
            Self::WrongDate => "sends a `Date` one day ahead",
            Self::AbsurdAge => "sends an absurd `Age`",
            Self::NonsenseExpiry => "sends an invalid `Expires`",
            Self::SilentHead => "sends nothing",
            Self::SilentMidHead => "stalls within the headers",
            Self::SilentMidBody => "stalls half-way through the body",
            Self::SilentEnd => "sends no length, and stalls before the end",
            Self::Page(page) => match page {
                "blocked" => "blocks the request (403, `error code: 1010`)",
                "challenged" => "challenges the client (403, `cf-mitigated`)",
                "limited" => "limits the rate (429)",
                "login" => "redirects to Access's login",
                "maintenance" => "sends a maintenance page (200)",
                "520" => "sends a 520: the origin's answer is invalid",
                "521" => "sends a 521: the origin refuses connections",
                "522" => "sends a 522: no connection in time",
                "523" => "sends a 523: the origin is unreachable",
                "524" => "sends a 524: no answer in time",
                "525" => "sends a 525: no TLS with the origin",
                "526" => "sends a 526: the origin's certificate is invalid",
                _ => "sends a 530: no name, or no tunnel",
            },
        }
    }

    /// Whether it is about a body, and so nothing that a 304 can show.
    const fn is_of_body(self) -> bool {
        matches!(
            self,
            Self::Gzip
                | Self::ResetAfterHead
                | Self::ShortBody
                | Self::ResetBody
                | Self::LongBody
                | Self::UnendedBody
                | Self::EndlessBody
                | Self::SilentMidBody
                | Self::SilentEnd
        )
    }

    /// What would be right. A 304 can't be wrong in its body: then it is a new 200.
    pub(crate) fn right_reply(self, call: &mut Call<'_>) -> io::Result<Reply> {
        if self.is_of_body() {
            call.head.headers.0.retain(|(name, _)| !name.eq_ignore_ascii_case("if-none-match"));
        }
        call.default_reply()
    }

    /// Does it, in place of the right answer. `asked` counts the questions.
    pub(crate) fn commit(
        self,
        call: &mut Call<'_>,
        right: &Reply,
        asked: &AtomicUsize,
    ) -> io::Result<Then> {
        let (first_half, whole) = (&right.bytes()[..right.bytes().len() / 2], right.bytes());
        match self {
            Self::Refused | Self::Page(_) => unreachable!("it is not asked"),
            Self::Reset => return Ok(Then::Reset),
            Self::Closed => {}
            Self::HalfHead => call.send("HTTP/1.1 200 OK\r\nContent-Le")?,
            Self::NoHttp => call.send("220 mail.example ESMTP\r\n\r\n")?,
            Self::EndlessHead => return send_for_ever(call, b"X-More: and more and more\r\n"),
            Self::Error => return call.reply(&Reply::error(503, "M_UNKNOWN", "Down for a moment")),
            Self::Continue => {
                call.send("HTTP/1.1 100 Continue\r\n\r\n")?;
                return call.reply(right);
            }
            Self::EarlyHints => {
                call.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")?;
                return call.reply(right);
            }
            Self::Part => {
                let part = format!("bytes 0-9/{}", whole.len());
                let part = Reply::new(206).header("Content-Range", part).body([7; 10]);
                return call.reply(&part.header("ETag", "1"));
            }
            Self::NotModified => return call.reply(&Reply::new(304).header("ETag", "1")),
            Self::Gzip => {
                let packed = right.clone().body(gzip(whole)).header("Content-Encoding", "gzip");
                return call.reply(&packed);
            }
            Self::RedirectLoop => {
                let here = call.head.target.clone();
                return call.reply(&Reply::new(307).header("Location", here));
            }
            Self::ResetAfterHead => {
                call.send(right.head_bytes(whole.len()))?;
                sleep(PAUSE);
                return Ok(Then::Reset);
            }
            Self::ShortBody => {
                call.send(right.head_bytes(whole.len()))?;
                call.send(first_half)?;
            }
            Self::ResetBody => {
                call.send(right.head_bytes(whole.len()))?;
                call.send(first_half)?;
                sleep(PAUSE);
                return Ok(Then::Reset);
            }
            Self::LongBody => {
                call.send(right.head_bytes(whole.len()))?;
                call.send([whole, b"and more"].concat())?;
            }
            Self::UnendedBody => send_chunk(call, right, first_half)?,
            Self::EndlessBody => {
                send_chunk(call, right, first_half)?;
                return send_for_ever(call, &[&b"1000\r\n"[..], &[0; 0x1000], b"\r\n"].concat());
            }
            Self::Flapping => match asked.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => return Ok(Then::Reset),
                _ => return call.reply(right),
            },
            Self::WrongDate => {
                return call.reply(&right.clone().header("Date", "Fri, 01 Jan 2100 00:00:00 GMT"));
            }
            Self::AbsurdAge => {
                return call.reply(&right.clone().header("Age", "99999999999999999999"));
            }
            Self::NonsenseExpiry => {
                return call.reply(&right.clone().header("Expires", "-1, 0; tomorrow"));
            }
            Self::SilentHead => return call.wait_for_end(),
            Self::SilentMidHead => {
                call.send("HTTP/1.1 200 OK\r\nContent-Le")?;
                return call.wait_for_end();
            }
            Self::SilentMidBody => {
                call.send(right.head_bytes(whole.len()))?;
                call.send(first_half)?;
                return call.wait_for_end();
            }
            Self::SilentEnd => {
                send_chunk(call, right, whole)?;
                return call.wait_for_end();
            }
        }
        Ok(Then::Close)
    }
}

/// The head of an answer without a length, and the first chunk of its body.
fn send_chunk(call: &mut Call<'_>, reply: &Reply, bytes: &[u8]) -> io::Result<()> {
    call.send(reply.clone().chunked().head_bytes(0))?;
    call.send([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
}

/// Until the other end has had enough.
fn send_for_ever(call: &mut Call<'_>, bytes: &[u8]) -> io::Result<Then> {
    if bytes.starts_with(b"X-") {
        call.send("HTTP/1.1 200 OK\r\n")?;
    }
    loop {
        match call.send(bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
            Err(_) => return Ok(Then::Close),
        }
    }
}
