//! The platform as it is: bindings, clock, heads, tasks, and what happens when something panics.

pub(crate) mod bindings;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod heads;
pub(crate) mod log;
pub(crate) mod panic;
pub(crate) mod settling;
pub(crate) mod tasks;
