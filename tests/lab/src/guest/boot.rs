//! One boot, from power to agent.

use std::sync::Arc;

use super::agent;
use super::cd;
use super::events::{self, Verdict};
use super::home::{self, Boot};
use super::installed::{Installed, UserData, Webhook};
use super::seed::{self, Announcement, NoSeed, Seed};
use crate::options::Guests;
use crate::proxmox::smbios_serial;
use crate::world::World;

/// Starts the guest of a VM that was switched on.
pub(crate) fn power_on(world: &Arc<World>, vmid: u32) {
    let guest = Guest { world: Arc::clone(world), vmid };
    if world.guests == Guests::Elsewhere {
        guest.body(|body| body.up = true);
        return guest.stage("elsewhere");
    }
    guest.stage("booting");
    let task = world.spawn(async move { guest.boot().await });
    world.change(|state| {
        if let Some(vm) = state.proxmox.vms.get_mut(&vmid) {
            vm.guest.task = Some(task);
        }
    });
}

/// Ends the guest of a VM that was switched off; Coder sees its agent vanish, with a goodbye if
/// the system was shut down in order.
pub(crate) fn power_off(world: &World, vmid: u32, in_order: bool) {
    world.change(|state| {
        let Some(vm) = state.proxmox.vms.get_mut(&vmid) else {
            return;
        };
        if let Some(task) = vm.guest.task.take() {
            task.abort();
        }
        vm.guest.up = false;
        state.truenas.iscsi.sessions.remove(&vmid);
        "off".clone_into(&mut vm.guest.stage);
        if let Some(token) = vm.guest.agent.take() {
            state.coder.agent_lost(&token, in_order);
        }
    });
}

/// A running guest.
pub(super) struct Guest {
    pub(super) world: Arc<World>,
    pub(super) vmid: u32,
}

impl Guest {
    /// Shows where the boot is.
    pub(super) fn stage(&self, stage: &str) {
        tracing::debug!(vmid = self.vmid, stage, "guest");
        self.body(|body| stage.clone_into(&mut body.stage));
    }

    /// Changes what outlives the task.
    pub(super) fn body(&self, change: impl FnOnce(&mut super::Body)) {
        self.world.change(|state| {
            // A guest that was switched off has nothing to say any more.
            if let Some(vm) = state.proxmox.vms.get_mut(&self.vmid).filter(|vm| vm.is_running()) {
                change(&mut vm.guest);
            }
        });
    }

    async fn boot(&self) {
        let world = &self.world;
        let boot_id = world.pace.uuid().to_string();
        world.pace.stage(300).await;
        if world.faults.fires("guest", "never-boots") {
            self.stage("never-boots");
            return std::future::pending().await;
        }
        self.body(|body| body.up = true);
        self.lease().await;
        let before = self.disk();
        let Some((system, webhooks)) = self.configure(before.clone()).await else {
            return;
        };
        events::report(world, &webhooks, &events::BEFORE, Verdict::Success).await;
        world.pace.stage(400).await;
        let verdict = Verdict::of(world);
        if verdict == Verdict::Fail {
            // What starts the agent is among what failed.
            events::report(world, &webhooks, &events::AFTER, verdict).await;
            return self.stage("cloud-init-failed");
        }
        // Enabled units of an earlier boot start by themselves, before the home is mounted.
        let boot = Boot { id: boot_id, is_reboot: before.is_some_and(|before| before.has_agent) };
        let agent = async {
            if home::prepare(self, &system, &boot).await {
                agent::run(self, &system, &boot).await;
            }
        };
        let rest = events::report(world, &webhooks, &events::AFTER, verdict);
        tokio::join!(agent, rest);
    }

    /// Waits for an address in the network.
    async fn lease(&self) {
        if self.world.faults.fires("guest", "no-lease") {
            self.stage("no-lease");
            let has_lease =
                |world: &World| (!world.faults.holds("guest", "no-lease")).then_some(());
            self.world.until(has_lease).await;
        }
    }

    /// Finds the seed and applies it; the system as it is then, or `None` if there is none.
    async fn configure(&self, before: Option<Installed>) -> Option<(Installed, Vec<Webhook>)> {
        // A drive is looked into before the network is there.
        if let Some(seed) = cd::seed(&self.world, self.vmid) {
            return self.apply(&seed, before);
        }
        let Some(announcement) = self.announcement() else {
            return self.unconfigured("no-seed", before);
        };
        self.stage("fetching-seed");
        match seed::fetch(&self.world, &announcement).await {
            Ok(seed) => self.apply(&seed, before),
            Err(NoSeed::Discarded) => self.unconfigured("seed-discarded", before),
            Err(NoSeed::Unreachable) => self.unconfigured("seed-unreachable", before),
        }
    }

    fn announcement(&self) -> Option<Announcement> {
        let smbios = self
            .world
            .read(|state| state.proxmox.vms.get(&self.vmid).map(|vm| vm.key("smbios1").to_owned()));
        Announcement::parse(&smbios_serial(&smbios?)?)
    }

    /// Without a seed a system stays what earlier boots made of it.
    fn unconfigured(
        &self,
        stage: &str,
        before: Option<Installed>,
    ) -> Option<(Installed, Vec<Webhook>)> {
        self.stage(stage);
        before.map(|system| (system, Vec::new()))
    }

    /// Files, mounts and commands are applied once per instance id.
    fn apply(&self, seed: &Seed, before: Option<Installed>) -> Option<(Installed, Vec<Webhook>)> {
        let Some(data) = UserData::parse(&seed.user_data) else {
            return self.unconfigured("unconfigured", before);
        };
        let kept =
            before.filter(|before| before.instance == seed.instance && !data.always_writes());
        let system = kept.unwrap_or_else(|| data.install(&seed.instance));
        self.body(|body| body.disk = Some(system.clone()));
        self.stage("configured");
        Some((system, data.webhooks()))
    }

    fn disk(&self) -> Option<Installed> {
        self.world.read(|state| state.proxmox.vms.get(&self.vmid)?.guest.disk.clone())
    }
}
