//! What a workspace knows of itself; it grows while the workspace is made.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::context::Context;
use stead_schemas::command::workspace::{
    Autostart, Debt, Ends, MadeFrom, Order, Phase, RunsWith, Size, Taken, WorkspaceView,
};
use stead_schemas::site::{Allowance, CloneKind, Lifetime};
use stead_schemas::step::Step;
use stead_schemas::step::coder::CoderWorkspace;
use stead_schemas::step::coder::versions::VersionSeen;
use stead_schemas::step::volume::AttachedVolume;
use stead_schemas::time::Timestamp;

use super::dormancy;
use super::hold::Held;

/// See the module's head.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Workspace {
    pub order: Order,
    pub size: Size,
    pub phase: Phase,
    pub vmid: Option<u32>,
    pub home_source: Option<String>,
    /// What its owner may have by his groups at Authentik, if they say something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Allowance>,
    /// The volume of its own, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<AttachedVolume>,
    /// What the guest said of itself when it booted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The address of the machine's card for storage, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_card: Option<String>,
    pub coder_id: Option<String>,
    /// The version of the Coder template that Coder shows it with, once it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_version: Option<VersionSeen>,
    /// How many machines it has had before this one.
    #[serde(default, skip_serializing_if = "is_first")]
    pub machines: u32,
    /// The number of the machine before: whoever is late with its end must not meet another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<u32>,
    /// Whether the machine comes from a pool, and was called otherwise there.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub was_spare: bool,
    /// What the machine was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_with: Option<RunsWith>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<Debt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelete_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Lifetime::is_none")]
    pub lifetime: Lifetime,
    /// When it was last used, as far as it was looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether its end has been announced.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_warned: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostart: Option<Autostart>,
    /// When its next start is to be planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_at: Option<Timestamp>,
    /// Since when nobody is known to have used it, or since when it is dormant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Timestamp>,
    /// Why it may not run, if it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Whether it has been announced what becomes of it if nobody uses it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_announced: bool,
    /// The snapshots of the machine that were asked for, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Taken>,
}

impl Workspace {
    pub fn new(order: Order) -> Self {
        let size = order.size;
        Self {
            order,
            size,
            phase: Phase::Creating,
            vmid: None,
            home_source: None,
            allowance: None,
            volume: None,
            address: None,
            storage_card: None,
            coder_id: None,
            coder_version: None,
            machines: 0,
            retired: None,
            was_spare: false,
            runs_with: None,
            placement: None,
            trouble: None,
            debts: Vec::new(),
            undelete_until: None,
            lifetime: Lifetime::default(),
            used_at: None,
            expires_at: None,
            is_warned: false,
            autostart: None,
            plan_at: None,
            idle_since: None,
            held: None,
            is_announced: false,
            snapshots: Vec::new(),
        }
    }

    pub fn enter(&mut self, cx: &Context, phase: Phase) {
        self.phase = phase;
        self.show(cx);
    }

    /// Coder shows it.
    pub fn shown_in_coder(&mut self, shown: CoderWorkspace) {
        self.coder_id = Some(shown.id);
        self.coder_version = shown.version;
    }

    /// Coder shows it no more. What shows it next is made by us.
    pub fn gone_in_coder(&mut self) {
        self.coder_id = None;
        self.coder_version = None;
        self.order.coder_id = None;
    }

    /// Whether it is gone for good.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Deleted && self.undelete_until.is_none()
    }

    /// The size of the machine's own disk, in GiB.
    pub fn disk_gb(&self) -> u32 {
        self.size.disk_gb.unwrap_or(self.order.template.disk_gb)
    }

    /// By which name the ledger knows the machine.
    pub fn ledger_name(&self, cx: &Context) -> String {
        match self.machines {
            0 => cx.run().to_string(),
            before => format!("{}/{before}", cx.run()),
        }
    }

    /// The machine was started, with what it is to have.
    pub fn started(&mut self, cx: &Context) {
        self.used_at = (!self.lifetime.is_none()).then(|| cx.now());
        let Size { cpu_cores, memory_gb, .. } = self.size;
        self.runs_with = Some(RunsWith { cpu_cores, memory_gb });
    }

    /// Takes something back that is among the debts. If somebody gives it up by hand, it stays
    /// among them, and the rest is still paid.
    pub async fn pay<S: Step>(&mut self, cx: &Context, request: S) {
        if cx.take_back(request).await.is_ok() {
            self.debts.retain(|debt| debt.step != S::NAME);
            self.show(cx);
        }
    }

    /// Shows where it stands. What older builds did not show stays out of what their runs show:
    /// it stands in the last event of those that were terminated.
    pub fn show(&self, cx: &Context) {
        let template = &self.order.template;
        let mut view = WorkspaceView {
            phase: self.phase,
            template: template.name.clone(),
            size: self.size,
            storage_backend: self.order.storage_backend,
            vmid: self.vmid,
            node: self.order.proxmox.node.clone(),
            storage_card: self.storage_card.clone(),
            address: self.address.clone().filter(|_| self.phase == Phase::Ready),
            home_source: self.home_source.clone(),
            volume: self.volume.clone(),
            guest: template.guest,
            coder_id: self.coder_id.clone(),
            joins: self.order.coder_id.clone(),
            held: self.held.as_ref().map(|held| held.why.clone()),
            made_from: None,
            runs_with: None,
            placement: self.placement.clone(),
            trouble: self.trouble.clone(),
            debts: Vec::new(),
            undelete_until: self.undelete_until,
            ends: self.ends(),
            autostart: self.autostart.clone(),
            snapshots: self.snapshots.clone(),
        };
        if self.order.looks_first() {
            view.debts.clone_from(&self.debts);
            view.runs_with = self.pending();
            let version = self.coder_version.as_ref();
            view.made_from = Some(MadeFrom {
                vmid: template.vmid,
                disk_gb: template.disk_gb,
                coder_template: template.coder_template.clone(),
                coder_version: version.map(|version| version.name.clone()),
                clone_kind: version.map_or_else(CloneKind::default, |_| template.clone_kind),
                network: version.and_then(|_| template.network.clone()),
            });
        }
        cx.show(self.phase.word(), &view);
    }

    fn ends(&self) -> Option<Ends> {
        let (stops_at, expires_at) = (self.stops_at(), self.expires_at);
        let lifetime = self.lifetime;
        let (dormant_at, dormant_until) = (dormancy::begins_at(self), dormancy::ends_at(self));
        let ends = Ends { lifetime, stops_at, expires_at, dormant_at, dormant_until };
        (!lifetime.is_none()).then_some(ends)
    }

    /// When it is looked next whether somebody has used it.
    pub fn stops_at(&self) -> Option<Timestamp> {
        let minutes = self.lifetime.autostop_minutes.filter(|_| self.phase == Phase::Ready)?;
        Some(self.used_at?.after(Duration::from_secs(u64::from(minutes) * 60)))
    }

    /// What the machine runs with, where that is not what it is to have.
    fn pending(&self) -> Option<RunsWith> {
        let Size { cpu_cores, memory_gb, .. } = self.size;
        let is_on = !self.phase.is_off();
        self.runs_with.filter(|now| is_on && *now != RunsWith { cpu_cores, memory_gb })
    }
}

// serde hands these references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_first(machines: &u32) -> bool {
    *machines == 0
}
