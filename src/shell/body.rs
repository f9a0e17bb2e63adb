//! Bodies, which stay streams of the runtime.

pub(crate) mod envelope;
pub(crate) mod pump;
pub(crate) mod streams;
