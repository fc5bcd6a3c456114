//! The configuration is read again while everything runs: what may change is taken over, and the
//! rest is refused in words.

use serde_json::json;

use crate::stage::{Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_taken_over_where_that_is_safe() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({ "cpu_cores": 2 })).await;
    let site = stage.place("site.toml");
    let was = std::fs::read_to_string(&site).expect("the site's file");

    // What new orders are completed with: the largest machine is smaller from now on.
    let cores = "disk_gb = 40\ncpu_cores = { min = 2, max = 3, default = 2 }\n";
    let smaller = was.replace("disk_gb = 40\n", cores);
    assert_ne!(smaller, was, "the templates are in the site's file");
    std::fs::write(&site, &smaller).expect("a file");
    stage.engine(0).hang_up();
    said(&stage, "engine-0.log", "took over template").await;
    let jane = stage.desk("jane").await;
    let large = json!({ "name": "dev", "cpu_cores": 4 });
    let refused = jane.ask("workspace", "create", large.clone()).await;
    let refused = refused.expect_err("four cores are more than three");
    assert_eq!(refused.field.as_deref(), Some("cpu_cores"), "{refused}");

    // What is fixed while an engine runs is refused, and with it all the rest.
    std::fs::write(&site, format!("[engine]\nindex = \"elsewhere\"\n{was}")).expect("a file");
    stage.engine(0).hang_up();
    said(&stage, "engine-0.log", "engine cannot change while it runs").await;
    let still = jane.ask("workspace", "create", large.clone()).await;
    assert!(still.is_err(), "nothing of what was refused is taken over");

    // A worker follows a vendor to another address, and comes back.
    let coder = &stage.lab.addresses().coder_url;
    let away = smaller.replace(coder.as_str(), "http://127.0.0.1:1");
    assert_ne!(away, smaller, "Coder's address is in the site's file");
    std::fs::write(&site, &away).expect("a file");
    stage.worker.as_ref().expect("the worker runs").hang_up();
    said(&stage, "worker.log", "coder.address").await;
    let stop = john.order("stop", json!({})).await;
    until("Coder is not reached", || async {
        let waiting = john.view(&stop.run).await.waiting;
        format!("{waiting:?}").contains("Coder cannot be reached").then_some(())
    })
    .await;
    std::fs::write(&site, &smaller).expect("a file");
    stage.worker.as_ref().expect("the worker runs").hang_up();
    john.outcome(&stop).await;

    the_door_for_webhooks_follows(&stage, &smaller).await;

    // A file with a fault changes nothing.
    std::fs::write(&site, "[nats\n").expect("a file");
    stage.engine(0).hang_up();
    said(&stage, "engine-0.log", "this is not TOML").await;
    john.carry_out("start", json!({})).await;
    stage.finish().await;
}

/// What is made of which repository it takes over, the rest it refuses, and it stays open.
async fn the_door_for_webhooks_follows(stage: &Stage, was: &str) {
    let site = stage.place("site.toml");
    let key = "webhook_secret = ";
    let open = was.replace(key, &format!("webhook_listen = \"127.0.0.1:0\"\n{key}"));
    assert_ne!(open, was, "the door's key is in the site's file");
    std::fs::write(&site, &open).expect("a file");
    let mut door = stage.process(&["webhook"], "webhook.log");
    said(stage, "webhook.log", "webhooks come in at").await;
    let deployed = open.replace("path = \"stead-machine\"", "path = \"elsewhere\"");
    assert_ne!(deployed, open, "a deployment is in the site's file");
    let moved = open.replace("[forgejo]\n", "[forgejo]\nbranch = 1\n");
    for (text, words) in [(&deployed, "took over deployments"), (&moved, "goes on with")] {
        std::fs::write(&site, text).expect("a file");
        door.hang_up();
        said(stage, "webhook.log", words).await;
    }
    assert!(door.is_running(), "{}", door.said());
    std::fs::write(&site, was).expect("a file");
    door.stop().await;
}

/// Waits until a process has said this.
async fn said(stage: &Stage, log: &str, words: &str) {
    until(words, || async {
        let said = stage.said();
        let said = said.iter().find(|(path, _)| path.ends_with(log))?;
        said.1.contains(words).then_some(())
    })
    .await;
}
