//! What was done at the vendors', and that nothing was done twice.

use std::collections::BTreeMap;

use stead_lab::Effect;

/// No effect of one kind happened twice to the same thing.
pub fn check_once(effects: &[Effect], story: &str) {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for effect in effects {
        let what = (effect.vendor.as_str(), effect.kind.as_str(), effect.subject.as_str());
        *counts.entry(what).or_default() += 1;
    }
    let twice: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(twice.is_empty(), "{story}: more than once: {twice:?}\n{effects:#?}");
}

/// How many effects of a kind there are.
pub fn count(effects: &[Effect], kind: &str) -> usize {
    effects.iter().filter(|effect| effect.kind == kind).count()
}
