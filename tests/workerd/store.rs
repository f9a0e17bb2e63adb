//! Where bodies are kept, in memory, data centres and the bucket, and how they leave.

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
