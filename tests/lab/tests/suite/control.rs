//! The control port, and the lab as a whole.

use std::time::{Duration, Instant};

use serde_json::Value;
use stead_lab::{Lab, LabClient, LabError, LabOptions, Latency};

use crate::machine::workspace;
use crate::rig::Rig;
use crate::rpc::Nas;

#[tokio::test]
async fn a_client_sees_and_breaks_what_the_owner_does() {
    let rig = Rig::start().await;
    let client = LabClient::new(&rig.lab.addresses().control_url);
    assert_eq!(&client.addresses().await.expect("addresses"), rig.lab.addresses());
    assert_eq!(client.site_toml().await.expect("a site"), rig.lab.site_toml());
    client.break_("proxmox", "locked", Some(2)).await.expect("known");
    assert!(
        client
            .faults()
            .await
            .expect("faults")
            .iter()
            .any(|fault| fault.name == "locked" && fault.active)
    );
    client.mend(Some("proxmox"), None).await.expect("mended");
    assert!(rig.lab.faults().iter().all(|fault| !fault.active));
    match client.break_("proxmox", "gremlins", None).await {
        Err(LabError::Refused { status: 404, reason }) => {
            assert!(reason.contains("proxmox/locked"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    Nas::login(&rig).await.home("alice").await;
    assert_eq!(client.inventory().await.expect("an inventory"), rig.lab.inventory());
    assert!(!client.effects().await.expect("effects").is_empty());
    client.reset().await.expect("reset");
    assert!(
        rig.lab.inventory().is_empty()
            && rig.lab.effects().is_empty()
            && rig.lab.requests().is_empty()
    );
}

#[tokio::test]
async fn secrets_are_canaries_and_are_not_recorded() {
    let options = LabOptions { keeps_answers: true, ..LabOptions::default() };
    let rig = Rig::with(options).await;
    workspace(&rig, "dev").await;
    Nas::login(&rig).await;
    let secrets = rig.lab.secrets();
    assert!(secrets.iter().all(|secret| secret.contains("canary-")), "{secrets:?}");
    assert!(secrets.iter().any(|secret| secret.starts_with("canary-agent-")));
    let recorded = format!("{:?}", rig.lab.requests());
    assert!(secrets.iter().all(|secret| !recorded.contains(secret)));
    assert!(recorded.contains("auth.login_ex") && recorded.contains("/v1/auth/approle/login"));
    // What was answered to both.
    assert!(recorded.contains("client_token") && recorded.contains("response_type"));
}

#[tokio::test]
async fn answers_are_kept_only_where_that_is_wanted_and_calls_are_counted_on() {
    let rig = Rig::start().await;
    let calls = rig.lab.requests();
    assert!(!calls.is_empty() && calls.iter().all(|call| call.answer.is_none()), "{calls:?}");
    let seen = calls.len();
    rig.lab.clear_requests();
    assert!(rig.lab.requests_after(seen).is_empty());
    rig.secret("proxmox/api").await;
    let after: Vec<_> = rig.lab.requests_after(seen).into_iter().map(|call| call.path).collect();
    assert_eq!(after, ["/v1/secret/data/proxmox/api"]);
}

#[tokio::test]
async fn a_lab_that_is_shut_down_serves_nobody() {
    let lab = Lab::start(LabOptions::default()).await.expect("a lab");
    let client = LabClient::new(&lab.addresses().control_url);
    client.inventory().await.expect("open");
    lab.shutdown().await;
    assert!(matches!(client.inventory().await, Err(LabError::Unreachable { .. })));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_secrets() {
    let lab =
        async || Lab::start(LabOptions { seed: 7, ..LabOptions::default() }).await.expect("a lab");
    assert_eq!(lab().await.secrets(), lab().await.secrets());
}

#[tokio::test]
async fn a_realistic_lab_takes_its_time_and_gets_there() {
    let rig = Rig::with(LabOptions { latency: Latency::Realistic, ..LabOptions::default() }).await;
    let answer = rig
        .pve("POST", "/nodes/pve1/qemu/9000/clone", &[("newid", "10000"), ("full", "1")])
        .await
        .expect("an answer");
    let upid = answer.body["data"].as_str().expect("a UPID").to_owned();
    let status =
        rig.pve("GET", &format!("/nodes/pve1/tasks/{upid}/status"), &[]).await.expect("an answer");
    assert_eq!(status.body["data"]["status"], "running");
    assert_eq!(status.body["data"]["exitstatus"], Value::Null);
    assert_eq!(rig.task_end(&upid).await, "OK");
}

#[tokio::test]
async fn a_vendor_that_is_slow_takes_a_second_longer() {
    let rig = Rig::start().await;
    let at = rig.lab.addresses();
    let urls = [&at.forgejo_url, &at.kubernetes_url, &at.s3_url];
    let calls = ["forgejo", "kubernetes", "s3"].into_iter().zip(urls).map(|(vendor, url)| {
        rig.lab.break_times(vendor, "slow", 1).expect("known");
        let call = rig.http.get(url).send();
        tokio::spawn(async move {
            let asked = Instant::now();
            call.await.expect("an answer");
            (vendor, asked.elapsed())
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (vendor, took) = call.await.expect("a call");
        assert!(took >= Duration::from_secs(1), "{vendor}: {took:?}");
    }
}
