//! How much of the refusals' stream one owner may fill: it is bounded, and what comes last stays. Nobody
//! pushes out what others were refused, and the inbox, of whose refusals nobody else hears.

use std::collections::HashMap;

use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;

/// So many refusals of an owner are kept in a minute; at that rate one engine keeps some 120 MB a week,
/// of 256.
const A_MINUTE: u32 = 20;
/// Of so many owners in a minute; owners that do not exist are asked for, too.
const OWNERS_MAX: usize = 1_024;
const MINUTE_MS: i64 = 60_000;

/// What has been kept in this minute.
#[derive(Default)]
pub(super) struct Spared {
    minute: i64,
    kept: HashMap<Option<Owner>, u32>,
}

impl Spared {
    /// Whether another refusal of this owner's is kept.
    pub(super) fn takes(&mut self, owner: Option<&Owner>, now: Timestamp) -> bool {
        let minute = now.as_millis().div_euclid(MINUTE_MS);
        if minute != self.minute {
            *self = Self { minute, kept: HashMap::new() };
        }
        let owner = owner.cloned();
        if self.kept.len() >= OWNERS_MAX && !self.kept.contains_key(&owner) {
            return false;
        }
        let kept = self.kept.entry(owner).or_default();
        *kept += 1;
        *kept <= A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_fills_so_much_in_a_minute_and_leaves_the_others_theirs() {
        let (mut spared, now) = (Spared::default(), Timestamp::from_millis(90_000));
        let [john, ann] = ["john", "ann"].map(|name| Owner::new(name).unwrap());
        let taken = (0..100).filter(|_| spared.takes(Some(&john), now)).count();
        assert_eq!(taken, 20);
        assert!(spared.takes(Some(&ann), now) && spared.takes(None, now));
        let next_minute = Timestamp::from_millis(120_000);
        assert!(!spared.takes(Some(&john), Timestamp::from_millis(119_999)));
        assert!(spared.takes(Some(&john), next_minute));
    }

    #[test]
    fn owners_that_nobody_knows_fill_no_memory() {
        let (mut spared, now) = (Spared::default(), Timestamp::from_millis(90_000));
        let owners = (0..5_000).map(|n| Owner::new(format!("nobody-{n}")).unwrap());
        assert_eq!(owners.filter(|owner| spared.takes(Some(owner), now)).count(), OWNERS_MAX);
    }
}
