//! The door of what is asked about the snapshots of a machine.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::workspace::{
    DESCRIPTION_MAX, NameSnapshot, NameWorkspace, Phase, SNAPSHOT_MAX, SNAPSHOTS_MAX,
    SnapshotWorkspace, Taken, WorkspaceView,
};
use stead_schemas::refusal::Refusal;

use super::{check_phase, living, order, plan};
use crate::as_value;
use crate::plan::planned;

/// Names that mean something else at Proxmox: the machine as it is now, what changes in it at its next
/// start, and what a backup works with.
const RESERVED: [&str; 3] = ["current", "pending", "vzdump"];

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    match admission.verb {
        "snapshot" => take(admission),
        "snapshots" => {
            Fields::of(admission.fields).finish()?;
            there(admission)?;
            Ok(order(&NameWorkspace { id: None, name: admission.name.to_string() }))
        }
        _ => name_one(admission),
    }
}

fn take(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let snapshot = fields.optional_text("snapshot")?.map(ToString::to_string);
    let description = fields.optional_text("description")?.map(ToString::to_string);
    fields.finish()?;
    let view = there(admission)?;
    if let Some(name) = &snapshot {
        check_name(name)?;
    }
    let is_line = |text: &str| {
        let length = text.chars().count();
        (1..=DESCRIPTION_MAX).contains(&length) && !text.chars().any(char::is_control)
    };
    if description.as_deref().is_some_and(|text| !is_line(text)) {
        let words = format!("a description is one line of 1 to {DESCRIPTION_MAX} characters");
        return Err(Refusal::new("snapshot.description-invalid", words).field("description"));
    }
    let name = admission.name.to_string();
    let ask = SnapshotWorkspace { id: None, name, snapshot, description };
    let after = SNAPSHOTS_MAX.saturating_sub(view.snapshots.len() + 1);
    let plan = [
        Some(format!(
            "{}: kept as it is, without its memory, in {}; {after} more may be kept then",
            plan::machine(&view),
            ask.snapshot.as_deref().unwrap_or("a snapshot")
        )),
        Some(format!("{}: not in it", plan::outside(&view))),
    ];
    Ok(order(&planned(as_value(&ask), plan)))
}

/// Proxmox takes capitals, too, and nothing that is shorter than two.
fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let is_good = (2..=SNAPSHOT_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain);
    let words = if !is_good {
        format!(
            "a snapshot's name has 2 to {SNAPSHOT_MAX} of a-z, 0-9, _ and -, and begins with a letter"
        )
    } else if RESERVED.contains(&name) {
        format!("Proxmox means something else by {name}; choose another name")
    } else {
        return Ok(());
    };
    Err(Refusal::new("snapshot.name-invalid", words).field("snapshot"))
}

/// A drop or a rollback.
fn name_one(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let snapshot = fields.text("snapshot")?.to_string();
    fields.finish()?;
    let view = there(admission)?;
    let Some(at) = view.snapshots.iter().position(|taken| taken.snapshot == snapshot) else {
        let words = match names(&view.snapshots) {
            Some(names) => {
                format!("nobody has asked for a snapshot of this name; there are: {names}")
            }
            None => "nobody has asked for a snapshot of this machine".into(),
        };
        return Err(Refusal::new("snapshot.unknown", words).field("snapshot"));
    };
    let (taken, later) = (&view.snapshots[at], &view.snapshots[at + 1..]);
    let ask = NameSnapshot { id: None, name: admission.name.to_string(), snapshot };
    Ok(order(&match admission.verb {
        "drop" => planned(as_value(&ask), of_drop(&view, taken)),
        _ => planned(as_value(&ask), of_rollback(&view, taken, later)),
    }))
}

fn of_drop(view: &WorkspaceView, taken: &Taken) -> [Option<String>; 2] {
    [
        Some(format!(
            "snapshot {} of {}: deleted; nobody can go back to it any more",
            taken.snapshot, taken.at
        )),
        Some(format!("{}: stays as it is", plan::machine(view))),
    ]
}

fn of_rollback(view: &WorkspaceView, taken: &Taken, later: &[Taken]) -> [Option<String>; 4] {
    let Taken { snapshot, at, .. } = taken;
    let later = names(later).map(|names| {
        format!(
            "snapshots taken later ({names}): kept; a storage that goes back to the latest one only, \
             as ZFS does, refuses until they are dropped"
        )
    });
    let is_on = view.phase == Phase::Ready;
    [
        Some(format!(
            "{}: what was written to its own disk since {at} is lost; it is as in {snapshot}, but for \
             cores, memory and the size of its disk",
            plan::machine(view)
        )),
        is_on.then(|| "workspace: stopped for it, and started again".into()),
        Some(format!("{}: stays as it is", plan::outside(view))),
        later,
    ]
}

fn names(taken: &[Taken]) -> Option<String> {
    let names: Vec<&str> = taken.iter().map(|taken| taken.snapshot.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn there(admission: &Admission<'_>) -> Result<WorkspaceView, Refusal> {
    let view = living(admission)?;
    check_phase(admission, &view)?;
    Ok(view)
}
