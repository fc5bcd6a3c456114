//! Pages of lists: as many lines as one message carries.

use stead_schemas::public::{RunPage, RunSummary};

use crate::inbound::encoded;

/// The most bytes of lines in one page: half of what the server lets a message have.
const PAGE_BYTES_MAX: usize = 512 * 1024;
/// The most lines in one page; as many are read at once.
pub const PAGE_LINES_MAX: usize = 1_000;

/// The page that begins with these lines, at least one line long if there is one.
#[must_use]
pub fn page(mut lines: Vec<RunSummary>) -> RunPage {
    let (fits, all) = (fitting(&lines), lines.len());
    lines.truncate(fits);
    RunPage { lines, more: fits < all, upto: None }
}

/// How many of these lines make a page.
#[must_use]
pub fn fitting(lines: &[RunSummary]) -> usize {
    let mut bytes = 0;
    let fits = lines.iter().take(PAGE_LINES_MAX).take_while(|line| {
        let first = bytes == 0;
        bytes += encoded(line).len() + 1;
        first || bytes <= PAGE_BYTES_MAX
    });
    fits.count()
}

#[cfg(test)]
mod tests {
    use stead_schemas::ids::EntityKey;
    use stead_schemas::owner::Owner;
    use stead_schemas::public::{RunState, RunSummary};
    use stead_schemas::time::Timestamp;

    use super::{PAGE_BYTES_MAX, PAGE_LINES_MAX, page};
    use crate::inbound::encoded;

    fn line(number: usize, waiting: usize) -> RunSummary {
        let owner = Owner::new("john").expect("a name");
        let name = format!("w{number}");
        RunSummary {
            run: EntityKey::of("workspace", &owner, &name).run(1),
            kind: "workspace".into(),
            owner,
            name,
            state: RunState::Running,
            phase: "ready".into(),
            waiting: "x".repeat(waiting),
            started: Timestamp::from_millis(1),
            updated: Timestamp::from_millis(2),
            transitions: 3,
        }
    }

    fn check(lines: &[RunSummary]) {
        let mut all = lines.to_vec();
        all.sort_by(|one, other| one.run.cmp(&other.run));
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let behind = all.iter().filter(|line| after.as_ref().is_none_or(|id| line.run > *id));
            let page = page(behind.take(PAGE_LINES_MAX + 1).cloned().collect());
            assert!(page.lines.len() <= PAGE_LINES_MAX);
            assert!(page.lines.len() <= 1 || encoded(&page).len() <= PAGE_BYTES_MAX + 100);
            after = page.lines.last().map(|line| line.run.clone());
            seen.extend(page.lines);
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn the_pages_together_are_the_list_and_each_fits_into_a_message() {
        check(&[]);
        check(&[line(1, 0)]);
        check(&(0..5_000).map(|number| line(number, 10)).collect::<Vec<_>>());
        // One line alone that is larger than a page is still told.
        check(&[line(1, PAGE_BYTES_MAX + 1), line(2, PAGE_BYTES_MAX + 1), line(3, 0)]);
    }
}
