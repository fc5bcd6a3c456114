//! Whatever lives long begins anew in time, forgets nothing over it and goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::notice::Topic;
use stead_schemas::site::{Allowance, Site};
use stead_schemas::step::notify::Tell;
use stead_schemas::step::{allowance, home, vmids};
use stead_testkit::{Kit, Trouble};
use stead_workflows::WORKFLOWS;

use crate::backups;
use crate::findings;
use crate::kits::{self, john};
use crate::pools;
use crate::volumes::{attach, resize};
use crate::world::World;

/// The longest that a history may be: two hundred transitions, and the operation that is under way.
const LONGEST: usize = 240;

type Life = fn() -> Kit<World>;

/// A life of each kind that is longer than that. Three kinds live no longer than their command.
const LIVES: [(&str, Life); 15] = [
    ("allowance", allowances),
    ("backup", || again(backups::hourly(), 60, &[("run", json!({}))])),
    ("bucket", buckets),
    ("drift", decisions),
    ("home", homes),
    ("mcp", || again(kits::deploy_mcp(), 90, &[("deploy", json!({}))])),
    ("notice", notices),
    ("people", people),
    ("pool", || again(pools::pooled(), 240, &[("resize", json!({ "ready": 2 }))])),
    ("schedule", schedules),
    ("template", || again(kits::push_template(), 90, &[("check", json!({}))])),
    ("token", || again(kits::make_token(), 30, &[("rotate", json!({}))])),
    ("vmids", vmids),
    ("volume", volumes),
    ("workspace", || again(kits::create(), 45, &[("stop", json!({})), ("start", json!({}))])),
];

/// The same commands, again and again.
fn again(kit: Kit<World>, times: usize, commands: &[(&str, Value)]) -> Kit<World> {
    let all = std::iter::repeat_n(commands, times).flatten();
    all.fold(kit, |kit, (verb, fields)| kit.command(verb, fields.clone()))
}

fn allowances() -> Kit<World> {
    let take = |number: u32| allowance::Take {
        owner: john(),
        workspace: "one".into(),
        cpu_cores: number % 8,
        memory_gb: 4,
        allowance: Allowance { workspaces: Some(1), cpu_cores: Some(8), memory_gb: None },
    };
    (0..240).fold(Kit::of(WORKFLOWS).site(kits::site()), |kit, number| kit.asks(take(number)))
}

fn buckets() -> Kit<World> {
    let fields = || json!({ "workspace": "dev" });
    again(kits::make_bucket(), 120, &[("attach", fields()), ("detach", fields())])
}

fn decisions() -> Kit<World> {
    let found =
        json!({ "drift": "stranger", "system": "proxmox", "kind": "machine", "id": "10005" });
    let kit = Kit::of(WORKFLOWS).site(kits::site());
    let kit = kit.entity("drift", vmids::PLATFORM, "decisions");
    again(kit, 240, &[("ignore", findings::decision(&found))])
}

fn homes() -> Kit<World> {
    let resize = |number: u32| home::Resize { owner: john(), quota_gb: 100 + number };
    (0..90).fold(kits::home_of("one"), |kit, number| kit.asks(resize(number)))
}

fn notices() -> Kit<World> {
    let tell = |number: u32| Tell {
        topic: Topic::VendorDown,
        about: format!("vendor {}", number % 7),
        words: "it cannot be reached".into(),
    };
    let kit = Kit::of(WORKFLOWS).site(Site { notify: kits::routes(), ..kits::site() });
    (0..240).fold(kit, |kit, number| kit.asks(tell(number)))
}

fn people() -> Kit<World> {
    let site = Site { authentik: Some(kits::authentik()), ..kits::site() };
    let kit = Kit::of(WORKFLOWS).site(site).entity("people", vmids::PLATFORM, "site");
    again(kit, 240, &[("look", json!({}))])
}

fn schedules() -> Kit<World> {
    let probe = json!({ "kind": "probe", "name": "p", "verb": "start" });
    let kit = Kit::of(WORKFLOWS).site(kits::site()).entity("schedule", "john", "s");
    let kit = kit.command("create", json!({ "cron": "* * * * *", "command": probe }));
    kit.passes(Duration::from_secs(5 * 60 * 60))
}

fn vmids() -> Kit<World> {
    let reserve =
        || vmids::Reserve { workspace: "one".into(), not: Vec::new(), site: kits::site().proxmox };
    let release = || vmids::Release { workspace: "one".into() };
    let kit = Kit::of(WORKFLOWS).site(kits::site());
    (0..90).fold(kit, |kit, _| kit.asks(reserve()).asks(release()))
}

fn volumes() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).asks(attach("one", 1));
    (1..90).fold(kit, |kit, size_gb| kit.asks(resize(size_gb)))
}

#[test]
fn every_long_life_begins_anew_and_goes_on() {
    for (kind, life) in LIVES {
        let kit = life();
        let (stage, played) = kit.play(&Trouble::default());
        for moment in &played {
            assert!(moment.ended.is_well(), "{kind}: {} {}", moment.what, moment.ended);
        }
        let run = stage.latest(&kit.hero().expect("a hero")).expect("a run");
        let stretches = stage.stretches(&run);
        assert_eq!(run.kind(), kind);
        assert!(stretches.len() > 1, "{kind} never begins anew: {stretches:?}");
        assert!(stretches.iter().all(|length| *length < LONGEST), "{kind}: {stretches:?}");
    }
}

#[test]
fn every_workflow_lives_short_or_is_seen_to_begin_anew() {
    let short = ["calendar", "probe", "spare"].into_iter();
    let known: BTreeSet<&str> = LIVES.iter().map(|(kind, _)| *kind).chain(short).collect();
    let all: BTreeSet<&str> = WORKFLOWS.iter().map(|workflow| workflow.kind).collect();
    assert_eq!(known, all);
}
