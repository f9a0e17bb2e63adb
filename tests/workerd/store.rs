//! Where bodies are stored (memory, data centres, the bucket), and how they are filled, evicted and
//! purged.

pub(crate) mod bucket;
mod bucket_faults;
mod bucket_objects;
mod coalescing;
pub(crate) mod memory;
mod memory_bound;
mod memory_tier;
mod purge_list;
mod slow_cache;
mod tier_faults;
