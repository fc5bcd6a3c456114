//! The machine: every trouble there is, and the world is empty or complete.

use std::collections::BTreeSet;

use serde_json::json;
use stead_schemas::site::{Allowance, Site};
use stead_schemas::step::allowance;
use stead_schemas::step::schedule::PlanFirings;
use stead_schemas::step::vmids::PLATFORM;
use stead_testkit::{Act, Kit};
use stead_workflows::WORKFLOWS;

use crate::findings;
use crate::kits::{self, john};
use crate::snapshots;
use crate::volumes;
use crate::world::World;

pub type Life = fn() -> Kit<World>;

/// What survives. Each has its test below, so that they run beside each other.
pub const LIVES: [(&str, Life); 25] = [
    ("allowance", shared_allowance),
    ("bucket", kits::bucket),
    ("calendar", calendar),
    ("drift", findings::drift),
    ("drift: decisions", findings::decisions),
    ("bucket: full", kits::full_bucket),
    ("home", kits::home),
    ("mcp", kits::mcp),
    ("notice", kits::notices),
    ("people", kits::people),
    ("people: looked at", looked_at),
    ("probe", kits::probe),
    ("schedule", kits::schedule),
    ("template", kits::template),
    ("token", kits::token),
    ("vmids", kits::vmids),
    ("volume", volumes::volume),
    ("workspace", kits::workspace),
    ("workspace: changes", kits::changes),
    ("workspace: ends", kits::ends),
    ("workspace: patient", kits::patient),
    ("workspace: pressed", kits::pressed),
    ("workspace: rest", kits::rest),
    ("workspace: snapshots", snapshots::snapshots),
    ("workspace: with a volume", volumes::with_volume),
];

/// Those that survive elsewhere: with every age of a backup, and with a pool that fills itself again
/// whatever happens, so that its world is never as it was.
const ELSEWHERE: [&str; 3] = ["backup", "pool", "spare"];

/// Two workspaces share what their owner may have.
fn shared_allowance() -> Kit<World> {
    let take = |workspace: &str, cpu_cores| allowance::Take {
        owner: john(),
        workspace: workspace.into(),
        cpu_cores,
        memory_gb: 4,
        allowance: Allowance { workspaces: Some(2), cpu_cores: Some(8), memory_gb: None },
    };
    let back = |workspace: &str| allowance::GiveBack { owner: john(), workspace: workspace.into() };
    let kit = Kit::of(WORKFLOWS).asks(take("one", 2)).asks(take("two", 4)).asks(take("one", 4));
    kit.asks(back("two")).asks(back("one")).leaves([])
}

/// A calendar is asked when a cron expression fires.
fn calendar() -> Kit<World> {
    let ask = PlanFirings::of_calendar(&john(), "30 2 * * mon-fri", "Europe/Berlin");
    Kit::of(WORKFLOWS).asks(ask).leaves([])
}

/// Somebody has it looked at now what Authentik says of the owners.
fn looked_at() -> Kit<World> {
    let site = Site { authentik: Some(kits::authentik()), ..kits::site() };
    let kit = Kit::of(WORKFLOWS).site(site).entity("people", PLATFORM, "site");
    kit.command("look", json!({})).command("look", json!({})).leaves([])
}

fn survives(name: &str) {
    let life = LIVES.iter().find(|(known, _)| *known == name);
    let (_, life) = life.unwrap_or_else(|| panic!("there is no life of `{name}`"));
    stead_testkit::survives(&life());
}

#[test]
fn every_workflow_is_spoken_to_in_a_life_that_survives() {
    let mut known = BTreeSet::from(ELSEWHERE.map(str::to_owned));
    for (_, life) in LIVES {
        known.extend(life().moments().iter().filter_map(|moment| match &moment.act {
            Act::Command(command) => Some(command.kind.clone()),
            Act::Pass(_) | Act::Signal(..) => None,
        }));
    }
    let all: BTreeSet<String> = WORKFLOWS.iter().map(|flow| flow.kind.to_owned()).collect();
    assert_eq!(known, all);
}

#[test]
fn a_workspace_survives() {
    survives("workspace");
}

#[test]
fn a_workspace_that_was_made_in_coder_survives() {
    survives("workspace: pressed");
}

#[test]
fn a_workspace_whose_guest_reaches_nobody_survives() {
    stead_testkit::survives(&kits::remote());
}

#[test]
fn what_changes_a_workspace_survives() {
    survives("workspace: changes");
}

#[test]
fn what_ends_by_itself_survives() {
    survives("workspace: ends");
}

#[test]
fn what_rests_by_itself_survives() {
    survives("workspace: rest");
}

#[test]
fn a_machine_with_snapshots_survives() {
    survives("workspace: snapshots");
}

#[test]
fn a_create_that_waits_survives() {
    survives("workspace: patient");
}

#[test]
fn a_home_survives() {
    survives("home");
}

#[test]
fn a_volume_survives() {
    survives("volume");
}

#[test]
fn a_workspace_with_a_volume_survives() {
    survives("workspace: with a volume");
}

#[test]
fn a_bucket_survives() {
    survives("bucket");
}

#[test]
fn a_bucket_that_holds_something_survives() {
    survives("bucket: full");
}

#[test]
fn a_token_survives() {
    survives("token");
}

#[test]
fn a_template_survives() {
    survives("template");
}

#[test]
fn an_mcp_server_survives() {
    survives("mcp");
}

#[test]
fn the_vmid_ledger_survives() {
    survives("vmids");
}

#[test]
fn a_scan_for_drift_survives() {
    survives("drift");
}

#[test]
fn what_is_decided_about_findings_survives() {
    survives("drift: decisions");
}

#[test]
fn notices_survive() {
    survives("notice");
}

#[test]
fn what_authentik_says_of_owners_survives() {
    survives("people");
}

#[test]
fn a_look_at_authentik_survives() {
    survives("people: looked at");
}

#[test]
fn a_schedule_survives() {
    survives("schedule");
}

#[test]
fn an_allowance_survives() {
    survives("allowance");
}

#[test]
fn a_calendar_survives() {
    survives("calendar");
}

#[test]
fn a_probe_survives() {
    survives("probe");
}
