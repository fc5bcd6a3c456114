//! The promises of the read model.

use stead_schemas::ids::{Partition, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary};
use stead_schemas::time::Timestamp;

use super::log::fresh_run;
use crate::ports::Index;

const ONE: Partition = Partition(0);
const OTHER: Partition = Partition(1);
/// A number of two bytes.
const FAR: Partition = Partition(0x0101);

/// Checks every promise of an index that nobody else uses. `lose` is the means of a test to lose
/// all that is in it.
pub fn check_index(index: &dyn Index, lose: &dyn Fn()) {
    what_was_put_is_listed(index);
    a_list_is_read_in_pages(index);
    a_newer_line_takes_the_place_of_the_older(index);
    partitions_are_apart(index);
    a_deleted_index_says_so_and_can_be_filled_again(index, lose);
}

/// Some lines of runs that nobody else has, in the order of their runs' ids.
fn lines(count: usize) -> Vec<RunSummary> {
    let mut lines: Vec<RunSummary> =
        std::iter::repeat_with(fresh_run).map(line).take(count).collect();
    lines.sort_by(|one, other| one.run.cmp(&other.run));
    lines
}

fn line(run: RunId) -> RunSummary {
    let owner = Owner::new("john").expect("a good owner");
    RunSummary {
        kind: "probe".into(),
        owner,
        name: run.to_string(),
        state: RunState::Running,
        phase: "ready".into(),
        waiting: "a step (no worker): ä\u{0}\n".into(),
        started: Timestamp::from_millis(-1),
        updated: Timestamp::from_millis(1_700_000_000_000),
        transitions: 3,
        run,
    }
}

fn all(index: &dyn Index, partition: Partition) -> Option<Vec<RunSummary>> {
    index.list(partition, None, usize::MAX)
}

/// All of it, to the last letter, in the order of the runs' ids; however it came.
pub fn what_was_put_is_listed(index: &dyn Index) {
    index.clear(ONE);
    assert_eq!(all(index, ONE), Some(Vec::new()));
    let lines = lines(1_000);
    let mut mixed = lines.clone();
    mixed.reverse();
    for some in mixed.chunks(300) {
        assert!(index.put(ONE, some.to_vec()), "nothing was lost");
    }
    // Too many to be shown where they differ.
    assert!(all(index, ONE) == Some(lines), "other lines are listed than were put");
    index.clear(ONE);
    assert_eq!(all(index, ONE), Some(Vec::new()), "what was cleared is gone");
}

/// Whoever asks for what comes behind the last line that he has seen sees each once.
pub fn a_list_is_read_in_pages(index: &dyn Index) {
    index.clear(ONE);
    index.clear(OTHER);
    let lines = lines(10);
    index.put(ONE, lines.clone());
    index.put(OTHER, self::lines(10));
    let page = |after: Option<usize>, most| {
        index.list(ONE, after.map(|after| &lines[after].run), most).expect("nothing was lost")
    };
    assert_eq!(page(None, 4), lines[..4]);
    assert_eq!(page(Some(3), 4), lines[4..8]);
    assert_eq!(page(Some(7), 4), lines[8..]);
    assert_eq!(page(Some(9), 4), []);
    assert_eq!(page(None, 0), []);
    // Whoever was seen last may be gone: what comes behind its id is asked for.
    let between = fresh_run();
    let behind: Vec<RunSummary> = lines.iter().filter(|line| line.run > between).cloned().collect();
    assert_eq!(index.list(ONE, Some(&between), 20), Some(behind));
}

/// A run has one line.
pub fn a_newer_line_takes_the_place_of_the_older(index: &dyn Index) {
    index.clear(ONE);
    let mut lines = lines(3);
    index.put(ONE, lines.clone());
    lines[1].state = RunState::Failed;
    lines[1].waiting = String::new();
    index.put(ONE, vec![lines[1].clone()]);
    assert_eq!(all(index, ONE), Some(lines));
}

/// Whoever clears one, clears no other.
pub fn partitions_are_apart(index: &dyn Index) {
    let of = [ONE, OTHER, FAR].map(|partition| (partition, lines(3)));
    for (partition, lines) in &of {
        index.clear(*partition);
        index.put(*partition, lines.clone());
    }
    for (partition, lines) in &of {
        assert_eq!(all(index, *partition).as_ref(), Some(lines));
    }
    index.clear(OTHER);
    for (partition, lines) in of {
        let left = if partition == OTHER { Vec::new() } else { lines };
        assert_eq!(all(index, partition), Some(left));
    }
}

/// Each partition is told until it has cleared its part: the lines that were put meanwhile are
/// not all.
pub fn a_deleted_index_says_so_and_can_be_filled_again(index: &dyn Index, lose: &dyn Fn()) {
    let lines = lines(3);
    for partition in [ONE, OTHER] {
        index.clear(partition);
        assert!(index.put(partition, lines.clone()));
    }
    lose();
    for partition in [ONE, OTHER] {
        assert_eq!(all(index, partition), None);
        assert!(!index.put(partition, lines[..1].to_vec()));
        assert_eq!(all(index, partition), None, "it lacks lines");
        index.clear(partition);
        assert_eq!(all(index, partition), Some(Vec::new()));
        assert!(index.put(partition, lines.clone()));
        assert_eq!(all(index, partition).as_ref(), Some(&lines));
    }
}
