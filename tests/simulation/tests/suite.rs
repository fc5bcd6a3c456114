//! Five hundred worlds, as a part of the ordinary tests; `ops/simulate` lets more live.

use stead_simulation::simulate;

#[test]
fn no_rule_is_broken_in_any_of_these_worlds() {
    for seed in 1..=500 {
        let outcome = simulate(seed);
        let tail = outcome.trace.len().saturating_sub(40);
        assert_eq!(
            outcome.violation,
            None,
            "ops/simulate --seed {seed}\n{}",
            outcome.trace[tail..].join("\n")
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in [7, 77, 777] {
        let (once, again) = (simulate(seed), simulate(seed));
        let differ = once.trace.iter().zip(&again.trace).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(once, again, "seed {seed}");
    }
}
