//! The targets, played with what libFuzzer has found to be of interest, and with inputs made of it.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::{fs, thread};

use fuzz::{TARGETS, Target};
use model::random::Random;

/// How many inputs are made for each target.
const FRESH: u64 = 3_000;

#[test]
fn no_known_and_no_fresh_input_breaks_a_claim() {
    let (corpora, words) = (corpora(), words());
    thread::scope(|scope| {
        for (name, target) in TARGETS {
            let (known, words) = (&corpora[name], &words);
            scope.spawn(move || {
                known.iter().for_each(|input| play(name, target, input));
                for seed in 0..FRESH {
                    play(name, target, &fresh(&mut Random::new(seed), known, words));
                }
            });
        }
    });
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let corpora = corpora();
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert!(corpora.keys().eq(&names), "{:?} for {names:?}", corpora.keys());
    assert!(corpora.values().all(|inputs| inputs.len() > 1));
}

fn play(name: &str, target: Target, input: &[u8]) {
    let is_right = catch_unwind(|| target(input)).is_ok();
    assert!(is_right, "{name} fails with the input \"{}\"", input.escape_ascii());
}

/// All that is kept, by the name of the target: in each file a line for each input.
fn corpora() -> BTreeMap<String, Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let files = fs::read_dir(folder).expect("corpora").map(|entry| entry.expect("a file").path());
    files
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a corpus");
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a target's name");
            (name.to_owned(), text.lines().map(unescaped).collect())
        })
        .collect()
}

/// The words that libFuzzer is given.
fn words() -> Vec<Vec<u8>> {
    let text = include_str!("../words.dict");
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

/// Undoes [`slice::escape_ascii`].
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut unescaped = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            unescaped.push(byte);
            continue;
        }
        unescaped.push(match bytes.next().expect("an escape") {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("a digit"));
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hexadecimal")
            }
            byte => byte,
        });
    }
    unescaped
}

/// A known input, changed here and there.
fn fresh(random: &mut Random, known: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(known);
    for _ in 0..=random.below(3) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(8)).min(input.len());
        let other = random.pick(known);
        match random.below(5) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, random.pick(words))),
            2 => drop(input.splice(at..end, random.pick(words))),
            3 => drop(input.splice(at.., other[random.below(other.len() + 1)..].to_vec())),
            _ if at < input.len() && random.once_in(2) => input[at] ^= 1 << random.below(8),
            _ => input.insert(at, b'0' + random.below(10) as u8),
        }
    }
    input
}
