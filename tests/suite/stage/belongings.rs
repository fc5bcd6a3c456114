//! What an owner has at the vendors'.

use stead_lab::{Inventory, Lab};
use stead_schemas::command::workspace::host_name;

/// How many of each thing an owner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belongings {
    pub vms: usize,
    pub datasets: usize,
    pub shares: usize,
    pub coder_workspaces: usize,
}

/// What this owner has. Owners on the stage have plain names.
pub fn belongings(inventory: &Inventory, owner: &str) -> Belongings {
    let dataset = format!("tank/coder-home/{owner}");
    let path = format!("/mnt/{dataset}");
    let prefix = host_name(owner, "");
    Belongings {
        vms: inventory.vms.iter().filter(|vm| vm.name.starts_with(&prefix)).count(),
        datasets: inventory.datasets.iter().filter(|entry| entry.id == dataset).count(),
        shares: inventory.shares.iter().filter(|share| share.path == path).count(),
        coder_workspaces: inventory.coder_workspaces.iter().filter(|w| w.owner == owner).count(),
    }
}

/// The owner has one workspace that works: one of each thing, running and ready.
pub fn check_whole(lab: &Lab, owner: &str) {
    let inventory = lab.inventory();
    let whole = Belongings { vms: 1, datasets: 1, shares: 1, coder_workspaces: 1 };
    assert_eq!(belongings(&inventory, owner), whole, "{owner}: {inventory:#?}");
    let name = host_name(owner, "dev");
    let vm = inventory.vms.iter().find(|vm| vm.name == name).expect("the machine");
    let state = (vm.status.as_str(), vm.lock.as_str(), vm.guest_stage.as_str());
    assert_eq!(state, ("running", "", "agent-ready"), "{owner}: {vm:?}");
    let shown = inventory.coder_workspaces.iter().find(|entry| entry.owner == owner);
    let agent = shown.and_then(|entry| entry.agent.as_ref()).expect("an agent");
    assert_eq!((agent.status.as_str(), agent.lifecycle.as_str()), ("connected", "ready"));
}

/// The owner has nothing, nowhere.
pub fn check_gone(lab: &Lab, owner: &str) {
    let inventory = lab.inventory();
    let nothing = Belongings { vms: 0, datasets: 0, shares: 0, coder_workspaces: 0 };
    assert_eq!(belongings(&inventory, owner), nothing, "{owner}: {inventory:#?}");
}
