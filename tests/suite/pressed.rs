//! What developers press in Coder: the build hands it over to Stead and shows in its log what Stead
//! does. No build waits for what waits for a build, and none that Stead asks for comes back to it.

use serde_json::{Value, json};
use stead_lab::Inventory;
use stead_schemas::event::Outcome;
use stead_schemas::public::RunView;

use crate::stage::{
    Belongings, Desk, People, Setting, Stage, belongings, check_gone, check_ledger, check_whole,
    until, within,
};

/// What Coder says of a build's job, once it has ended.
async fn ended(people: &People, build: &str) -> String {
    let path = format!("/workspacebuilds/{build}");
    until(&format!("the build {build} ends"), || async {
        let job = people.coder("GET", &path, json!({})).await["job"].clone();
        let status = job["status"].as_str().unwrap_or_default().to_owned();
        ["succeeded", "failed", "canceled"].contains(&status.as_str()).then_some(status)
    })
    .await
}

/// What stands in a build's log.
async fn log(people: &People, build: &str) -> String {
    let lines = people.coder("GET", &format!("/workspacebuilds/{build}/logs"), json!({})).await;
    let lines = lines.as_array().cloned().unwrap_or_default();
    let lines = lines.iter().map(|line| line["output"].as_str().unwrap_or_default().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap_or_else(|| panic!("no id: {thing}")).to_owned()
}

async fn shown(desk: &Desk) -> Option<RunView> {
    desk.client.entity(&desk.owner, "workspace", "dev").await.expect("an engine answers")
}

/// The workspace, once all that it was asked has been carried out and it stands here.
async fn settled(desk: &Desk, phase: &str) -> RunView {
    until(&format!("the workspace is {phase}"), || async {
        let view = shown(desk).await?;
        let is_open = view.commands.iter().any(|command| command.outcome.is_none());
        (view.summary.phase == phase && !is_open).then_some(view)
    })
    .await
}

/// What the run was asked, in order; all of it was carried out.
fn verbs(view: &RunView) -> Vec<&str> {
    let is_done = |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Done(_)));
    assert!(view.commands.iter().all(|command| is_done(&command.outcome)), "{view:#?}");
    view.commands.iter().map(|command| command.verb.as_str()).collect()
}

fn made(stage: &Stage, kind: &str) -> usize {
    stage.lab.effects().iter().filter(|effect| effect.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_pressed_in_coder_lives_there_and_on_the_bus() {
    let stage = Stage::with(Setting { grace_seconds: 3_600, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let coder = stage.press_in_coder();

    let pressed = coder.create("john", &[("cpu_cores", "2"), ("memory_gb", "4")]).await;
    let (workspace, first) = (id(&pressed), id(&pressed["latest_build"]));
    assert_eq!(ended(coder, &first).await, "succeeded", "{}", log(coder, &first).await);
    let told = log(coder, &first).await;
    for words in ["proxmox.clone-vm", "coder.join-workspace", "goes on once this build has ended"] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let view = settled(&john, "ready").await;
    assert_eq!(verbs(&view), ["create"]);
    assert_eq!(
        (&view.view["coder_id"], &view.view["size"]["cpu_cores"]),
        (&json!(workspace), &json!(2))
    );
    check_whole(&stage.lab, "john");
    // The build once more, by whoever carries it out: everything is there.
    let again = hand_over(&stage, &workspace, &first).await;
    assert!(again.contains("this build is handed over"), "{again}");

    let stop = coder.press(&workspace, "stop", &[]).await;
    assert_eq!(ended(coder, &stop).await, "succeeded", "{}", log(coder, &stop).await);
    settled(&john, "stopped").await;
    assert_eq!(stage.lab.inventory().vms[0].status, "stopped");
    let moved = [("cpu_cores", "8"), ("storage_quota_gb", "80")];
    let start = coder.press(&workspace, "start", &moved).await;
    assert_eq!(ended(coder, &start).await, "succeeded", "{}", log(coder, &start).await);
    let view = settled(&john, "ready").await;
    assert_eq!(verbs(&view), ["create", "stop", "resize", "resize", "start"]);
    check_whole(&stage.lab, "john");
    let inventory = stage.lab.inventory();
    assert_eq!((inventory.vms[0].cores, inventory.datasets[0].refquota_bytes), (8, 80 << 30));
    assert_eq!((made(&stage, "dataset-created"), made(&stage, "dataset-destroyed")), (1, 0));

    // What the bus asks for makes builds in Coder, too; they ask for nothing.
    john.carry_out("restart", json!({})).await;
    let view = settled(&john, "ready").await;
    assert_eq!(verbs(&view)[5..], ["restart"]);
    check_whole(&stage.lab, "john");
    a_slider_that_is_too_small_is_refused(&stage, coder, &workspace).await;

    let delete = coder.press(&workspace, "delete", &[]).await;
    assert_eq!(ended(coder, &delete).await, "succeeded", "{}", log(coder, &delete).await);
    settled(&john, "deleted").await;
    let kept = Belongings { vms: 0, datasets: 1, shares: 1, coder_workspaces: 0 };
    assert_eq!(Belongings { shares: 1, ..belongings(&stage.lab.inventory(), "john") }, kept);
    john.carry_out("undelete", json!({})).await;
    check_whole(&stage.lab, "john");
    assert_ne!(stage.lab.inventory().coder_workspaces[0].id, workspace);
    check_ledger(&stage).await;

    // What we made in Coder is deleted there as well.
    let ours = stage.lab.inventory().coder_workspaces[0].id.clone();
    let delete = coder.press(&ours, "delete", &[]).await;
    assert_eq!(ended(coder, &delete).await, "succeeded", "{}", log(coder, &delete).await);
    settled(&john, "deleted").await;
    john.carry_out("delete", json!({ "now": true })).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}

/// Gives `stead` what a build gives it; what it says.
async fn hand_over(stage: &Stage, workspace: &str, build: &str) -> String {
    let said = [
        ("CODER_WORKSPACE_TRANSITION", "start"),
        ("CODER_WORKSPACE_ID", workspace),
        ("CODER_WORKSPACE_NAME", "dev"),
        ("CODER_WORKSPACE_OWNER", "john"),
        ("CODER_WORKSPACE_BUILD_ID", build),
    ];
    let said = said.map(|(name, value)| (name, value.to_owned()));
    let told = stage.verb_with(&["workspace", "from-coder"], &said).await;
    assert!(told.status.success(), "{told:?}");
    String::from_utf8_lossy(&told.stdout).into_owned()
}

async fn a_slider_that_is_too_small_is_refused(stage: &Stage, coder: &People, workspace: &str) {
    let home = stage.lab.inventory().datasets[0].id.clone();
    assert!(stage.lab.fill(&home, 60 << 30));
    let less = coder.press(workspace, "stop", &[("storage_quota_gb", "20")]).await;
    assert_eq!(ended(coder, &less).await, "failed");
    let told = log(coder, &less).await;
    assert!(told.contains("resize of john/dev failed"), "{told}");
    assert_eq!(stage.lab.inventory().datasets[0].refquota_bytes, 80 << 30);
    assert!(stage.lab.fill(&home, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_canceled_in_the_middle_is_taken_back_or_gone_on_with() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let coder = stage.press_in_coder();
    stage.lab.break_("proxmox", "task-stuck").expect("a fault");
    let pressed = coder.create("john", &[]).await;
    let (workspace, first) = (id(&pressed), id(&pressed["latest_build"]));
    let cancel = async |build: &str| {
        until("the clone shows in the log", || async {
            log(coder, build).await.contains("proxmox.clone-vm").then_some(())
        })
        .await;
        coder.coder("PATCH", &format!("/workspacebuilds/{build}/cancel"), json!({})).await;
        assert_eq!(ended(coder, build).await, "canceled");
    };
    cancel(&first).await;
    // Pressed again, it goes on; and nothing is made twice.
    let again = coder.press(&workspace, "start", &[]).await;
    until("it follows what goes on", || async {
        log(coder, &again).await.contains("terraform plan").then_some(())
    })
    .await;
    stage.lab.mend();
    assert_eq!(ended(coder, &again).await, "succeeded", "{}", log(coder, &again).await);
    assert_eq!(verbs(&settled(&john, "ready").await), ["create"]);
    check_whole(&stage.lab, "john");
    let delete = coder.press(&workspace, "delete", &[]).await;
    assert_eq!(ended(coder, &delete).await, "succeeded");
    within("all of it goes", stage.lab.until(Inventory::is_empty)).await;

    // Not pressed again, it is taken back; what the developer made in Coder is his.
    stage.lab.break_("proxmox", "task-stuck").expect("a fault");
    let pressed = coder.create("john", &[]).await;
    let (workspace, second) = (id(&pressed), id(&pressed["latest_build"]));
    cancel(&second).await;
    stage.lab.mend();
    let left = Belongings { vms: 0, datasets: 0, shares: 0, coder_workspaces: 1 };
    let is_left = |inventory: &Inventory| {
        let status = inventory.coder_workspaces.first().map(|entry| entry.status.as_str());
        belongings(inventory, "john") == left && status == Some("stopped")
    };
    within("it is taken back", stage.lab.until(is_left)).await;
    let delete = coder.press(&workspace, "delete", &[]).await;
    assert_eq!(ended(coder, &delete).await, "succeeded", "{}", log(coder, &delete).await);
    within("nothing is left", stage.lab.until(Inventory::is_empty)).await;
    stage.finish().await;
}
