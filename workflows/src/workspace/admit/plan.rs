//! What an order will do, in words, for whoever asks before it is given and for whoever reads the
//! history. Only what changes or destroys a machine has a plan.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use stead_schemas::command::workspace::{Phase, WorkspaceView};
use stead_schemas::site::{CloneKind, Guest, Network, System, Template};

use crate::plan::span;

/// What a delete does.
pub(super) fn of_delete(view: &WorkspaceView, now: bool, grace_seconds: u64) -> Vec<String> {
    if let Phase::Creating | Phase::Stuck = view.phase {
        return of_unfinished(view, grace_seconds);
    }
    let home = view.home_source.as_deref().unwrap_or("of its owner");
    let grace = span(grace_seconds);
    let home = match (now, grace_seconds) {
        (true, _) => format!(
            "home {home}: kept while another workspace uses it (one that is deleted and could still \
             be brought back does not count); otherwise it is destroyed at once with all that is in it"
        ),
        (false, 0) => format!(
            "home {home}: kept while another workspace uses it; with the last one it is destroyed at \
             once, as the site grants no time of grace"
        ),
        (false, _) => format!(
            "home {home}: kept while another workspace uses it, and for {grace} after the last one"
        ),
    };
    let home = [home].into_iter().chain(volume(view, now, grace_seconds)).collect::<Vec<_>>();
    let no_more = || "workspace: it cannot be brought back any more".to_string();
    match view.phase {
        Phase::Deleted => return [home, vec![no_more()]].concat(),
        Phase::Undeleting => {
            let undelete = "undelete: taken back with all that it has made".to_string();
            return match now {
                true => [vec![undelete], home, vec![no_more()]].concat(),
                false => {
                    vec![undelete, "workspace: it stays deleted, as it was before".to_string()]
                }
            };
        }
        _ => {}
    }
    let back = match (now, grace_seconds) {
        (true, _) | (false, 0) => "workspace: it cannot be brought back".to_string(),
        (false, _) => format!("workspace: it can be brought back for {grace}, with a new machine"),
    };
    let machine = format!(
        "{}: shut down and destroyed; what lies outside {} is lost",
        machine(view),
        outside(view)
    );
    let machine = [machine].into_iter().chain(snapshots(view)).collect::<Vec<_>>();
    [machine, vec!["Coder workspace: deleted".to_string()], home, vec![back]].concat()
}

/// What is not on its machine.
pub(super) fn outside(view: &WorkspaceView) -> &'static str {
    if view.size.volume_gb.is_some() { "home and volume" } else { "the home" }
}

/// What becomes of the machine's snapshots when it goes, if it has any.
fn snapshots(view: &WorkspaceView) -> Option<String> {
    let names: Vec<&str> = view.snapshots.iter().map(|taken| taken.snapshot.as_str()).collect();
    let names = Some(names.join(", ")).filter(|_| !names.is_empty())?;
    Some(format!("its snapshots ({names}): destroyed with it; the next machine has none"))
}

/// What becomes of its volume, if it has one.
fn volume(view: &WorkspaceView, now: bool, grace_seconds: u64) -> Option<String> {
    let size = view.size.volume_gb?;
    Some(match (now, grace_seconds) {
        (true, _) | (false, 0) => {
            format!("volume of {size} GiB: destroyed at once with all that is in it")
        }
        (false, _) => format!("volume of {size} GiB: kept for {}", span(grace_seconds)),
    })
}

/// What a delete does to a create that is under way or waits, with or without `now`: what it has
/// made is taken back as if it had failed.
fn of_unfinished(view: &WorkspaceView, grace_seconds: u64) -> Vec<String> {
    let create = match view.phase {
        Phase::Stuck => {
            "create: taken back with all that it has made; its name is free again, unless it was \
             an undelete: then the workspace stays deleted"
        }
        _ => "create: taken back with all that it has made; its name is free again",
    };
    let home = match grace_seconds {
        0 => {
            "home: destroyed, unless another workspace uses it or it was promised to be kept".into()
        }
        _ => format!("home: kept for {}, and while another workspace uses it", span(grace_seconds)),
    };
    let volume = volume(view, false, grace_seconds);
    [create.to_string(), home].into_iter().chain(volume).collect()
}

/// What a rebuild does.
pub(super) fn of_rebuild(view: &WorkspaceView, template: Option<&Template>) -> Vec<String> {
    let mut plan = template.map_or_else(Vec::new, |template| changes(view, template));
    let from = template.map_or(view.template.as_str(), |template| template.name.as_str());
    let home = view.home_source.as_deref().unwrap_or("of its owner");
    plan.extend([
        format!("new machine: made from {from} on the node with the most free memory"),
        format!(
            "{}: destroyed once the new one answers; what lies outside the home is lost",
            machine(view)
        ),
        format!("home {home}: kept"),
    ]);
    plan.extend(snapshots(view));
    let coder = template.map(|template| &template.coder_template);
    let coder = coder.or(view.made_from.as_ref().map(|made| &made.coder_template));
    plan.extend(coder.map(|name| format!("Coder workspace: the active version of {name}")));
    plan.extend(view.size.volume_gb.map(|size| format!("volume of {size} GiB: kept")));
    if view.phase == Phase::Ready {
        plan.push("workspace: away while the machines change places".to_string());
    }
    plan
}

/// What is different in a template from what the machine was made from. Machines of older
/// builds do not say what they were made from.
fn changes(view: &WorkspaceView, template: &Template) -> Vec<String> {
    let name = &template.name;
    let Some(made) = &view.made_from else {
        return vec![format!("template: {name}, VMID {}", template.vmid)];
    };
    let mut changes = Vec::new();
    let mut compare = |what: &str, old: String, new: String| {
        if old != new {
            changes.push(format!("{what}: {old} becomes {new}"));
        }
    };
    compare("template", view.template.clone(), name.clone());
    compare("VMID of the template", made.vmid.to_string(), template.vmid.to_string());
    compare("disk in GiB", made.disk_gb.to_string(), template.disk_gb.to_string());
    compare("Coder template", made.coder_template.clone(), template.coder_template.clone());
    compare("guest", guest(view.guest), guest(template.guest));
    if made.coder_version.is_some() {
        compare("disk", disk(made.clone_kind), disk(template.clone_kind));
        compare("network", network(made.network.as_ref()), network(template.network.as_ref()));
    }
    changes
}

fn guest(guest: Guest) -> String {
    let system = match guest.system {
        System::Linux => "Linux",
        System::Windows => "Windows",
    };
    let docker = guest.docker.then_some(" with Docker");
    let desktop = guest.desktop.then_some(" with a desktop");
    [Some(system), docker, desktop].into_iter().flatten().collect()
}

fn disk(kind: CloneKind) -> String {
    let words = match kind {
        CloneKind::Full => "copied from the template",
        CloneKind::Linked => "linked to the template",
    };
    words.to_string()
}

fn network(network: Option<&Network>) -> String {
    match network {
        None => "the template's own".to_string(),
        Some(Network { bridge, vlan: None }) => bridge.clone(),
        Some(Network { bridge, vlan: Some(vlan) }) => format!("{bridge}, VLAN {vlan}"),
    }
}

/// Whether the machine that is there can become what the template says: nothing differs but the size
/// of its disk.
pub(super) fn is_in_place(view: &WorkspaceView, template: &Template) -> bool {
    view.made_from.as_ref().is_some_and(|made| {
        let is_known = made.coder_version.is_some();
        let same_disk = made.clone_kind == template.clone_kind;
        made.vmid == template.vmid
            && made.coder_template == template.coder_template
            && view.guest == template.guest
            && (!is_known || (same_disk && made.network == template.network))
    })
}

/// What an update does that keeps the machine.
pub(super) fn of_update_in_place(view: &WorkspaceView, template: &Template) -> Vec<String> {
    let made = view.made_from.as_ref();
    let disk = made.is_some_and(|made| made.disk_gb != template.disk_gb);
    let version = made.and_then(|made| made.coder_version.as_deref());
    let version = version.map_or_else(String::new, |name| format!(" than {name}"));
    let restart = if view.phase == Phase::Ready { ", and the machine restarts" } else { "" };
    let coder = format!(
        "Coder workspace: built anew{restart}, if another version{version} of {} is active",
        template.coder_template
    );
    disk.then(|| of_disk(view, template)).into_iter().chain([coder]).collect()
}

/// What becomes of the disk where nothing else is different. One that was resized, or that is
/// larger already, stays as it is.
fn of_disk(view: &WorkspaceView, template: &Template) -> String {
    let made = view.made_from.as_ref().map_or(template.disk_gb, |made| made.disk_gb);
    let now = view.size.disk_gb.unwrap_or(made);
    match view.size.disk_gb.unwrap_or(template.disk_gb) {
        later if later > now => format!("disk in GiB: {now} becomes {later}"),
        _ => format!("disk in GiB: stays at {now}"),
    }
}

pub(super) fn machine(view: &WorkspaceView) -> String {
    match view.vmid {
        Some(vmid) => format!("machine {vmid} on {}", view.node),
        None => "machine, as far as it is made".to_string(),
    }
}
