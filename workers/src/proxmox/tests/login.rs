//! A user with a password in place of a token: his tickets end, and are his alone.

use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::proxmox::{
    CheckVmid, CloneVm, ConfigureVm, DestroyVm, Machine, ResizeDisk, ShutdownVm, StartVm, Survey,
};

use super::{VMID, clone, configure, destroy, machine, resize, shutdown, survey};
use crate::testing::sweep::Sweep;
use crate::testing::{Stage, config};

const USER: &str = "vault:secret/data/proxmox/user#1";

fn by_user() -> Machine {
    Machine { login: USER.to_owned(), ..machine() }
}

fn check() -> CheckVmid {
    CheckVmid { login: USER.to_owned(), vmid: VMID }
}

/// How often somebody has logged in, or tried to.
fn logins(stage: &Stage) -> usize {
    let calls = stage.lab.requests_after(0);
    calls.iter().filter(|call| call.path.ends_with("/access/ticket")).count()
}

async fn live(stage: &Stage) -> Result<(), Failure> {
    stage.endure(CloneVm { machine: by_user(), ..clone() }).await?;
    stage.endure(ConfigureVm { machine: by_user(), ..configure() }).await?;
    stage.endure(ResizeDisk { machine: by_user(), ..resize(40) }).await?;
    stage.endure(StartVm { machine: by_user() }).await?;
    stage.endure(ShutdownVm { machine: by_user(), ..shutdown() }).await?;
    stage.endure(DestroyVm { machine: by_user() }).await?;
    Ok(())
}

#[tokio::test]
async fn a_user_does_what_a_token_does_and_logs_in_once() {
    let stage = Stage::open().await;
    live(&stage).await.unwrap();
    for kind in ["vm-cloned", "vm-started", "vm-stopped", "vm-destroyed"] {
        assert_eq!(stage.count(kind), 1, "{kind}");
    }
    assert!(stage.lab.inventory().is_empty());
    assert_eq!(logins(&stage), 1);
}

#[tokio::test]
async fn wherever_a_ticket_ends_another_one_is_had_and_the_work_is_done_once() {
    let stage = Stage::open().await;
    let others = stage.lab.faults().into_iter().filter(|fault| fault.vendor == "proxmox");
    let others: Vec<_> = others.map(|fault| fault.name).filter(|it| it != "ticket-ended").collect();
    let left_out: Vec<&str> = others.iter().map(String::as_str).collect();
    let pairs = [("vm-cloned", "vm-destroyed"), ("vm-started", "vm-stopped")];
    let sweep = Sweep { vendor: "proxmox", left_out: &left_out, pairs: &pairs };
    let bury = async |stage: &Stage| {
        stage.insist(destroy()).await;
    };
    sweep.carry_out(live, bury).await;
}

#[tokio::test]
async fn a_ticket_is_renewed_long_before_it_ends_and_replaced_where_it_has_ended() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets().clone();
    let proxmox = config(&stage.lab).proxmox;
    let client = super::super::Client::new(&proxmox, secrets, stage.workers.seeds.clone()).unwrap();
    let look = async || {
        let pve = client.log_in(USER).await.unwrap();
        pve.look("/cluster/resources").await.unwrap();
    };
    look().await;
    look().await;
    assert_eq!(logins(&stage), 1);
    client.grow_old().await;
    look().await;
    look().await;
    assert_eq!(logins(&stage), 2, "the ticket in place of the password");
    client.grow_old().await;
    stage.lab.break_times("proxmox", "ticket-ended", 1).unwrap();
    look().await;
    assert_eq!(logins(&stage), 4, "the ticket, and then the password");
    stage.lab.break_times("proxmox", "ticket-ended", 1).unwrap();
    look().await;
    assert_eq!(logins(&stage), 5, "the password alone");
}

#[tokio::test]
async fn a_ticket_that_cannot_be_renewed_for_now_is_used_on() {
    let stage = Stage::open().await;
    let secrets = stage.workers.secrets().clone();
    let proxmox = config(&stage.lab).proxmox;
    let client = super::super::Client::new(&proxmox, secrets, stage.workers.seeds.clone()).unwrap();
    let look = async || {
        let pve = client.log_in(USER).await.unwrap();
        pve.look("/cluster/resources").await.unwrap();
    };
    look().await;
    client.grow_old().await;
    stage.lab.break_times("proxmox", "proxy-timeout", 1).unwrap();
    look().await;
    look().await;
    assert_eq!(logins(&stage), 2, "it is not tried again at once");
}

#[tokio::test]
async fn a_ticket_that_opens_nothing_is_not_asked_for_again_and_again() {
    let stage = Stage::open().await;
    stage.lab.break_("proxmox", "ticket-ended").unwrap();
    for _ in 0..3 {
        let failure = stage.refused(check(), Class::Auth).await;
        assert_eq!(failure.vendor.as_deref(), Some("permission denied - invalid PVE ticket"));
    }
    assert_eq!(logins(&stage), 2);
}

#[tokio::test]
async fn a_user_who_is_not_let_in_is_told_why() {
    let stage = Stage::open().await;
    stage.lab.break_times("proxmox", "second-factor", 1).unwrap();
    let failure = stage.refused(check(), Class::Auth).await;
    assert!(failure.words.contains("a second factor"), "{failure}");
    stage.ask(check()).await.unwrap();
    let wrong = serde_json::json!({ "username": "stead@pve", "password": "not it" });
    stage.keep("vault:secret/data/proxmox/user", wrong).await;
    let login = "vault:secret/data/proxmox/user#2".to_owned();
    let failure = stage.refused(CheckVmid { login, ..check() }, Class::Auth).await;
    assert_eq!(failure.vendor.as_deref(), Some("authentication failure"));
    stage.keep("vault:secret/data/proxmox/user", serde_json::json!({ "password": "x" })).await;
    let login = "vault:secret/data/proxmox/user#3".to_owned();
    let failure = stage.refused(CheckVmid { login, ..check() }, Class::Permanent).await;
    assert!(failure.words.ends_with("neither `token_id` nor `username`"), "{failure}");
}

#[tokio::test]
async fn what_ends_is_the_user_and_not_his_ticket() {
    let stage = Stage::open().await;
    let survey = Survey { login: USER.to_owned(), ..survey() };
    assert_eq!(stage.ask(survey.clone()).await.unwrap().login_ends, None);
    stage.lab.end_login("proxmox", 90_000);
    assert!(stage.ask(survey).await.unwrap().login_ends.is_some());
}
