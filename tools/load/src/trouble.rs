//! What goes wrong, and when: tokens are revoked, media is quarantined and released, and the origin
//! crashes and is gone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Plan;
use crate::homeserver::Homeserver;
use crate::truth::Truth;
use model::random::Random;

/// How long apart changes are.
const STEP: Duration = Duration::from_millis(100);

/// Of how many steps one revokes a token, and flips media.
const REVOKES_ONE_IN: usize = 12;
const FLIPS_ONE_IN: usize = 3;

/// Makes all the trouble of a plan that began then, and returns at its end.
pub(crate) fn make(truth: &Truth, homeserver: &dyn Homeserver, plan: Plan, began: Instant) {
    let mut random = Random::new(0);
    let mut troubles = 0;
    while began.elapsed() < plan.duration {
        if random.once_in(REVOKES_ONE_IN) {
            revoke(truth, homeserver, &mut random);
        }
        if random.once_in(FLIPS_ONE_IN) {
            flip_media(truth, homeserver, &mut random);
        }
        // In the midst of each of so many equal parts.
        let due = plan.duration * (2 * troubles + 1) / (2 * plan.troubles);
        if troubles < plan.troubles && began.elapsed() >= due {
            truth.now().begin_trouble();
            if troubles % 2 == 0 {
                homeserver.crash();
            } else {
                homeserver.be_gone();
            }
            truth.now().end_trouble(homeserver.aftermath());
            troubles += 1;
        }
        sleep(STEP);
    }
}

/// Logs a token out, if it isn't yet, and lets another in. The homeserver takes its time, in which
/// readers go on: nobody holds the truth meanwhile.
fn revoke(truth: &Truth, homeserver: &dyn Homeserver, random: &mut Random) {
    let token = truth.now().pick_token(random);
    if truth.now().begin_revoking(&token) {
        homeserver.log_out(&token);
        truth.now().end_revoking(&token);
    }
    let token = homeserver.log_in();
    truth.now().add_token(token);
}

fn flip_media(truth: &Truth, homeserver: &dyn Homeserver, random: &mut Random) {
    let (id, is_there) = truth.now().begin_flipping(random);
    homeserver.show(&id, is_there);
    truth.now().end_flipping(&id);
}
