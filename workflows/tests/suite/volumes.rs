//! Volumes: what they are asked to do, what must not get lost of one, and who may have one.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::ids::EntityKey;
use stead_schemas::site::{Site, VolumeSite};
use stead_schemas::step::volume::{self, initiator_name};
use stead_testkit::{Kit, Trouble};
use stead_workflows::WORKFLOWS;

use crate::kits::{HOME, WORKSPACE, john};
use crate::tale::{Tale, done, failed};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A site whose workspaces may have volumes.
pub fn with_volumes(grace: Duration) -> Site {
    let mut site = crate::kits::site();
    let (parent, portal) = ("tank/volumes".into(), "10.0.0.2:3260".into());
    site.truenas.volumes = Some(VolumeSite { parent, portal, portal_id: 1 });
    site.truenas.grace_seconds = grace.as_secs();
    for template in &mut site.templates {
        template.volume_gb_max = Some(100);
    }
    site
}

/// The workspace that has it.
pub fn dev() -> EntityKey {
    EntityKey::of("workspace", &john(), "dev")
}

/// What there is of a volume of dev's.
pub fn shown() -> [String; 2] {
    let key = EntityKey::of("volume", &john(), "dev");
    ["dataset tank/volumes/john.dev".to_owned(), format!("target {}-", key.as_str())]
}

/// A workspace uses it, which is to be so large.
pub fn attach(workspace: &str, size_gb: u32) -> volume::Attach {
    volume::Attach {
        owner: john(),
        name: "dev".into(),
        workspace: workspace.into(),
        size_gb,
        site: with_volumes(HOUR).truenas,
        only_if_there: false,
    }
}

/// It is to be so large from now on.
pub fn resize(size_gb: u32) -> volume::Resize {
    volume::Resize { owner: john(), name: "dev".into(), size_gb }
}

/// A volume grows, is put right, outlives the workspace, is used by the next one of its name, and
/// goes when its grace period is over.
pub fn volume() -> Kit<World> {
    let detach = |workspace: &str| volume::Detach {
        owner: john(),
        name: "dev".into(),
        workspace: workspace.into(),
        now: false,
        grace_seconds: None,
    };
    let shown = shown();
    let shown = || [shown[0].as_str(), shown[1].as_str()];
    Kit::of(WORKFLOWS)
        .asks(attach("one", 10))
        .leaves(shown())
        .asks(resize(20))
        .asks(volume::Repair { owner: john(), name: "dev".into() })
        .asks(detach("one"))
        .leaves(shown())
        .asks(attach("two", 30))
        .passes(HOUR)
        .leaves(shown())
        .asks(detach("two"))
        .passes(HOUR)
        .leaves([])
}

/// A workspace that has a volume of its own: it grows, stays when the machine is made anew, and goes
/// with the workspace.
pub fn with_volume() -> Kit<World> {
    let kit =
        Kit::of(WORKFLOWS).site(with_volumes(Duration::ZERO)).entity("workspace", "john", "dev");
    let shown = shown();
    let with = |machine| {
        let [dataset, target] = [shown[0].as_str(), shown[1].as_str()];
        [WORKSPACE[0], dataset, HOME[0], HOME[1], target, machine]
    };
    kit.command("create", json!({ "volume_gb": 10 }))
        .leaves(with("vm 10000"))
        .command("resize", json!({ "disk_gb": 60, "volume_gb": 20 }))
        .command("rebuild", json!({}))
        .leaves(with("vm 10001"))
        .command("delete", json!({}))
        .leaves([])
}

/// John, where workspaces may have volumes that are kept for an hour.
fn begun() -> Tale {
    let mut tale = Tale::new(Trouble::default().crash());
    tale.stage.site = with_volumes(HOUR);
    tale
}

fn made() -> Tale {
    let mut tale = begun();
    done(tale.workspace_now("create", "dev", json!({ "volume_gb": 10 })));
    tale
}

fn has_volume(tale: &Tale) -> bool {
    shown().iter().all(|thing| tale.things().contains(&thing.as_str()))
}

fn refused(tale: &mut Tale, verb: &str, fields: Value, expected: &str) {
    let refusal = tale.workspace_now(verb, "dev", fields).unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("volume_gb"), "{refusal:?}");
    assert!(refusal.words.contains(expected), "{refusal:?}");
}

#[test]
fn a_workspace_has_a_volume_where_site_and_template_offer_one() {
    let mut tale = begun();
    let ask = json!({ "volume_gb": 10 });
    refused(&mut tale, "create", json!({ "volume_gb": 101 }), "1 to 100 may be chosen");
    tale.stage.site.templates[0].volume_gb_max = None;
    refused(&mut tale, "create", ask.clone(), "made from debian-12 has no volume");
    tale.stage.site.truenas.volumes = None;
    refused(&mut tale, "create", ask, "no place for volumes");
    done(tale.workspace_now("create", "dev", json!({ "volume_gb": 0 })));
    assert!(!has_volume(&tale));
    refused(&mut tale, "resize", json!({ "volume_gb": 10 }), "it has no volume");
}

#[test]
fn a_volume_only_grows_and_its_machine_is_told_where_it_is() {
    let mut tale = made();
    let shown = tale.view("dev");
    assert_eq!(shown["volume"]["portal"], "10.0.0.2:3260");
    let run = tale.stage.latest(&dev()).expect("it lives");
    let initiator = initiator_name(run.as_str());
    assert_eq!(shown["volume"]["initiator"], initiator.as_str());
    assert_eq!(tale.stage.world.shown_to, Some(initiator));
    refused(&mut tale, "resize", json!({ "volume_gb": 9 }), "only grows: it has 10 GiB");
    refused(&mut tale, "resize", json!({ "volume_gb": 101 }), "out of range");
    done(tale.workspace_now("resize", "dev", json!({ "volume_gb": 15 })));
    let shown = tale.view("dev");
    assert_eq!(
        (&shown["size"]["volume_gb"], &shown["volume"]["size_gb"]),
        (&json!(15), &json!(15))
    );
    // What has grown stays so, whatever comes after it.
    tale.stage.world.fails_next = Some("truenas.ensure-volume".to_owned());
    failed(tale.workspace_now("resize", "dev", json!({ "disk_gb": 90, "volume_gb": 20 })));
    let shown = tale.view("dev");
    assert_eq!((&shown["size"]["disk_gb"], &shown["size"]["volume_gb"]), (&json!(90), &json!(15)));
    tale.stage.everything_replays();
}

#[test]
fn a_volume_comes_back_with_its_workspace_until_its_grace_is_over() {
    let mut tale = made();
    let run = tale.give("delete", "dev", json!({}));
    let plan = tale.plan(&run);
    assert!(plan.iter().any(|line| line == "volume of 10 GiB: kept for 1 h"), "{plan:?}");
    tale.stage.work();
    assert!(has_volume(&tale));
    assert_eq!(tale.view("dev")["volume"], Value::Null);
    done(tale.workspace_now("undelete", "dev", json!({})));
    assert_eq!(tale.view("dev")["volume"]["size_gb"], 10);
    tale.give("delete", "dev", json!({}));
    tale.stage.work();
    tale.stage.pass(HOUR * 2);
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    tale.stage.everything_replays();
}

#[test]
fn a_workspace_of_the_same_name_finds_what_the_one_before_it_left() {
    let mut tale = made();
    tale.give("delete", "dev", json!({}));
    tale.stage.work();
    // Made by this workspace, it would be empty.
    done(tale.workspace_now("create", "dev", json!({ "volume_gb": 5 })));
    assert_eq!(tale.view("dev")["size"]["volume_gb"], 10);
    let destroyed = |tale: &Tale| tale.stage.world.log.contains(&"truenas.destroy-dataset".into());
    assert!(!destroyed(&tale));
    let run = tale.give("delete", "dev", json!({ "now": true }));
    let plan = tale.plan(&run);
    assert!(plan.iter().any(|line| line.contains("GiB: destroyed at once")), "{plan:?}");
    tale.stage.work();
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    let order = ["truenas.remove-target", "truenas.snapshot-dataset", "truenas.destroy-dataset"];
    let log = &tale.stage.world.log;
    let at = |step: &str| log.iter().rposition(|done| done == step);
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{log:?}");
    tale.stage.everything_replays();
}

#[test]
fn a_volume_is_reached_and_destroyed_with_the_key_that_is_said_now() {
    let used = |tale: &Tale, step: &str| tale.stage.world.logins[step].clone();
    let mut tale = made();
    tale.stage.site.truenas.secret = "vault:secret/data/truenas/moved".into();
    done(tale.workspace_now("resize", "dev", json!({ "volume_gb": 15 })));
    assert_eq!(used(&tale, "truenas.ensure-volume"), "vault:secret/data/truenas/moved#1");
    tale.stage.site.truenas.secret = "vault:secret/data/truenas/again".into();
    tale.give("delete", "dev", json!({ "now": true }));
    tale.stage.work();
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    assert_eq!(used(&tale, "truenas.remove-target"), "vault:secret/data/truenas/again#1");
    tale.stage.everything_replays();
}

#[test]
fn there_must_be_room_for_a_volume_before_anything_is_made() {
    let mut tale = begun();
    tale.stage.world.free_gb = 62;
    let failure = failed(tale.workspace_now("create", "dev", json!({ "volume_gb": 60 })));
    let expected =
        "tank/volumes has 62 GiB free, a volume may take 80 % of that, and 60 are wanted";
    assert_eq!(failure.words, expected);
    assert!(tale.things().is_empty());
}
