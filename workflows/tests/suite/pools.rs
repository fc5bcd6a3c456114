//! Pools: a machine that is ready is taken by one, another one is made in its place, and whatever
//! goes wrong, nothing is left that is nobody's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::Outcome;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::EntityKey;
use stead_schemas::limit::Priority;
use stead_schemas::owner::Owner;
use stead_schemas::site::PoolSite;
use stead_schemas::step::pool::{HandOver, Make, Retire};
use stead_schemas::step::vmids::PLATFORM;
use stead_testkit::{Kit, Lapse, Stage, Trouble, Twice, Which};
use stead_workflows::WORKFLOWS;

use crate::kits::{john, site};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn pool(ready: u32) -> PoolSite {
    PoolSite { name: "debian".into(), template: "debian-12".into(), ready, storage_backend: None }
}

pub fn pooled() -> Kit<World> {
    let mut site = site();
    site.pools = vec![pool(2)];
    Kit::of(WORKFLOWS).site(site).entity("pool", PLATFORM, "debian").command("keep", json!({}))
}

/// A pool of two is filled, and john makes a workspace.
pub fn taken() -> Kit<World> {
    pooled().entity("workspace", "john", "dev").command("create", json!({}))
}

pub fn platform() -> Owner {
    Owner::new(PLATFORM).expect("a good owner")
}

fn pool_view(stage: &Stage<World>) -> Value {
    let run = stage.latest(&EntityKey::of("pool", &platform(), "debian")).expect("it lives");
    stage.view(&run)
}

fn workspace_view(stage: &Stage<World>, name: &str) -> Value {
    let run = stage.latest(&EntityKey::of("workspace", &john(), name)).expect("it lived");
    stage.view(&run)
}

fn order(kind: &str, owner: Owner, name: &str, verb: &str, fields: Value) -> EntityCommand {
    let (kind, name, verb) = (kind.into(), name.into(), verb.into());
    let id = format!("{verb}-{name}-{fields}");
    let fields = fields.as_object().cloned().unwrap_or_default();
    EntityCommand { kind, owner, name, verb, fields, id, by: Caller::Api }
}

fn to_pool(verb: &str, fields: Value) -> EntityCommand {
    order("pool", platform(), "debian", verb, fields)
}

fn count(stage: &Stage<World>, step: &str) -> usize {
    stage.world.log.iter().filter(|known| *known == step).count()
}

/// The machines, each with whose mark it carries.
fn machines(stage: &Stage<World>) -> Vec<(&str, &str)> {
    let things = stage.world.things.iter();
    let marked = things.map(|(thing, marker)| (thing.as_str(), marker.as_str()));
    marked.filter(|(thing, _)| thing.starts_with("vm ")).collect()
}

/// Whoever decides so has seen it. What is nobody's does not count.
pub fn mark(
    things: &mut BTreeMap<String, String>,
    vm: String,
    marker: String,
    ask: &Value,
) -> Result<Value, Failure> {
    let (now, was) = (things.get(&vm).cloned(), ask["was"].as_str().map(str::to_owned));
    match (now, was) {
        (now, was) if ask["undoes"] == true => {
            things.remove(&vm);
            let back = if now == Some(marker) { was } else { now };
            things.extend(back.map(|back| (vm, back)));
        }
        (None, Some(_)) if ask["gives"] == true => {
            return Err(Failure::new(Class::Permanent, format!("there is no {vm}")));
        }
        (Some(now), Some(was)) if now != was && now != marker => {
            return Err(Failure::new(Class::Conflict, format!("{vm} is {now}'s by now")));
        }
        _ => drop(things.insert(vm, marker)),
    }
    Ok(json!({}))
}

#[test]
fn a_create_takes_a_machine_that_is_ready_and_another_one_is_made() {
    let (stage, _) = taken().play(&Trouble::default().crash());
    let view = workspace_view(&stage, "dev");
    assert_eq!((&view["phase"], &view["vmid"]), (&json!("ready"), &json!(10_000)));
    assert_eq!(view["placement"], "pve1: the spare machine 10000 of the pool debian");
    let run = stage.latest(&EntityKey::of("workspace", &john(), "dev")).expect("it lives");
    let machines = machines(&stage);
    assert_eq!(machines[0], ("vm 10000", run.as_str()));
    assert!(machines[1].1.starts_with("spare-") && machines[2].1.starts_with("spare-"));
    assert_eq!((machines.len(), count(&stage, "proxmox.destroy-vm")), (3, 0));
    let cloned = stage.history(&run).iter().flat_map(|transition| &transition.events);
    let cloned = cloned.filter(|event| format!("{event:?}").contains("proxmox.clone-vm")).count();
    assert_eq!(cloned, 0, "it is not cloned while somebody waits");
    let pool = pool_view(&stage);
    assert_eq!((&pool["ready"], &pool["given"]), (&json!(2), &json!(1)));
}

#[test]
fn a_machine_of_a_pool_is_given_any_size_and_its_owners_name() {
    let kit = pooled().entity("workspace", "john", "dev");
    let (stage, _) = kit
        .command("create", json!({ "cpu_cores": 16, "disk_gb": 80 }))
        .command("delete", json!({}))
        .play(&Trouble::default());
    assert_eq!((stage.world.cores[&10_000], stage.world.disks[&10_000]), (16, 80));
    assert_eq!(stage.world.names_of.get(&10_000).map(String::as_str), Some("john-dev"));
    assert_eq!(
        machines(&stage).iter().map(|(vm, _)| *vm).collect::<Vec<_>>(),
        ["vm 10001", "vm 10002"]
    );
}

#[test]
fn two_creates_at_once_take_two_machines() {
    let (mut stage, _) = pooled().play(&Trouble::default().crash());
    for name in ["one", "two"] {
        let create = order("workspace", john(), name, "create", json!({}));
        stage.give(&create).expect("it is let in");
    }
    stage.work();
    let took = ["one", "two"].map(|name| workspace_view(&stage, name)["vmid"].clone());
    assert_eq!(took, [json!(10_000), json!(10_001)]);
    let pool = pool_view(&stage);
    assert_eq!((&pool["ready"], &pool["given"]), (&json!(2), &json!(2)));
    stage.everything_replays();
}

#[test]
fn a_create_that_finds_no_machine_has_one_cloned() {
    let (mut stage, _) = pooled().play(&Trouble::default());
    for (name, fields) in [
        ("other-template", json!({ "template": "debian-13" })),
        ("other-storage", json!({ "storage_backend": "nvme" })),
    ] {
        let create = order("workspace", john(), name, "create", fields);
        assert!(matches!(stage.ask(&create), Ok(Some(Outcome::Done(_)))));
    }
    // The node that the spares are on has no room.
    stage.world.nodes.insert("pve1".into(), 1);
    let create = order("workspace", john(), "other-node", "create", json!({}));
    assert!(matches!(stage.ask(&create), Ok(Some(Outcome::Done(_)))));
    assert_eq!(workspace_view(&stage, "other-node")["node"], "pve2");
    assert_eq!((&pool_view(&stage)["given"], &pool_view(&stage)["ready"]), (&json!(0), &json!(2)));
}

#[test]
fn whatever_goes_wrong_each_machine_is_somebodys_and_the_pool_is_full_again() {
    let (stage, _) = taken().play(&Trouble::default());
    let faults = (0..stage.asked()).flat_map(|step| {
        Lapse::ALL.map(|lapse| Trouble::fault(Which::Nth(step), lapse)).into_iter()
    });
    let cancels = (0..2 * stage.asked()).map(Trouble::cancel_after);
    for (number, trouble) in faults.chain(cancels).enumerate() {
        let trouble = match number % 2 {
            0 => trouble.crash(),
            _ => trouble.twice(Twice::All),
        };
        let (mut stage, _) = taken().play(&trouble);
        stage.pass(4 * HOUR);
        let keep = to_pool("keep", json!({}));
        stage.give(&EntityCommand { id: "later".into(), ..keep }).expect("it is let in");
        stage.work();
        check_whole(&stage, &trouble);
    }
}

fn check_whole(stage: &Stage<World>, trouble: &Trouble) {
    let pool = pool_view(stage);
    let tells = || stage.story(&EntityKey::of("workspace", &john(), "dev"));
    assert_eq!(pool["ready"], 2, "{trouble}: {pool:#}\n{}", tells());
    let living: Vec<&str> = pool["spares"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|spare| spare["name"].as_str().unwrap_or_default())
        .collect();
    let spares: Vec<String> = living
        .iter()
        .filter_map(|name| stage.latest(&EntityKey::of("spare", &platform(), name)))
        .map(|run| run.to_string())
        .collect();
    let run = stage.latest(&EntityKey::of("workspace", &john(), "dev"));
    let is_ready = run.as_ref().is_some_and(|run| stage.phase(run) == "ready");
    for (vm, marker) in machines(stage) {
        let is_its = is_ready && run.as_ref().is_some_and(|run| run.as_str() == marker);
        assert!(
            is_its || spares.iter().any(|spare| spare == marker),
            "{trouble}: {vm} is nobody's\n{}",
            tells()
        );
    }
    let numbers = stage.latest(&EntityKey::of("vmids", &platform(), "site")).expect("it lives");
    let numbers = stage.view(&numbers)["by_workspace"].as_object().map_or(0, |held| held.len());
    assert_eq!(numbers, machines(stage).len(), "{trouble}: a number is left\n{}", tells());
    assert_eq!(machines(stage).len(), 2 + usize::from(is_ready), "{trouble}\n{}", tells());
}

#[test]
fn a_machine_that_somebody_has_deleted_by_hand_is_stepped_around_and_replaced() {
    let (mut stage, _) = pooled().play(&Trouble::default().crash());
    stage.world.things.remove("vm 10000");
    let create = order("workspace", john(), "dev", "create", json!({}));
    assert!(matches!(stage.ask(&create), Ok(Some(Outcome::Done(_)))));
    stage.work();
    assert_eq!(workspace_view(&stage, "dev")["vmid"], 10_001);
    assert_eq!(pool_view(&stage)["ready"], 2);
    stage.everything_replays();
}

#[test]
fn what_is_not_made_is_tried_again_later_and_it_is_said_why() {
    let (mut stage, _) = pooled().play(&Trouble::failing("proxmox.clone-vm"));
    let pool = pool_view(&stage);
    assert_eq!(pool["ready"], 1);
    assert!(pool["trouble"].as_str().is_some_and(|words| words.contains("clone-vm")), "{pool:#}");
    stage.pass(HOUR);
    assert_eq!((&pool_view(&stage)["ready"], pool_view(&stage).get("trouble")), (&json!(2), None));
}

#[test]
fn a_pool_is_resized_drained_and_filled_again() {
    let (mut stage, _) = pooled().play(&Trouble::default().crash());
    for (verb, fields, left) in [
        ("resize", json!({ "ready": 3 }), 3),
        ("resize", json!({ "ready": 1 }), 1),
        ("drain", json!({}), 0),
        ("keep", json!({ "again": 1 }), 0),
        ("resize", json!({}), 2),
    ] {
        let command = to_pool(verb, fields.clone());
        let fields = if verb == "keep" { json!({}) } else { fields };
        let command =
            EntityCommand { fields: fields.as_object().cloned().unwrap_or_default(), ..command };
        assert!(matches!(stage.ask(&command), Ok(Some(Outcome::Done(_)))));
        stage.work();
        assert_eq!(machines(&stage).len(), left, "after {verb}");
    }
    stage.everything_replays();
}

#[test]
fn a_new_template_has_all_machines_made_anew_and_a_pool_that_is_gone_has_none() {
    let (mut stage, _) = pooled().play(&Trouble::default().crash());
    stage.site.templates[0].vmid = 9002;
    let keep = |id: &str| EntityCommand { id: id.into(), ..to_pool("keep", json!({})) };
    assert!(matches!(stage.ask(&keep("new")), Ok(Some(Outcome::Done(_)))));
    stage.work();
    let spares = &pool_view(&stage)["spares"];
    let names: Vec<_> =
        spares.as_array().into_iter().flatten().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["debian-3", "debian-4"]);
    assert_eq!((machines(&stage).len(), count(&stage, "proxmox.clone-vm")), (2, 4));
    stage.site.pools.clear();
    assert!(matches!(stage.ask(&keep("gone")), Ok(Some(Outcome::Done(_)))));
    stage.work();
    assert_eq!(machines(&stage), []);
    stage.everything_replays();
}

#[test]
fn nobody_but_the_platform_has_pools() {
    let (mut stage, _) = pooled().play(&Trouble::default());
    let his = order("pool", john(), "debian", "drain", json!({}));
    assert_eq!(stage.ask(&his).unwrap_err().code, "pool.unknown");
    let refusal = stage.ask(&to_pool("resize", json!({ "ready": 51 }))).unwrap_err();
    assert_eq!(refusal.code, "parameter.out-of-range");
}

#[test]
fn a_spare_survives() {
    let make = || {
        let (spare, pool) = ("debian-1".into(), "debian".into());
        let mut site = site();
        site.pools = vec![self::pool(1)];
        let kit = Kit::<World>::of(WORKFLOWS).site(site);
        kit.asks(Make { spare, pool, priority: Priority::Low }).leaves(["vm 10000"])
    };
    let spare = || "debian-1".to_owned();
    let give = |workspace: &str| {
        let (workspace, ledger) = (workspace.into(), workspace.into());
        HandOver { spare: spare(), workspace, ledger }
    };
    stead_testkit::survives(&make().asks(give("one")).leaves(["vm 10000"]));
    stead_testkit::survives(&make().asks(Retire { spare: spare() }).leaves([]));
}
