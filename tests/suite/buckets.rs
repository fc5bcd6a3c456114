//! A bucket from outside: made by the real binary, found by the guest of its name, kept while it
//! holds something, and gone without a trace.

use serde_json::{Value, json};
use stead_schemas::event::Outcome;

use crate::stage::{Desk, Setting, Stage, check_ledger_after};

const OWNER: &str = "--owner=john";

/// Gives `stead` these words and reads what it prints.
async fn told(stage: &Stage, words: &[&str]) -> (i32, Value) {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    let told = stage.verb(&words).await;
    let text = if told.stdout.is_empty() { &told.stderr } else { &told.stdout };
    let text = String::from_utf8_lossy(text);
    let last = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    let whole = serde_json::from_str(&text).ok();
    let read: Value = whole.or(last).unwrap_or_else(|| panic!("{words:?}: {text}"));
    (told.status.code().expect("it ended by itself"), read)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_made_used_kept_and_taken_away() {
    let mut stage = Stage::start().await;
    stage.desk("john").await;
    let (exit, made) =
        told(&stage, &["bucket", "create", "dev", OWNER, "--quota-gb=5", "--wait"]).await;
    assert_eq!(exit, 0, "{made}");
    let result = &made["outcome"]["done"];
    assert_eq!(result["bucket"], "john-dev", "{made}");
    assert_eq!(result["credentials"], "vault:secret/data/stead/buckets/john-dev#1");
    let there = stage.lab.inventory();
    assert_eq!((there.buckets[0].quota_bytes, there.bucket_keys.len()), (5 << 30, 1));

    // Who asks for the same again, and who is killed meanwhile, makes no second one.
    let (exit, refused) = told(&stage, &["bucket", "create", "dev", OWNER]).await;
    assert_eq!((exit, &refused["error"]["code"]), (3, &json!("bucket.exists")), "{refused}");
    stage.kill_engine(0);
    stage.start_engine(0);

    stage.lab.put_objects("john-dev", &[("a", 1), ("b/../c", 2)]);
    let (exit, kept) = told(&stage, &["bucket", "delete", "dev", OWNER, "--wait"]).await;
    assert_eq!(exit, 1, "{kept}");
    assert_eq!(stage.lab.inventory().buckets[0].objects, 2, "{kept}");
    let confirmed = ["bucket", "delete", "dev", OWNER, "--confirm=dev", "--wait"];
    let (exit, kept) = told(&stage, &confirmed).await;
    assert_eq!((exit, &kept["outcome"]["done"]["phase"]), (0, &json!("kept")), "{kept}");
    let (exit, back) = told(&stage, &["bucket", "restore", "dev", OWNER, "--wait"]).await;
    assert_eq!((exit, &back["outcome"]["done"]["phase"]), (0, &json!("ready")), "{back}");
    let (exit, wrong) = told(&stage, &["bucket", "delete", "dev", OWNER, "--confirm=dav"]).await;
    assert_eq!((exit, &wrong["error"]["field"]), (3, &json!("confirm")), "{wrong}");

    // A workspace of its name finds it; the secret is nowhere but in Vault.
    let used = ["bucket", "attach", "dev", OWNER, "--workspace=dev", "--wait"];
    assert_eq!(told(&stage, &used).await.0, 0);
    let (exit, held) = told(&stage, &confirmed).await;
    assert_eq!(exit, 1, "{held}");
    for (path, text) in stage.said() {
        for secret in stage.lab.secrets() {
            assert!(!text.contains(&secret), "a secret is in {}", path.display());
        }
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_bucket_goes_without_a_trace_while_s3_is_in_trouble() {
    let mut stage = Stage::start().await;
    stage.desk("john").await;
    stage.lab.break_times("s3", "no-quorum", 2).expect("a fault");
    stage.lab.break_times("s3", "lost-response", 2).expect("a fault");
    let (exit, made) = told(&stage, &["bucket", "create", "data", OWNER, "--wait"]).await;
    assert_eq!(exit, 0, "{made}");
    let (exit, sized) =
        told(&stage, &["bucket", "resize", "data", OWNER, "--quota-gb=20", "--wait"]).await;
    assert_eq!(exit, 0, "{sized}");
    stage.kill_worker();
    stage.start_worker();
    stage.lab.break_times("s3", "lost-response", 2).expect("a fault");
    let (exit, gone) = told(&stage, &["bucket", "delete", "data", OWNER, "--wait"]).await;
    assert_eq!(exit, 0, "{gone}");
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
    let effects =
        |kind: &str| stage.lab.effects().into_iter().filter(|effect| effect.kind == kind).count();
    assert_eq!(["bucket-created", "key-imported"].map(effects), [1, 1]);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_at_a_bucket_the_ledger_says_what_is_there() {
    let setting = Setting { bucket_grace_seconds: 0, ..Setting::default() };
    let stage = Stage::with(setting).await;
    let john = stage.desk("john").await;
    let faults = stage.lab.faults();
    for fault in faults.iter().filter(|fault| ["s3", "vault"].contains(&fault.vendor.as_str())) {
        let story = format!("{} {}", fault.vendor, fault.name);
        stage.lab.break_times(&fault.vendor, &fault.name, 2).expect("a fault");
        let made = carry_out(&john, "create", json!({ "name": "dev" })).await;
        stage.lab.mend();
        check_ledger_after(&stage, &format!("{story}: create")).await;
        if !made {
            assert!(stage.lab.inventory().is_empty(), "{story}: {:#?}", stage.lab.inventory());
            continue;
        }
        stage.lab.put_objects("john-dev", &[("a", 1)]);
        stage.lab.break_times(&fault.vendor, &fault.name, 2).expect("a fault");
        let gone = carry_out(&john, "delete", json!({ "name": "dev", "confirm": "dev" })).await;
        stage.lab.mend();
        check_ledger_after(&stage, &format!("{story}: delete")).await;
        assert!(gone && stage.lab.inventory().is_empty(), "{story}: {:#?}", stage.lab.inventory());
    }
    stage.finish().await;
}

/// Whether it was carried out.
async fn carry_out(john: &Desk, verb: &str, fields: Value) -> bool {
    let accepted = john.ask("bucket", verb, fields).await.expect("it is let in");
    matches!(john.outcome(&accepted).await, Outcome::Done(_))
}
