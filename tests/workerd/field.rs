//! What people's homeservers, proxies and clients do, as reported in public: each test is a kind of
//! report, not its sample alone.

mod chunked;
mod cookies;
mod documents;
mod hosts;
mod locations;
mod parameters;
mod tunnel;
