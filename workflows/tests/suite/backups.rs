//! Backups: a copy counts when it is proved, what is not proved is told and tried again, and the last
//! good copy stays.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::Outcome;
use stead_schemas::ids::EntityKey;
use stead_schemas::notice::Topic;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{BackupOf, BackupSite, GuestBackup, JobBackup, NasSite, Site, ZfsBackup};
use stead_schemas::step::vmids::PLATFORM;
use stead_testkit::{Kit, Stage, Trouble};
use stead_workflows::WORKFLOWS;

use crate::kits::{self, john};
use crate::pools::platform;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn homes() -> BackupSite {
    BackupSite {
        name: "homes".into(),
        cron: "0 * * * *".into(),
        time_zone: "UTC".into(),
        keep_days: 7,
        of: BackupOf::Zfs(ZfsBackup {
            dataset: "tank/coder-home".into(),
            target: "backup/coder-home".into(),
            target_nas: Some("nas04".into()),
            ssh_credentials: Some(3),
            ..ZfsBackup::default()
        }),
    }
}

fn kit_of(backup: BackupSite) -> Kit<World> {
    let nas = NasSite { name: "nas04".into(), secret: "vault:secret/data/truenas/nas04".into() };
    let name = backup.name.clone();
    let site = Site { nas: vec![nas], backups: vec![backup], ..kits::site() };
    let kit = Kit::of(WORKFLOWS).site(site).entity("backup", PLATFORM, &name);
    kit.command("keep", json!({}))
}

fn etcd() -> BackupSite {
    let job = JobBackup { cron_job: "etcd-backup".into(), namespace: None };
    BackupSite {
        name: "etcd".into(),
        cron: "0 */6 * * *".into(),
        of: BackupOf::Job(job),
        ..homes()
    }
}

fn vault() -> BackupSite {
    let guest = GuestBackup { vmid: 110, storage: "backup-nfs".into() };
    let (name, cron) = ("vault".into(), "@weekly".into());
    BackupSite { name, cron, of: BackupOf::Guest(guest), ..homes() }
}

/// The homes are copied by the hour, and once more because somebody wants it.
pub fn hourly() -> Kit<World> {
    kit_of(homes()).command("run", json!({})).passes(HOUR).leaves([])
}

fn key(name: &str) -> EntityKey {
    EntityKey::of("backup", &platform(), name)
}

fn view(stage: &Stage<World>) -> Value {
    stage.view(&stage.latest(&key("homes")).expect("it lives"))
}

fn phase(stage: &Stage<World>) -> String {
    stage.phase(&stage.latest(&key("homes")).expect("it lives"))
}

fn command(verb: &str, id: &str) -> EntityCommand {
    EntityCommand {
        kind: "backup".into(),
        owner: platform(),
        name: "homes".into(),
        verb: verb.into(),
        fields: serde_json::Map::new(),
        id: id.into(),
        by: Caller::Api,
    }
}

/// Gives the command, and lets happen what happens at once: the times of copies never end.
fn ask(stage: &mut Stage<World>, command: &EntityCommand) -> Result<Option<Outcome>, Refusal> {
    stage.give(command)?;
    stage.work();
    Ok(stage.outcome(&command.key(), &command.id))
}

fn told(stage: &Stage<World>) -> usize {
    let notice = EntityKey::of("notice", &platform(), "site");
    let history = stage.latest(&notice).map(|run| stage.history(&run).to_vec());
    let told = |one: &stead_schemas::transition::Transition| {
        let text = format!("{:?}", one.events);
        text.contains("CommandAccepted") && text.contains(Topic::Backup.word())
    };
    history.unwrap_or_default().iter().filter(|one| told(one)).count()
}

#[test]
fn a_copy_is_made_at_each_time_and_proved() {
    let (stage, _) = kit_of(homes()).passes(3 * HOUR).play(&Trouble::default().crash());
    let view = view(&stage);
    assert_eq!((&view["counts"]["proved"], &view["counts"]["failed"]), (&json!(3), &json!(0)));
    assert_eq!(phase(&stage), "proved");
    let names: Vec<_> = stage.world.copies.there.keys().cloned().collect();
    assert_eq!(names.len(), 3);
    assert!(names[0].starts_with("stead-homes-1970-01-01t01-00-0"), "{names:?}");
    assert_eq!(view["proved"]["copy"], names[2]);
    assert_eq!(view["owed"], view["next"], "nothing is owed yet");
    // Each side is logged in to as the configuration has it.
    let pinned = |key: &str| format!("vault:secret/data/truenas/{key}#1");
    let run = stage.latest(&key("homes")).expect("it lives");
    let history = format!("{:?}", stage.history(&run));
    assert!(history.contains(&pinned("nas04")) && history.contains(&pinned("api")));
    stage.everything_replays();
}

#[test]
fn a_copy_that_is_not_proved_is_told_and_tried_again_before_its_time() {
    let (mut stage, _) = kit_of(homes()).play(&Trouble::default());
    stage.world.copies.hollow = 2;
    stage.pass(HOUR);
    let seen = view(&stage);
    assert_eq!((phase(&stage).as_str(), &seen["counts"]["failed"]), ("failing", &json!(1)));
    assert!(seen["trouble"].as_str().is_some_and(|words| words.contains("not at the target")));
    assert!(seen["owed"].as_str() < seen["next"].as_str(), "{seen:#}");
    assert_eq!(told(&stage), 1);
    stage.pass(HOUR - Duration::from_secs(60));
    let seen = view(&stage);
    assert_eq!((&seen["counts"]["failed"], &seen["counts"]["proved"]), (&json!(2), &json!(1)));
    assert_eq!((phase(&stage).as_str(), seen.get("trouble")), ("proved", None));
    assert_eq!(seen["owed"], seen["next"]);
}

#[test]
fn copies_go_when_their_time_is_over_but_the_last_good_one_stays() {
    let daily = || BackupSite { cron: "0 3 * * *".into(), keep_days: 2, ..homes() };
    let (mut stage, _) = kit_of(daily()).passes(4 * DAY).play(&Trouble::default());
    assert_eq!(stage.world.copies.there.len(), 2, "{:?}", stage.world.copies);
    let good = view(&stage)["proved"]["copy"].as_str().unwrap_or_default().to_owned();
    // For ten days nothing arrives.
    stage.world.copies.hollow = u32::MAX;
    stage.pass(10 * DAY);
    assert_eq!(phase(&stage), "failing");
    let there = &stage.world.copies.there;
    assert_eq!(there.get(&good), Some(&true), "the last good copy stays");
    let oldest = there.keys().find(|copy| **copy != good).expect("later ones are tried");
    assert!(oldest.as_str() > "stead-homes-1970-01-12", "what was never proved goes: {oldest}");
    stage.world.copies.hollow = 0;
    stage.pass(3 * DAY);
    assert_eq!(stage.world.copies.there.get(&good), None, "there is a newer one");
    assert_eq!(phase(&stage), "proved");
    stage.everything_replays();
}

#[test]
fn nothing_is_removed_while_no_copy_is_known_to_be_good() {
    let daily = || BackupSite { cron: "0 3 * * *".into(), keep_days: 2, ..homes() };
    let (mut stage, _) = kit_of(daily()).passes(3 * DAY).play(&Trouble::default());
    let good = view(&stage)["proved"]["copy"].as_str().unwrap_or_default().to_owned();
    stage.world.copies.hollow = u32::MAX;
    // Somebody changes the way to the target, as nothing arrives there.
    let BackupOf::Zfs(zfs) = homes().of else { panic!("homes are a dataset") };
    stage.site.backups[0].of = BackupOf::Zfs(ZfsBackup { ssh_credentials: Some(4), ..zfs });
    ask(&mut stage, &command("keep", "changed")).expect("it is let in");
    stage.pass(5 * DAY);
    assert_eq!(stage.world.copies.there.get(&good), Some(&true), "it may be the last good one");
    // Another one of this name, later, knows of no copy at all.
    stage.site.backups.clear();
    ask(&mut stage, &command("keep", "gone")).expect("it is let in");
    stage.site.backups = vec![daily()];
    ask(&mut stage, &command("keep", "again")).expect("it is let in");
    stage.pass(5 * DAY);
    assert_eq!(phase(&stage), "failing");
    assert_eq!(stage.world.copies.there.get(&good), Some(&true), "it may be the last good one");
    stage.world.copies.hollow = 0;
    stage.pass(DAY);
    assert_eq!(stage.world.copies.there.get(&good), None, "there is a newer one");
    stage.everything_replays();
}

#[test]
fn a_time_that_nobody_was_there_for_is_caught_up_once() {
    let (mut stage, _) = kit_of(homes()).play(&Trouble::default());
    stage.be_away_until(stage.now().after(5 * HOUR));
    stage.pass(Duration::from_secs(1));
    let seen = view(&stage);
    assert_eq!(seen["counts"]["proved"], 1, "{seen:#}");
    assert!(seen["next"].as_str() > Some("1970-01-01T05:00"), "{seen:#}");
}

#[test]
fn somebody_who_asks_has_a_copy_at_once_and_hears_what_came_of_it() {
    let (mut stage, _) = kit_of(homes()).play(&Trouble::default());
    let Ok(Some(Outcome::Done(taken))) = ask(&mut stage, &command("run", "one")) else {
        panic!("it is made")
    };
    assert_eq!((&taken["words"], &taken["bytes"]), (&json!("it is there"), &json!(7)));
    stage.world.copies.hollow = 1;
    let Ok(Some(Outcome::Failed(failure))) = ask(&mut stage, &command("run", "two")) else {
        panic!("it is not")
    };
    assert!(failure.to_string().contains("not at the target"));
}

#[test]
fn a_backup_is_as_the_configuration_has_it_and_ends_with_it() {
    let (mut stage, _) = kit_of(homes()).passes(HOUR).play(&Trouble::default());
    stage.site.backups[0].cron = "30 5 * * *".into();
    ask(&mut stage, &command("keep", "later")).expect("it is let in");
    stage.pass(Duration::from_secs(1));
    let seen = view(&stage);
    assert_eq!(seen["next"], "1970-01-01T05:30:00.000Z");
    assert!(!seen["proved"].is_null());
    stage.site.backups[0].of = BackupOf::Zfs(ZfsBackup {
        dataset: "tank/coder-home".into(),
        target: "backup/elsewhere".into(),
        ..ZfsBackup::default()
    });
    ask(&mut stage, &command("keep", "moved")).expect("it is let in");
    assert!(view(&stage)["proved"].is_null(), "nothing is there yet");
    stage.site.backups.clear();
    ask(&mut stage, &command("keep", "gone")).expect("it is let in");
    stage.work();
    assert_eq!(ask(&mut stage, &command("run", "late")).unwrap_err().code, "backup.unknown");
    assert!(!stage.world.copies.there.is_empty(), "what was copied is not lost with it");
    stage.everything_replays();
}

#[test]
fn nobody_but_the_platform_has_backups() {
    let (mut stage, _) = kit_of(homes()).play(&Trouble::default());
    let his = EntityCommand { owner: john(), ..command("run", "his") };
    assert_eq!(ask(&mut stage, &his).unwrap_err().code, "backup.unknown");
}

#[test]
fn what_a_job_copies_is_proved_by_another_one() {
    let (mut stage, _) = kit_of(etcd()).passes(DAY).play(&Trouble::default().crash());
    let seen = stage.view(&stage.latest(&key("etcd")).expect("it lives"));
    assert_eq!(seen["counts"]["proved"], 4);
    assert_eq!(seen["proved"]["words"], "it is there");
    stage.world.copies.hollow = 1;
    stage.pass(DAY / 4 + HOUR / 2);
    let seen = stage.view(&stage.latest(&key("etcd")).expect("it lives"));
    assert_eq!(seen["counts"], json!({ "proved": 5, "failed": 1, "removed": 0 }));
    assert_eq!(stage.world.copies.there.len(), 5);
    stage.pass(9 * DAY);
    let oldest = stage.world.copies.there.keys().next().cloned().unwrap_or_default();
    assert!(oldest.as_str() > "stead-etcd-1970-01-03", "{oldest}");
    stage.everything_replays();
}

#[test]
fn backups_survive() {
    stead_testkit::survives(&hourly());
    for backup in [etcd(), vault()] {
        stead_testkit::survives(&kit_of(backup).command("run", json!({})).leaves([]));
    }
}
