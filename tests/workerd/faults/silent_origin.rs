//! An origin that falls silent at any stage: the slowest part of the table of faults, 93 s long.
//!
//! Tests start in the order of their names, and this one must not be among the last.

use crate::faults;

#[test]
fn clients_wait_no_longer_than_stated() {
    faults::play_at_once("clients_wait_no_longer_than_stated");
}
