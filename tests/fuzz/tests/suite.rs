//! A dose of what `ops/fuzz` does at length, with any compiler: each target takes its seeds as they
//! are, and damaged as a bus, a disk or an enemy would damage them.

use std::fs;
use std::path::Path;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use stead_fuzz::{TARGETS, Target};

/// So many damaged inputs a target.
const DAMAGED: u32 = 400;
/// What an input is made of at most; a history is larger, and is cut.
const BYTES_MAX: usize = 64 * 1024;

/// What happens to an input.
#[derive(Clone, Debug)]
enum Damage {
    Flipped(Index, u8),
    Inserted(Index, Vec<u8>),
    /// From here, so many bytes.
    Gone(Index, u8),
    /// From here, so many bytes once more.
    Twice(Index, u8),
    Cut(Index),
    /// Another seed from here on.
    Spliced(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    use Damage::{Cut, Flipped, Gone, Inserted, Spliced, Twice};
    proptest::prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Flipped(at, bits)),
        (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Inserted(at, bytes)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Gone(at, length)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Twice(at, length)),
        any::<Index>().prop_map(Cut),
        (any::<Index>(), any::<Index>(), any::<Index>())
            .prop_map(|(at, other, from)| Spliced(at, other, from)),
    ]
}

fn damaged(seeds: &[Vec<u8>], seed: Index, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = seed.get(seeds).clone();
    for damage in damages {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match damage {
            Damage::Flipped(at, bits) => {
                let place = place(at);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bits;
                }
            }
            Damage::Inserted(at, new) => {
                let place = place(at);
                bytes.splice(place..place, new.iter().copied());
            }
            Damage::Gone(at, length) => {
                let place = place(at);
                bytes.drain(place..bytes.len().min(place + usize::from(*length)));
            }
            Damage::Twice(at, length) => {
                let place = place(at);
                let again = bytes[place..bytes.len().min(place + usize::from(*length))].to_vec();
                bytes.splice(place..place, again);
            }
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Spliced(at, other, from) => {
                let other = other.get(seeds);
                bytes.truncate(place(at));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(target.seeds);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("{} has seeds", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// Tries the target with its seeds, and with what becomes of them.
fn feed(target: &Target) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{} has no seed", target.name);
    seeds.iter().for_each(|seed| (target.tries)(seed));
    let config = Config { cases: DAMAGED, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(any::<Index>(), vec(damage(), 1..6)), |(seed, damages)| {
            (target.tries)(&damaged(&seeds, seed, &damages));
            Ok(())
        })
        .unwrap_or_else(|broken| panic!("{} broke: {broken}", target.name));
}

#[test]
fn no_target_breaks_by_its_seeds_or_what_is_left_of_them() {
    thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(|| feed(target));
        }
    });
}
