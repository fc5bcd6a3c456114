//! Histories expire, and the record of who commanded what still holds: by the real binary.

use std::process::Output;

use serde_json::{Value, json};
use stead_nats::access::{new_seed, public_key};
use stead_schemas::event::Outcome;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;

use crate::stage::{Desk, Setting, Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_gone_for_good_and_the_record_holds() {
    let site = "[audit]\nkeep_days = 30\n";
    let stage = Stage::with(Setting { partitions: 1, site, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    // The home's first life ends with the create that fails.
    stage.lab.break_("truenas", "pool-full").expect("a fault");
    john.fail("create", json!({})).await;
    stage.lab.mend();
    let over = probe(&john, "canary-that-expires").await;
    until("it is in the archive", || async {
        stage.verb(&["archive", "now"]).await;
        let said = stage.verb(&["archive", "list"]).await;
        told(&said).contains("segment 1").then_some(())
    })
    .await;
    let key = [("STEAD_AUDIT_KEY", new_seed().expect("a seed"))];
    let expire = ["archive", "expire", "--why", "kept for a month", "--clock-ahead-days", "31"];
    let young = stage.verb_with(&expire[..4], &key).await;
    assert!(told(&young).contains("no segment of the archive is older than 30 days"), "{young:?}");
    let unsigned = stage.verb(&expire).await;
    assert!(!unsigned.status.success() && told(&unsigned).contains("`audit.key`"), "{unsigned:?}");
    let rehearsed =
        stage.verb(&["archive", "expire", "--dry-run", "--clock-ahead-days", "31"]).await;
    let words = told(&rehearsed);
    assert!(words.contains("segment 1 of partition 0 would expire"), "{words}");
    assert!(stage.verb(&["replay", over.as_str()]).await.status.success(), "nothing has happened");

    let expired = stage.verb_with(&expire, &key).await;
    assert!(told(&expired).contains("segment 1 of partition 0 has expired"), "{expired:?}");
    let again = stage.verb_with(&expire, &key).await;
    assert!(told(&again).contains("expired 2"), "it says when: {again:?}");
    let verified = stage.verb(&["audit", "verify"]).await;
    let words = told(&verified);
    assert!(verified.status.success() && words.contains("kept for a month"), "{words}");
    let replayed = stage.verb(&["replay", over.as_str()]).await;
    let words = told(&replayed);
    assert!(!replayed.status.success() && words.contains("was made to expire by"), "{words}");
    // He comes back.
    let created = john.carry_out("create", json!({})).await.run;
    check_later_lives(&stage, &created).await;
    let stranger = public_key(&new_seed().expect("a seed")).expect("its public half");
    let strangers = [("STEAD_AUDIT_SIGNERS", stranger)];
    let verified = stage.verb_with(&["audit", "verify"], &strangers).await;
    assert!(!verified.status.success(), "{}", told(&verified));
    assert!(told(&verified).contains("not among `audit.signers`"), "{}", told(&verified));
    check_goes_on(stage, &john, &over).await;
}

/// A run whose home had a life that has expired is looked at all the same, and that one is named.
async fn check_later_lives(stage: &Stage, created: &RunId) {
    let home = EntityKey::of("home", &Owner::new("john").expect("a plain name"), "home");
    assert_eq!(created.life(), 2);
    for verb in [
        &["incident", "explain", created.as_str()][..],
        &["replay", created.as_str(), "--to", "3"],
        &["run", "timeline", created.as_str()],
    ] {
        let said = stage.verb(verb).await;
        assert!(said.status.success(), "{verb:?}: {}", told(&said));
        let words = format!("the history of {} is gone: ", home.run(1));
        assert!(told(&said).contains(&words), "{verb:?}: {}", told(&said));
    }
}

/// A new owner of the partition goes on; the command acts once, and the ledger is as it was.
async fn check_goes_on(mut stage: Stage, john: &Desk, over: &RunId) {
    stage.kill_engine(0);
    stage.start_engine(0);
    let fields = json!({ "name": "canary-that-expires", "id": "probe-1" });
    let again = john.ask("probe", "start", fields).await.expect("it is known");
    assert!(again.repeated && again.run == *over, "{again:?}");
    let held = stage.verb(&["ledger", "--json"]).await;
    let held: Value = serde_json::from_slice(&held.stdout).expect("JSON");
    assert!(held.to_string().contains("vmid") || held.to_string().contains("machine"), "{held}");
    john.carry_out("delete", json!({})).await;
    check_by_itself(&mut stage, john).await;
    stage.finish().await;
}

/// Where the site says how often, an engine sees to it, and signs with the site's key.
async fn check_by_itself(stage: &mut Stage, john: &Desk) {
    let fields = json!({ "name": "next", "id": "probe-2" });
    let next = john.ask("probe", "start", fields).await.expect("it is let in");
    john.outcome(&next).await;
    until("it is in the archive", || async {
        stage.verb(&["archive", "now"]).await;
        let said = stage.verb(&["archive", "list"]).await;
        told(&said).contains("segment 2").then_some(())
    })
    .await;
    stage.stop_engine(0).await;
    let seed = new_seed().expect("a seed");
    let signer = public_key(&seed).expect("its public half");
    let more = [
        ("STEAD_AUDIT_KEY", seed),
        ("STEAD_AUDIT_EXPIRE_HOURS", "1".to_owned()),
        ("STEAD_EXPIRE_MS", "200".to_owned()),
        ("STEAD_EXPIRE_AHEAD_DAYS", "31".to_owned()),
    ];
    stage.start_engine_with(0, &more);
    until("an engine has it expire", || async {
        let said = told(&stage.verb(&["archive", "list"]).await);
        said.lines()
            .any(|line| line.contains("segment 2") && line.contains("by engine-"))
            .then_some(())
    })
    .await;
    let verified = told(&stage.verb(&["audit", "verify"]).await);
    for words in ["kept for 30 days, as the configuration has it", &format!("signed by {signer}")] {
        assert!(verified.contains(words), "`{words}` is not in {verified}");
    }
}

async fn probe(john: &Desk, name: &str) -> RunId {
    let fields = json!({ "name": name, "id": "probe-1" });
    let accepted = john.ask("probe", "start", fields).await.expect("it is let in");
    assert!(matches!(john.outcome(&accepted).await, Outcome::Done(_)));
    accepted.run
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}
