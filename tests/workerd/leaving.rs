//! Clients that leave: what was done for them is dropped, and what others may want goes on.

mod cut;
mod memory;
