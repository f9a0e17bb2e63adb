//! The whole exchange: whatever happens in whatever order, the promises hold.

use model::random::Random;
use model::scenario::Scenario;

/// The input chooses what happens in a [`Scenario`].
pub(crate) fn target(input: &[u8]) {
    let scenario = Scenario::new(&mut Random::chosen_by(input));
    if scenario.play().is_err() {
        let scenario = scenario.shortened();
        let complaint = scenario.play().err().map(|failure| failure.complaint);
        panic!("the least of it that fails:\n{scenario}\n{}", complaint.unwrap_or_default());
    }
}
