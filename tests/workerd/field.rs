//! What homeservers, proxies and clients of the field do, a file for each kind.

mod ranges;
