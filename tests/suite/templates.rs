//! Templates from outside: a push that a webhook tells of, one whose webhook is lost, those who
//! forge and replay, a commit that Coder cannot import, and the way back.

use std::future::ready;

use serde_json::{Value, json};
use stead_schemas::command::template::TemplateView;

use crate::stage::{Process, Seen, Stage, check_ledger, check_whole, door_of, until};

const OWNER: &str = "--owner=platform";
const REPOSITORY: &str = "platform/templates";
pub const TEMPLATE: &str = "stead-machine";
const CONTEXT: &str = "stead/template/stead-machine";
const FILE: &str = "stead-machine/more.tf";

/// Gives `stead` these words, expects that it ends like this, and hands on what it prints.
pub async fn ends(stage: &Stage, words: &[&str], exit: i32) -> String {
    let words: Vec<&str> =
        ["template"].iter().chain(words).copied().chain([OWNER, "--json"]).collect();
    let told = stage.verb(&words).await;
    let text = [told.stdout, told.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(told.status.code(), Some(exit), "{words:?}: {text}");
    text
}

/// Why it is refused.
async fn refused(stage: &Stage, words: &[&str]) -> String {
    let text = ends(stage, words, 3).await;
    let error: Value = serde_json::from_str(&text).expect("JSON");
    error["error"]["code"].as_str().unwrap_or_default().to_owned()
}

async fn view(stage: &Stage) -> TemplateView {
    let shown = ends(stage, &["show", TEMPLATE], 0).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    serde_json::from_value(shown["view"].clone()).expect("a view")
}

pub fn commit(stage: &Stage, text: &str) -> String {
    stage.lab.commit(REPOSITORY, "main", &[(FILE, text)]).expect("a commit")
}

fn count(stage: &Stage, kind: &str) -> usize {
    stage.lab.effects().into_iter().filter(|effect| effect.kind == kind).count()
}

/// How many versions of the template there are.
fn versions(stage: &Stage) -> usize {
    let all = stage.lab.inventory().template_versions;
    all.iter().filter(|(name, _)| name.starts_with(&format!("{TEMPLATE}/"))).count()
}

fn active(stage: &Stage) -> String {
    stage.lab.active_version(TEMPLATE).expect("a template")
}

/// What was said last of a commit.
pub async fn said_of(stage: &Stage, commit: &str, state: &str) {
    let said = || stage.lab.commit_status(REPOSITORY, commit, CONTEXT).filter(|said| said == state);
    until(&format!("{commit} is {state}"), || ready(said())).await;
}

/// How the door has answered so far.
fn answers(stage: &Stage) -> Vec<String> {
    let effects = stage.lab.effects().into_iter();
    effects.filter(|effect| effect.kind == "hook-sent").map(|effect| effect.marker).collect()
}

/// Opens the door for webhooks, and has the lab's Forgejo knock there.
pub async fn door(stage: &Stage, signs: bool) -> Process {
    let door = stage.process(&["webhook"], "webhook.log");
    let url = url_of(&door).await;
    assert!(stage.lab.hook(REPOSITORY, &url, signs));
    door
}

/// Where it is, once it is open.
pub async fn url_of(door: &Process) -> String {
    until("the door is open", || ready(door_of(&door.said()))).await
}

/// Has the branch looked at, as a schedule does.
pub async fn look(stage: &Stage) {
    let give = ["--cron=0 0 1 1 *", "--give=template.check", "--to=stead-machine"];
    let words = [&["schedule", "create", "look", OWNER][..], &give].concat();
    for words in [&words[..], &["schedule", "trigger", "look", OWNER]] {
        let told = stage.verb(words).await;
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_deployed_once_whoever_is_killed_and_however_often_it_is_told() {
    let mut stage = Stage::start().await;
    let door = door(&stage, true).await;
    for (vendor, fault) in [("coder", "import-stuck"), ("forgejo", "hook-twice")] {
        stage.lab.break_(vendor, fault).expect("a fault");
    }
    let from = stage.events.count();
    let first = commit(&stage, "# one");
    let waits = |seen: &Seen| seen.scheduled() == Some("coder.await-import");
    stage.events.first("the import is waited for", from, waits).await;
    stage.kill_worker();
    stage.kill_engine(0);
    assert_eq!(active(&stage), "v1", "until it is imported");
    assert_eq!(stage.lab.commit_status(REPOSITORY, &first, CONTEXT).as_deref(), Some("pending"));
    stage.lab.mend();
    stage.start_engine(0);
    stage.start_worker();
    said_of(&stage, &first, "success").await;
    let name = format!("{}-1.1", &first[..12]);
    assert_eq!(active(&stage), name);
    until("it was told twice", || ready((answers(&stage).len() == 2).then_some(()))).await;
    assert_eq!(answers(&stage), ["202", "202"]);

    // Somebody goes back. Whoever replays the webhook, under whatever number, changes nothing.
    ends(&stage, &["rollback", TEMPLATE, "--wait"], 0).await;
    assert_eq!(active(&stage), "v1");
    stage.lab.replay_hook(REPOSITORY);
    until("it was told again", || ready((answers(&stage).len() == 3).then_some(()))).await;
    // What comes behind it in the inbox is carried out behind it.
    let told = ends(&stage, &["check", TEMPLATE, "--wait"], 0).await;
    assert!(told.contains("the branch ends with what was tried before"), "{told}");
    assert_eq!((active(&stage).as_str(), versions(&stage)), ("v1", 1));
    // The same webhook was about another template, too.
    let said = || stage.lab.commit_status(REPOSITORY, &first, "stead/template/stead-desktop");
    let said = || said().filter(|said| said == "success");
    until("the other one is deployed", || ready(said())).await;
    check_ledger(&stage).await;
    door.stop().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_webhook_is_made_up_for_and_a_forged_one_does_nothing() {
    let stage = Stage::start().await;
    let _door = door(&stage, false).await;
    let forged = commit(&stage, "# forged");
    until("somebody has knocked", || ready((answers(&stage).len() == 1).then_some(()))).await;
    assert_eq!(answers(&stage), ["401"], "nothing is signed with no key");

    stage.lab.break_("forgejo", "hook-lost").expect("a fault");
    let lost = commit(&stage, "# lost");
    look(&stage).await;
    said_of(&stage, &lost, "success").await;
    assert_eq!(active(&stage), format!("{}-1.1", &lost[..12]));
    assert_eq!(stage.lab.commit_status(REPOSITORY, &forged, CONTEXT), None, "it was passed by");
    check_ledger(&stage).await;
    for (path, text) in stage.said() {
        for secret in stage.lab.secrets() {
            assert!(!text.contains(&secret), "a secret is in {}", path.display());
        }
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_coder_cannot_import_leaves_the_active_version_and_one_can_go_back() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    for (vendor, fault) in [("coder", "lost-response"), ("forgejo", "lost-response")] {
        stage.lab.break_times(vendor, fault, 1).expect("a fault");
    }
    let good = commit(&stage, "# good");
    ends(&stage, &["push", TEMPLATE, "--wait"], 0).await;
    let name = format!("{}-1.1", &good[..12]);
    assert_eq!((active(&stage), count(&stage, "version-created")), (name.clone(), 1));
    // It reaches the workspaces that are there with their next update, and not before.
    let built = || stage.lab.built_version("john", "dev").expect("it is shown");
    john.carry_out("restart", json!({})).await;
    assert_eq!(built(), "v1");
    john.carry_out("update", json!({})).await;
    assert_eq!(built(), name);
    check_whole(&stage.lab, "john");
    let nothing = john.fail("update", json!({})).await;
    assert_eq!(nothing.words, "it is made from this version of its template already");
    john.carry_out("delete", json!({ "now": true })).await;

    let bad = commit(&stage, "data {");
    let failed = ends(&stage, &["push", TEMPLATE, "--wait"], 1).await;
    assert!(failed.contains("Unclosed configuration block on more.tf"), "{failed}");
    said_of(&stage, &bad, "failure").await;
    assert_eq!((active(&stage), count(&stage, "version-archived")), (name.clone(), 1));
    let now = view(&stage).await;
    assert_eq!((now.phase.word(), now.active.as_ref()), ("rejected", Some(&name)));
    let shown = stage.verb(&["template", "show", TEMPLATE, OWNER]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for words in ["made of   platform/templates, stead-machine, branch main", "was active", &name] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    check_ledger(&stage).await;

    let next = commit(&stage, "# next");
    ends(&stage, &["push", TEMPLATE, "--no-promote", "--wait"], 0).await;
    assert_eq!(active(&stage), name);
    ends(&stage, &["promote", TEMPLATE, "--wait"], 0).await;
    assert_eq!(active(&stage), format!("{}-1.3", &next[..12]));
    ends(&stage, &["rollback", TEMPLATE, "--wait"], 0).await;
    ends(&stage, &["rollback", TEMPLATE, "--wait"], 0).await;
    assert_eq!(active(&stage), "v1");
    assert_eq!(refused(&stage, &["rollback", TEMPLATE]).await, "template.no-earlier");
    ends(&stage, &["push", TEMPLATE, "--wait", &format!("--commit={good}")], 0).await;
    assert_eq!(active(&stage), format!("{}-1.4", &good[..12]));
    assert_eq!(refused(&stage, &["push", "debian-12"]).await, "template.unknown");
    let theirs = john.ask("template", "push", json!({ "name": TEMPLATE })).await;
    assert_eq!(theirs.expect_err("it is platform's").code, "template.not-yours");
    ends(&stage, &["forget", TEMPLATE, "--wait"], 0).await;
    assert_eq!(active(&stage), format!("{}-1.4", &good[..12]), "Coder's template stays");
    ends(&stage, &["push", TEMPLATE, "--wait"], 0).await;
    assert_eq!(active(&stage), format!("{}-2.1", &next[..12]), "another life, another name");
    stage.finish().await;
}
