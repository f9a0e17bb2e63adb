//! Where responses, leases and purges are stored: in the isolate, at the data centre, in the bucket.

pub(crate) mod bucket;
pub(crate) mod cache_fill;
pub(crate) mod coalescing;
pub(crate) mod leases;
pub(crate) mod memory;
pub(crate) mod pop;
pub(crate) mod purge_list;
pub(crate) mod tiers;
