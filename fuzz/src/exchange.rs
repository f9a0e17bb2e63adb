//! The whole exchange: whatever happens in whatever order, the promises hold.

use crate::random::Random;
use crate::scenario::Scenario;

/// The input chooses what happens in a [`Scenario`].
pub(crate) fn target(input: &[u8]) {
    let scenario = Scenario::new(&mut Random::new(input));
    if scenario.play().is_err() {
        let scenario = scenario.shortened();
        let complaint = scenario.play().err().map(|failure| failure.complaint);
        panic!("the least of it that fails:\n{scenario}\n{}", complaint.unwrap_or_default());
    }
}
