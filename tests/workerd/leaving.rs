//! Clients that leave: their work is dropped without memory left behind, and work for others goes
//! on.

mod cut;
mod memory;

use crate::support::origin::Reply;

/// A video as Synapse sends it, which also without its tag bears the homeserver's mark.
fn video(body: Vec<u8>) -> Reply {
    let reply = Reply::new(200).header("Content-Type", "video/mp4").header("ETag", "1");
    reply.header("Content-Disposition", "inline").body(body)
}
