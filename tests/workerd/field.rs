//! What people's homeservers, proxies and clients really do, as they have reported it: each file is
//! about one kind of thing.

mod names;
mod servers;
mod vary;
