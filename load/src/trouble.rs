//! What goes wrong, and when: tokens are revoked, media is quarantined and released, and the origin
//! crashes and is gone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use test_support::time::now;

use crate::Plan;
use crate::origin::Origin;
use crate::random::Random;
use crate::truth::{State, Truth};

/// How long apart changes are.
const STEP: Duration = Duration::from_millis(100);

/// Of how many steps one revokes a token, and flips media.
const REVOKES_ONE_IN: usize = 12;
const FLIPS_ONE_IN: usize = 3;

/// Makes all the trouble of a plan that began then, and returns at its end.
pub(crate) fn make(truth: &Truth, origin: &Origin, plan: Plan, began: Instant) {
    let mut random = Random::new(0);
    let mut troubles = 0;
    while began.elapsed() < plan.duration {
        change(&mut truth.now(), &mut random);
        // In the midst of each of so many equal parts.
        let due = plan.duration * (2 * troubles + 1) / (2 * plan.troubles);
        if troubles < plan.troubles && began.elapsed() >= due {
            truth.now().begin_trouble();
            if troubles % 2 == 0 {
                origin.break_connections();
            } else {
                origin.be_gone(plan.outage);
            }
            truth.now().end_trouble();
            troubles += 1;
        }
        sleep(STEP);
    }
}

fn change(state: &mut State, random: &mut Random) {
    if random.once_in(REVOKES_ONE_IN) {
        let token = state.pick_token(random);
        if let Some(token) = state.tokens.get_mut(&token).filter(|token| token.is_so()) {
            token.flip(now());
        }
        state.log_in();
    }
    if random.once_in(FLIPS_ONE_IN) {
        // Whatever is not there comes back sooner than another goes.
        let gone = state.media.values().find(|media| !media.is_there.is_so() && random.once_in(4));
        let id = gone.map_or_else(|| state.pick_media(random).id, |media| media.id.clone());
        if let Some(media) = state.media.get_mut(&id) {
            media.is_there.flip(now());
        }
    }
}
