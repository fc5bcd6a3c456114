//! One look at everything that decides where a machine can be made: the cluster's own list, and
//! the template's configuration, which says where its disk lies.

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::proxmox::{MachineSeen, NodeSeen, Survey, Surveyed};
use stead_schemas::time::Timestamp;

use super::super::client::{Client, Pve, number};
use super::super::login::Login;
use crate::http::segment;

/// Machines under high availability are counted where the cluster's list shows them; it is up to
/// ten seconds old.
pub(crate) async fn survey(
    client: Client,
    _cx: StepContext,
    ask: Survey,
) -> Result<Surveyed, Failure> {
    let pve = client.log_in(&ask.login).await?;
    let list = pve.look("/cluster/resources").await?.unwrap_or_default();
    let list = Resources::listed(&list);
    let template = list.of("qemu").find(|vm| number(&vm["vmid"]) == Some(ask.template.into()));
    let template_node = template.and_then(|vm| vm["node"].as_str()).map(str::to_owned);
    let template_is_shared = match &template_node {
        Some(node) => is_shared(&pve, &list, node, ask.template).await?,
        None => false,
    };
    let range = u64::from(ask.vmid_first)..=u64::from(ask.vmid_last);
    let taken = list.machines().filter_map(|vm| number(&vm["vmid"]));
    let vmids_taken = taken.filter(|vmid| range.contains(vmid)).count();
    let machine = ask.machine.and_then(|vmid| list.machine(vmid));
    let besides = machine.iter().map(|seen| &seen.node).filter(|node| !ask.nodes.contains(node));
    let nodes = ask.nodes.iter().chain(besides);
    Ok(Surveyed {
        nodes: nodes.map(|node| list.node(node, &ask.storage.datastore())).collect(),
        template_node,
        template_is_shared,
        vmids_taken: u32::try_from(vmids_taken).unwrap_or(u32::MAX),
        login_ends: login_ends(&pve).await,
        machine,
    })
}

/// When our login itself ends, if it does: a token, or the user that logs in; the ticket that he works
/// with meanwhile is renewed. A token whose privileges are its own may not see itself; then nothing is
/// known.
async fn login_ends(pve: &Pve) -> Option<Timestamp> {
    let seen = match pve.login() {
        Login::Token { id, .. } => {
            let (user, token) = id.split_once('!')?;
            let path = format!("/access/users/{}/token/{}", segment(user), segment(token));
            pve.look(&path).await.ok()??
        }
        // Each user sees himself here, if nobody else.
        login @ Login::User { .. } => {
            let users = pve.look("/access/users").await.ok()??;
            let is_us = |user: &&Value| user["userid"].as_str().is_some_and(|id| login.is(id));
            users.as_array()?.iter().find(is_us)?.clone()
        }
    };
    let seconds = number(&seen["expire"]).filter(|seconds| *seconds > 0)?;
    Some(Timestamp::from_millis(i64::try_from(seconds).ok()?.saturating_mul(1000)))
}

/// Whether every disk of the template lies on a storage that all nodes see.
async fn is_shared(
    pve: &Pve,
    list: &Resources<'_>,
    node: &str,
    template: u32,
) -> Result<bool, Failure> {
    let path = format!("/nodes/{}/qemu/{template}/config", segment(node));
    let config = pve.look(&path).await?.unwrap_or_default();
    let storages: Vec<&str> = volumes(&config)
        .filter_map(|setting| setting.split_once(':').map(|(storage, _)| storage))
        .collect();
    let shared = |storage: &str| {
        list.of("storage").any(|line| line["storage"] == storage && is_set(&line["shared"]))
    };
    Ok(!storages.is_empty() && storages.into_iter().all(shared))
}

/// The disks in a machine's configuration: `iscsi-pool:base-9000-disk-0,size=10G`.
pub(super) fn volumes(config: &Value) -> impl Iterator<Item = &str> {
    let disks = config.as_object().into_iter().flatten().filter(|(key, _)| is_disk(key));
    let settings = disks.filter_map(|(_, setting)| setting.as_str());
    settings.filter(|setting| !setting.contains("media=cdrom"))
}

/// `scsi0`, `virtio1`, `efidisk0`.
fn is_disk(key: &str) -> bool {
    let bus = key.trim_end_matches(|c: char| c.is_ascii_digit());
    bus.len() < key.len() && ["efidisk", "ide", "sata", "scsi", "tpmstate", "virtio"].contains(&bus)
}

fn is_set(flag: &Value) -> bool {
    number(flag) == Some(1) || flag == true
}

/// Which nodes have a storage.
#[derive(Default)]
pub(super) struct Having {
    pub(super) there: Vec<String>,
    /// The node, or its storage, is away.
    pub(super) away: Vec<String>,
    /// All of them see the same.
    pub(super) is_shared: bool,
}

/// The cluster's list.
pub(super) struct Resources<'a>(&'a [Value]);

impl<'a> Resources<'a> {
    pub(super) fn listed(list: &'a Value) -> Self {
        Self(list.as_array().map(Vec::as_slice).unwrap_or_default())
    }

    /// A storage, as some node has it.
    pub(super) fn storage(&self, name: &str) -> Option<&'a Value> {
        self.of("storage").find(|line| line["storage"] == name)
    }

    /// The nodes that have a storage of this name.
    pub(super) fn having(&self, storage: &str) -> Having {
        let mut found = Having::default();
        for line in self.of("storage").filter(|line| line["storage"] == storage) {
            found.is_shared |= is_set(&line["shared"]);
            let is_there = line["status"] == "available";
            let nodes = if is_there { &mut found.there } else { &mut found.away };
            nodes.extend(line["node"].as_str().map(str::to_owned));
        }
        found
    }

    fn of(&self, kind: &'static str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.0.iter().filter(move |line| line["type"] == kind)
    }

    /// Machines and containers: they share the numbers and the nodes.
    fn machines(&self) -> impl Iterator<Item = &Value> {
        self.of("qemu").chain(self.of("lxc"))
    }

    fn machine(&self, vmid: u32) -> Option<MachineSeen> {
        let line = self.of("qemu").find(|vm| number(&vm["vmid"]) == Some(vmid.into()))?;
        let node = line["node"].as_str()?.to_owned();
        Some(MachineSeen { node, is_running: line["status"] == "running" })
    }

    fn node(&self, name: &str, storage: &str) -> NodeSeen {
        let line = self.of("node").find(|line| line["node"] == name);
        let count = |field: &str| line.and_then(|line| number(&line[field])).unwrap_or(0);
        let running =
            || self.machines().filter(|vm| vm["node"] == name && vm["status"] == "running");
        let sum = |field: &str| running().filter_map(|vm| number(&vm[field])).sum::<u64>();
        // A guest that has just booted uses little of what it may use in a minute.
        let used = count("mem").max(sum("maxmem"));
        NodeSeen {
            node: name.to_owned(),
            is_online: line.is_some_and(|line| line["status"] == "online"),
            cores: u32::try_from(count("maxcpu")).unwrap_or(u32::MAX),
            cores_given: u32::try_from(sum("maxcpu")).unwrap_or(u32::MAX),
            memory_mib: count("maxmem") >> 20,
            memory_free_mib: count("maxmem").saturating_sub(used) >> 20,
            storage_free_gb: self.storage_free_gb(name, storage),
        }
    }

    fn storage_free_gb(&self, node: &str, storage: &str) -> Option<u64> {
        let mut lines = self.of("storage");
        let line = lines.find(|line| {
            line["node"] == node && line["storage"] == storage && line["status"] == "available"
        })?;
        Some(number(&line["maxdisk"])?.saturating_sub(number(&line["disk"])?) >> 30)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Resources, is_disk};

    #[test]
    fn a_storage_is_there_and_away_by_node() {
        let line = |node: &str, storage: &str, status: &str| json!({ "type": "storage", "storage": storage, "node": node, "status": status, "shared": 0 });
        let list = json!([
            line("pve1", "local", "available"),
            line("pve2", "local", "unknown"),
            line("pve3", "other", "available"),
        ]);
        let found = Resources::listed(&list).having("local");
        assert_eq!((found.there, found.away), (vec!["pve1".to_owned()], vec!["pve2".to_owned()]));
        assert!(!found.is_shared);
    }

    #[test]
    fn a_disk_is_told_by_its_key() {
        for key in ["scsi0", "virtio15", "sata1", "ide2", "efidisk0", "tpmstate0"] {
            assert!(is_disk(key), "{key}");
        }
        for key in ["scsihw", "name", "net0", "smbios1", "unused0"] {
            assert!(!is_disk(key), "{key}");
        }
    }
}
