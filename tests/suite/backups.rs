//! Backups on real processes: homes are copied to another pool and compared there, what a Job copies is
//! proved by another one, and a copy that is none is not taken for one.

use std::process::Output;

use serde_json::json;

use crate::metrics::{page, sum};
use crate::stage::{Setting, Stage, check_ledger_after, free_addresses, until};

const BACKUPS: &str = "
[[backups]]
name = \"homes\"
cron = \"0 3 29 2 *\"
of.zfs = { dataset = \"tank/coder-home\", target = \"backup/coder-home\" }

[[backups]]
name = \"etcd\"
cron = \"0 3 29 2 *\"
time_zone = \"Europe/Berlin\"
of.job = { cron_job = \"etcd-backup\" }
";

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Waits until an alarm knows that a copy has been owed for so many hours.
async fn until_overdue(stage: &Stage, fits: impl Fn(f64) -> bool) {
    let engine = stage.metrics()[0];
    until("an alarm knows for how long a copy has been owed", || async {
        let (_, text) = page(engine, "/metrics").await?;
        fits(sum(&text, "stead_backup_overdue_hours", &[])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_counts_once_it_is_proved() {
    let metrics = Some(free_addresses());
    let mut stage = Stage::with(Setting { site: BACKUPS, metrics, ..Setting::default() }).await;
    until("both backups know what they are to be", || async {
        let listed = said(&stage.verb(&["copies", "list"]).await);
        (listed.contains("homes") && listed.contains("etcd")).then_some(())
    })
    .await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;

    let made = said(&stage.verb(&["copies", "run", "homes", "--wait"]).await);
    assert!(made.contains("2 datasets have the same snapshot beneath backup/coder-home"), "{made}");

    // The Job says that it has made a copy, and has not.
    stage.lab.break_times("kubernetes", "job-hollow", 1).expect("a fault");
    let hollow = stage.verb(&["copies", "run", "etcd", "--wait"]).await;
    assert!(!hollow.status.success() && said(&hollow).contains("failed"), "{}", said(&hollow));
    let shown = said(&stage.verb(&["copies", "show", "etcd"]).await);
    assert!(shown.contains("no copy was proved yet") && shown.contains("tried again"), "{shown}");
    check_ledger_after(&stage, "a copy that is none").await;
    until_overdue(&stage, |hours| (0.0..1.0).contains(&hours)).await;

    // Whoever owns it next knows what there is and what is owed.
    stage.kill_engine(0);
    stage.start_engine(0);
    let made = said(&stage.verb(&["copies", "run", "etcd", "--wait"]).await);
    assert!(made.contains("is whole"), "{made}");
    let shown = said(&stage.verb(&["copies", "show", "etcd"]).await);
    assert!(shown.contains("1 proved, 1 failed, 0 removed since"), "{shown}");
    until_overdue(&stage, |hours| hours < 0.0).await;

    // A home with a copy's snapshot goes as any other does.
    john.carry_out("delete", json!({ "now": true })).await;
    stage.finish().await;
}
