//! A homeserver behind a tunnel: who doesn't show the tunnel's secret gets a page, and never hears of
//! the homeserver. It redirects to signed links on itself, as homeservers with a store of their own do.

use std::io;

use crate::support::origin::{Call, Origin, Reply, Then};
use crate::support::world::{BODY, download_path};

/// What the admin has set up to be let through.
pub(crate) const SECRET: (&str, &str) = ("ORIGIN_HEADERS", r#"{"X-Tunnel":"s3cret"}"#);

/// Where signed links lead.
pub(crate) const SIGNED: &str = "/_matrix/media/signed/abc";

/// Answers by `reply` who shows the secret, and by a page who doesn't.
pub(crate) fn behind(origin: &Origin, path: &str, reply: Reply) {
    origin.on(path, move |call| match is_let_through(call) {
        true => call.reply(&reply),
        false => refuse(call),
    });
}

/// Has media behind the tunnel under a signed link.
pub(crate) fn serve_signed(origin: &Origin, path: &str) {
    behind(origin, path, Reply::new(200).header("Content-Type", "image/png").body(BODY));
}

/// Has the homeserver redirect a download to this place.
pub(crate) fn redirect(origin: &Origin, id: &str, location: impl AsRef<[u8]>) {
    behind(origin, &download_path(id), Reply::new(307).header("Location", location));
}

fn is_let_through(call: &Call<'_>) -> bool {
    call.head.headers.get("x-tunnel") == Some("s3cret")
}

fn refuse(call: &mut Call<'_>) -> io::Result<Then> {
    let page = Reply::new(403).header("Content-Type", "text/html").body("<h1>Tunnel</h1>");
    call.reply(&page)
}
