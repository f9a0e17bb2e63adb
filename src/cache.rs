//! Stored responses: their names, their records, what may be stored, and where.

pub mod cache_fill;
pub mod entity_tag;
pub mod entry;
pub mod in_flight;
pub mod key;
pub mod lru;
pub mod purge_list;
pub mod storability;
pub mod tier;
