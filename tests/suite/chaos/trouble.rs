//! What happens to everybody: vendors that fail in every way of the catalogue, calls and messages
//! that are lost, and processes that are killed, frozen or stopped.

use std::time::Duration;

use stead_lab::{CallFault, UserChange};

use super::{OWNERS, Play};
use crate::stage::chance::Chance;

/// Faults that only a person can mend, or that no boot of a machine survives: they have stories of
/// their own.
const FINAL: &[(&str, &str)] = &[
    ("coder", "agent-never-ready"),
    ("guest", "agent-before-home"),
    ("guest", "agent-never-connects"),
    ("guest", "cloud-init-fails"),
    ("guest", "never-boots"),
    ("proxmox", "lock-left"),
];
const VENDORS: [&str; 8] =
    ["authentik", "coder", "forgejo", "kubernetes", "proxmox", "s3", "truenas", "vault"];
/// How long a process is away, or a vendor, at most.
const AWAY_MS: usize = 3_000;
/// How often runs go into the archive, at most: each history is read back from there in the end.
const ARCHIVED_MAX: u32 = 12;
/// How long nothing strikes, at most.
const QUIET_MS: usize = 1_500;

/// Waits a little and strikes once.
pub async fn strike(play: &mut Play, chance: &mut Chance) {
    some_time(chance, QUIET_MS).await;
    match chance.below(26) {
        0..=5 => named_fault(play, chance),
        6..=8 => lost_calls(play, chance),
        9 => lasting_fault(play, chance).await,
        10 => vendor_away(play, chance).await,
        11..=13 => engine_killed(play, chance).await,
        14 => engine_frozen(play, chance).await,
        15 => engine_stopped(play, chance).await,
        16 | 17 => worker_killed(play, chance).await,
        18 => worker_frozen(play, chance).await,
        19 => broker_killed(play, chance).await,
        20 => broker_frozen(play, chance).await,
        21 | 22 => messages_lost(play, chance).await,
        23 => door_shut(play, chance).await,
        24 => somebody_away(play, chance).await,
        _ if play.archived < ARCHIVED_MAX => archived(play).await,
        _ => lost_calls(play, chance),
    }
}

async fn some_time(chance: &mut Chance, at_most_ms: usize) {
    let ms = u64::try_from(chance.below(at_most_ms)).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// One of the catalogue.
fn drawn(play: &Play, chance: &mut Chance) -> (String, String) {
    let named = play.stage.lab.faults().into_iter().filter(|fault| {
        let is_rule = fault.name.starts_with("call ");
        !is_rule && !FINAL.contains(&(fault.vendor.as_str(), fault.name.as_str()))
    });
    let mut named: Vec<_> = named.map(|fault| (fault.vendor, fault.name)).collect();
    named.swap_remove(chance.below(named.len()))
}

fn named_fault(play: &mut Play, chance: &mut Chance) {
    let ((vendor, name), times) = (drawn(play, chance), 1 + chance.below(3));
    play.story.strike(&format!("{vendor}: {name}, {times} times"));
    let times = u32::try_from(times).unwrap_or(1);
    play.stage.lab.break_times(&vendor, &name, times).expect("a fault of the catalogue");
}

fn lost_calls(play: &mut Play, chance: &mut Chance) {
    let (vendor, times) = (VENDORS[chance.below(VENDORS.len())], 1 + chance.below(5));
    let effects = [
        CallFault::FailLasting,
        CallFault::FailPassing,
        CallFault::LoseResponse,
        CallFault::LoseResponse,
        CallFault::DropBefore,
        CallFault::Delay(Duration::from_millis(700)),
    ];
    let effect = effects[chance.below(effects.len())];
    play.story.strike(&format!("{vendor}: the next {times} calls: {effect:?}"));
    let times = u32::try_from(times).unwrap_or(1);
    play.stage.lab.break_call_times(vendor, "", effect, times).expect("a vendor");
}

async fn lasting_fault(play: &mut Play, chance: &mut Chance) {
    let (vendor, name) = drawn(play, chance);
    play.story.strike(&format!("{vendor}: {name}, for a while"));
    play.stage.lab.break_(&vendor, &name).expect("a fault of the catalogue");
    some_time(chance, AWAY_MS).await;
    play.stage.lab.mend_one(&vendor, &name);
}

/// Every connection to it is dropped, as while it starts anew.
async fn vendor_away(play: &mut Play, chance: &mut Chance) {
    let vendor = VENDORS[chance.below(VENDORS.len())];
    play.story.strike(&format!("{vendor} is away; afterwards all vendors are well"));
    play.stage.lab.break_call(vendor, "", CallFault::DropBefore).expect("a vendor");
    some_time(chance, AWAY_MS).await;
    play.stage.lab.mend();
}

async fn engine_killed(play: &mut Play, chance: &mut Chance) {
    let number = chance.below(2);
    play.story.strike(&format!("engine {number} is killed"));
    play.stage.kill_engine(number);
    some_time(chance, AWAY_MS).await;
    play.start_engine(number);
}

async fn engine_frozen(play: &mut Play, chance: &mut Chance) {
    let number = chance.below(2);
    play.story.strike(&format!("engine {number} is frozen"));
    play.stage.engine(number).freeze();
    // Long enough to lose its partitions, now and then.
    some_time(chance, 4 * AWAY_MS).await;
    play.stage.engine(number).thaw();
}

async fn engine_stopped(play: &mut Play, chance: &mut Chance) {
    let number = chance.below(2);
    play.story.strike(&format!("engine {number} is stopped in good order"));
    play.stage.stop_engine(number).await;
    play.start_engine(number);
}

async fn worker_killed(play: &mut Play, chance: &mut Chance) {
    let number = chance.below(2);
    play.story.strike(&format!("worker {number} is killed"));
    if number == 0 {
        play.stage.kill_worker();
        some_time(chance, AWAY_MS).await;
        play.stage.start_worker();
    } else {
        drop(play.second_worker.take());
        some_time(chance, AWAY_MS).await;
        play.start_second_worker();
    }
}

async fn worker_frozen(play: &mut Play, chance: &mut Chance) {
    let number = chance.below(2);
    play.story.strike(&format!("worker {number} is frozen"));
    let worker = if number == 0 { &play.stage.worker } else { &play.second_worker };
    let worker = worker.as_ref().expect("the worker runs");
    worker.freeze();
    // Long enough to be taken for dead, now and then.
    some_time(chance, AWAY_MS).await;
    worker.thaw();
}

async fn broker_killed(play: &mut Play, chance: &mut Chance) {
    play.story.strike("nats-server is killed; every connection drops");
    play.stage.nats.kill9();
    some_time(chance, AWAY_MS).await;
    play.stage.nats.restart().await;
}

async fn broker_frozen(play: &mut Play, chance: &mut Chance) {
    play.story.strike("nats-server is frozen; every connection stays open and is silent");
    play.stage.nats.pause();
    some_time(chance, AWAY_MS).await;
    play.stage.nats.resume();
}

/// Whatever engine 1, worker 1 and the server say to each other meanwhile arrives nowhere.
async fn messages_lost(play: &mut Play, chance: &mut Chance) {
    play.story.strike("messages of engine 1 and worker 1 are lost, and then their connections");
    play.line.lose();
    some_time(chance, AWAY_MS / 2).await;
    play.line.mend();
}

/// Forgejo finds nobody to tell of pushes.
async fn door_shut(play: &mut Play, chance: &mut Chance) {
    play.story.strike("the door for webhooks is killed");
    play.door.take().expect("it is open").kill9();
    some_time(chance, AWAY_MS).await;
    play.open_door();
}

/// Somebody is disabled for a while, or who wants to be told does not listen.
async fn somebody_away(play: &mut Play, chance: &mut Chance) {
    if chance.below(2) == 0 {
        play.story.strike("the chat does not answer");
        play.chat.goes_away();
        some_time(chance, AWAY_MS).await;
        return play.chat.comes_back();
    }
    let owner = OWNERS[chance.below(OWNERS.len())];
    play.story.strike(&format!("{owner} is disabled for a while"));
    play.stage.lab.change_user(owner, &UserChange::Disable);
    some_time(chance, 2 * AWAY_MS).await;
    play.stage.lab.change_user(owner, &UserChange::Enable);
}

async fn archived(play: &mut Play) {
    play.story.strike("runs that are over go into the archive");
    play.archived += 1;
    // Where a partition has no owner at this moment it stays as it is.
    play.stage.verb(&["archive", "now"]).await;
}
