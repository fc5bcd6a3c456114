//! What every workflow is tried with, and what must hold afterwards.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::kit::{Ended, Kit, Played};
use crate::play::play;
use crate::story::bare;
use crate::trouble::{Lapse, Trouble, Twice, Which};
use crate::world::World;

/// Plays the kit with every trouble there is. After each command the world must be as it was
/// before, if the command failed, and as it is when all goes well, if it did not: empty or
/// complete, never half-way.
///
/// Tried are: each step failing before its effect, failing after it, and answered to nobody; a
/// cancel before each step and wherever the run waits, also while time passes; each of these with
/// every run lost at every append and every step and undo carried out and answered twice.
///
/// # Panics
/// In words that name the trouble and tell the story, if the workflow does not survive it.
pub fn survives<W: World>(kit: &Kit<W>) {
    let (steps, cancels, well) = all_goes_well(kit);
    for trouble in troubles(steps, cancels) {
        check(kit, &well, &trouble);
    }
}

/// Checks what happens when all goes well. The story is that of the entity that is spoken to
/// first; how its lines are indented and spaced is left to the writer.
///
/// # Panics
/// If another story is told; it is shown.
pub fn tells<W: World>(kit: &Kit<W>, story: &str) {
    tells_of(kit, &Trouble::default(), story);
}

/// Checks what happens in this trouble.
///
/// # Panics
/// If another story is told; it is shown.
pub fn tells_of<W: World>(kit: &Kit<W>, trouble: &Trouble, story: &str) {
    let (stage, _) = kit.play(trouble);
    let told = kit.hero().map(|hero| stage.story(&hero)).unwrap_or_default();
    let (told_bare, wanted) = (bare(&told), bare(story));
    let same = told_bare.iter().zip(&wanted).take_while(|(told, wanted)| told == wanted).count();
    let at = |lines: &[String]| lines.get(same).cloned().unwrap_or("(nothing)".to_string());
    assert!(
        told_bare == wanted,
        "{trouble}: the story is another one from line {} on:\n  wanted  {}\n  told    {}\n\n{told}",
        same + 1,
        at(&wanted),
        at(&told_bare),
    );
}

/// How many steps there are, how often the run could be cancelled, and what comes of each moment.
fn all_goes_well<W: World>(kit: &Kit<W>) -> (usize, usize, Vec<Played>) {
    let trouble = Trouble::default();
    let (player, well) = play(kit, &trouble);
    for (moment, played) in kit.moments().iter().zip(&well) {
        let Played { what, ended, after, .. } = played;
        assert!(ended.is_well(), "{what} should go well, and is {ended}");
        if let Some(leaves) = &moment.leaves {
            assert_eq!(after, leaves, "what {what} leaves behind");
        }
    }
    (player.stage.asked(), player.cancels, well)
}

fn troubles(steps: usize, cancels: usize) -> impl Iterator<Item = Trouble> {
    let faults = (0..steps).flat_map(|step| {
        Lapse::ALL.map(|lapse| Trouble::fault(Which::Nth(step), lapse)).into_iter()
    });
    let cancels = (0..cancels).map(Trouble::cancel_after);
    let alone = faults.chain(cancels).chain([Trouble::default()]);
    alone.flat_map(|trouble| {
        [
            trouble.clone(),
            trouble.clone().crash(),
            trouble.clone().twice(Twice::Undo),
            trouble.clone().twice(Twice::Steps),
            trouble.twice(Twice::All).crash(),
        ]
    })
}

fn check<W: World>(kit: &Kit<W>, well: &[Played], trouble: &Trouble) {
    let (stage, played) = kit.play(trouble);
    let mut all_well = true;
    for (at, (played, well_played)) in played.iter().zip(well).enumerate() {
        let Played { what, ended, before, after } = played;
        let is_last = at + 1 == well.len();
        let right = match (ended.is_well(), all_well) {
            (true, true) => after == &well_played.after,
            (true, false) if is_last => is_over(well, after),
            // What follows a failure may find less to do, but leaves nothing half-way.
            (true, false) => is_rest(well, after),
            (false, _) if *ended == Ended::Interrupted => is_rest(well, after),
            (false, _) => after == before,
        };
        all_well &= ended.is_well();
        let story = || kit.hero().map(|hero| stage.story(&hero)).unwrap_or_default();
        assert!(
            right,
            "{trouble}: {what} is {ended}\n  there was      {before:?}\n  there is       {after:?}\n  \
             all well leaves {:?}\n\n{}",
            well_played.after,
            story()
        );
    }
}

/// Whether a play that goes well stands still in such a world, too.
fn is_rest(well: &[Played], world: &BTreeSet<String>) -> bool {
    well.iter().any(|played| [&played.before, &played.after].contains(&world))
}

/// Whether a play that goes well begins or ends in such a world.
fn is_over(well: &[Played], world: &BTreeSet<String>) -> bool {
    let (first, last) = (well.first(), well.last());
    first.is_some_and(|first| &first.before == world)
        || last.is_some_and(|last| &last.after == world)
}
