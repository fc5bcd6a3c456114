//! Faults on demand: named ones from the catalogue, and rules that hit any single call.

mod calls;
mod catalogue;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use calls::CallFault;
use calls::Rule;
use catalogue::{CATALOGUE, Known};

use crate::error::LabError;

/// A fault, and whether it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultStatus {
    /// Whose fault.
    pub vendor: String,
    /// Its name; `call <matcher>` for a rule on single calls.
    pub name: String,
    /// What it does, in one line.
    pub description: String,
    /// Whether it is in force.
    pub active: bool,
    /// How often it has fired.
    pub fired: u64,
}

/// All faults of a lab.
#[derive(Default)]
pub(crate) struct Faults {
    board: Mutex<Board>,
}

#[derive(Default)]
struct Board {
    active: BTreeMap<(&'static str, &'static str), Strikes>,
    fired: BTreeMap<(&'static str, &'static str), u64>,
    rules: Vec<Rule>,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strikes {
    /// So many times that it could, it does not.
    pub(crate) skip: u32,
    /// Then so many times that it could, it does; `None` is until mended.
    pub(crate) left: Option<u32>,
}

impl Strikes {
    const fn is_in_force(&self) -> bool {
        !matches!(self.left, Some(0))
    }

    /// Whether it strikes this time; counts that.
    fn next(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let strikes = self.is_in_force();
        self.left = self.left.map(|left| left.saturating_sub(1));
        strikes
    }
}

impl Faults {
    /// Puts a fault in force.
    pub(crate) fn inject(
        &self,
        vendor: &str,
        fault: &str,
        strikes: Strikes,
    ) -> Result<(), LabError> {
        let known = find(vendor, fault)?;
        self.board().active.insert(known.key(), strikes);
        Ok(())
    }

    /// Puts a rule for single calls in force.
    pub(crate) fn rule(
        &self,
        vendor: &str,
        matcher: &str,
        effect: CallFault,
        times: Option<u32>,
    ) -> Result<(), LabError> {
        let vendor = CATALOGUE
            .iter()
            .map(|known| known.vendor)
            .find(|known| *known == vendor)
            .ok_or_else(|| unknown(vendor, matcher))?;
        self.board().rules.push(Rule::new(vendor, matcher, effect, times));
        Ok(())
    }

    /// Whether the fault strikes now; counts the strike.
    pub(crate) fn fires(&self, vendor: &'static str, fault: &'static str) -> bool {
        debug_assert!(find(vendor, fault).is_ok(), "{vendor}/{fault} is not in the catalogue");
        let mut board = self.board();
        let strikes = board.active.get_mut(&(vendor, fault)).is_some_and(Strikes::next);
        if strikes {
            *board.fired.entry((vendor, fault)).or_default() += 1;
        }
        strikes
    }

    /// Whether the fault is in force, without counting.
    pub(crate) fn holds(&self, vendor: &'static str, fault: &'static str) -> bool {
        self.board().active.get(&(vendor, fault)).is_some_and(Strikes::is_in_force)
    }

    /// What strikes this very call, if a rule does; counts the strike.
    pub(crate) fn on_call(&self, vendor: &str, method: &str, path: &str) -> Option<CallFault> {
        self.board().rules.iter_mut().find_map(|rule| rule.strike(vendor, method, path))
    }

    /// Ends every fault and rule.
    pub(crate) fn mend(&self) {
        let mut board = self.board();
        board.active.clear();
        board.rules.clear();
    }

    /// Ends one fault.
    pub(crate) fn mend_one(&self, vendor: &str, fault: &str) {
        self.board().active.retain(|(of, name), _| *of != vendor || *name != fault);
    }

    /// Ends every fault and rule of one vendor.
    pub(crate) fn mend_vendor(&self, vendor: &str) {
        let mut board = self.board();
        board.active.retain(|(of, _), _| *of != vendor);
        board.rules.retain(|rule| !rule.is_of(vendor));
    }

    /// Forgets everything, counters too.
    pub(crate) fn clear(&self) {
        *self.board() = Board::default();
    }

    /// The catalogue with what is in force, then the rules.
    pub(crate) fn status(&self) -> Vec<FaultStatus> {
        let board = self.board();
        let named = CATALOGUE.iter().map(|known| FaultStatus {
            vendor: known.vendor.to_owned(),
            name: known.name.to_owned(),
            description: known.says.to_owned(),
            active: board.active.get(&known.key()).is_some_and(Strikes::is_in_force),
            fired: board.fired.get(&known.key()).copied().unwrap_or(0),
        });
        named.chain(board.rules.iter().map(Rule::status)).collect()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(vendor: &str, fault: &str) -> Result<&'static Known, LabError> {
    CATALOGUE
        .iter()
        .find(|known| known.vendor == vendor && known.name == fault)
        .ok_or_else(|| unknown(vendor, fault))
}

fn unknown(vendor: &str, fault: &str) -> LabError {
    let names: Vec<_> =
        CATALOGUE.iter().map(|known| format!("{}/{}", known.vendor, known.name)).collect();
    LabError::UnknownFault {
        vendor: vendor.to_owned(),
        fault: fault.to_owned(),
        known: names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{Faults, Strikes};

    #[test]
    fn a_fault_strikes_as_often_as_asked_and_not_before() {
        let faults = Faults::default();
        let strikes = Strikes { skip: 2, left: Some(1) };
        faults.inject("vault", "sealed", strikes).expect("a fault");
        assert!(faults.holds("vault", "sealed"), "it is yet to come");
        let seen = [(); 5].map(|()| faults.fires("vault", "sealed"));
        assert_eq!(seen, [false, false, true, false, false]);
        assert!(!faults.holds("vault", "sealed"));
    }
}
