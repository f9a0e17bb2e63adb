//! What people's homeservers, proxies and clients really do, as they have reported it: each file is
//! about one kind of thing.

mod servers;
mod vary;
