//! Bodies, which stay streams of the runtime.

pub(crate) mod envelope;
pub(crate) mod limit;
pub(crate) mod pump;
pub(crate) mod streams;
