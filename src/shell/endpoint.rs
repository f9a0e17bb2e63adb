//! The endpoints that the origin has a part in: what `crate::endpoint` decides is done here.

pub(crate) mod cache_fill;
pub(crate) mod download;
pub(crate) mod fill_watch;
pub(crate) mod forward;
pub(crate) mod upload;
pub(crate) mod well_known;
