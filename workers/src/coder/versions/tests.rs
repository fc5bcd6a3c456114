//! Versions of templates against the lab.

mod sweep;

use std::collections::BTreeMap;

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::step::coder::versions::{
    ArchiveVersion, AwaitImport, Choice, CreateVersion, Import, LookUpTemplate, Parameter,
    PromoteVersion, RestoreVersion, Source, TemplatePlace, UploadTemplate,
};
use stead_schemas::step::coder::{DeleteWorkspace, StartWorkspace, StopWorkspace};
use stead_schemas::step::forgejo::Repository;

use super::going;
use crate::testing::{Stage, marker};

const LOGIN: &str = "vault:secret/data/coder/api#1";
const REPOSITORY: &str = "platform/templates";
const TEMPLATE: &str = "stead-machine";
const GOOD: &str = "data \"coder_parameter\" \"run\" {\n  name = \"stead_run\"\n}\n";

fn place() -> TemplatePlace {
    TemplatePlace {
        login: LOGIN.to_owned(),
        organization: "default".to_owned(),
        template: TEMPLATE.to_owned(),
    }
}

fn upload(commit: &str) -> UploadTemplate {
    let login = "vault:secret/data/forgejo/api".to_owned();
    let source = Source {
        place: Repository { login, repository: REPOSITORY.to_owned() },
        commit: commit.to_owned(),
        path: TEMPLATE.to_owned(),
    };
    UploadTemplate { place: place(), source }
}

fn create(name: &str, file: &str) -> CreateVersion {
    CreateVersion {
        place: place(),
        name: name.to_owned(),
        file: file.to_owned(),
        commit: "0123".to_owned(),
        marker: marker(),
        variables: [].into(),
    }
}

fn archive(name: &str) -> ArchiveVersion {
    ArchiveVersion { place: place(), name: name.to_owned(), marker: marker() }
}

fn wait(id: &str) -> AwaitImport {
    AwaitImport { login: LOGIN.to_owned(), id: id.to_owned(), variables: [].into() }
}

fn promote(id: &str) -> PromoteVersion {
    PromoteVersion { place: place(), id: id.to_owned() }
}

fn restore(promoted: &str, before: &str) -> RestoreVersion {
    RestoreVersion { place: place(), promoted: promoted.to_owned(), before: before.to_owned() }
}

fn committed(stage: &Stage, files: &[(&str, &str)]) -> String {
    stage.lab.commit(REPOSITORY, "main", files).unwrap()
}

/// What Coder calls the files of the template as they are at a new commit of these.
async fn uploaded(stage: &Stage, files: &[(&str, &str)]) -> String {
    stage.ask(upload(&committed(stage, files))).await.unwrap().file
}

fn active(stage: &Stage) -> String {
    stage.lab.active_version(TEMPLATE).unwrap()
}

#[tokio::test]
async fn a_version_is_made_imported_promoted_and_put_back() {
    let stage = Stage::open().await;
    let before = stage.ask(LookUpTemplate { place: place() }).await.unwrap();
    assert_eq!(before.name, "v1");
    let file = uploaded(&stage, &[("stead-machine/main.tf", GOOD)]).await;
    let same = uploaded(&stage, &[("README.md", "something else")]).await;
    assert_eq!(file, same, "the folder is the same");
    let id = stage.ask(create("a-1", &file)).await.unwrap().id;
    assert_eq!(stage.ask(create("a-1", &file)).await.unwrap().id, id, "asked twice");
    let import = stage.ask(wait(&id)).await.unwrap();
    let run =
        Parameter { name: "stead_run".to_owned(), required: true, choice: Some(Choice::default()) };
    assert_eq!(import, Import { error: None, parameters: vec![run] });
    assert_eq!(active(&stage), "v1", "nothing uses it yet");
    for _ in 0..2 {
        stage.ask(promote(&id)).await.unwrap();
    }
    assert_eq!(active(&stage), "a-1");
    assert_eq!(stage.count("version-promoted"), 1);
    stage.refused(archive("a-1"), Class::Permanent).await;
    // Where another one is active than we promoted, it stays.
    stage.ask(restore("00000000-0000-4000-8000-000000000000", &before.id)).await.unwrap();
    assert_eq!(active(&stage), "a-1");
    for _ in 0..2 {
        stage.ask(restore(&id, &before.id)).await.unwrap();
    }
    assert_eq!(active(&stage), "v1");
    for _ in 0..2 {
        stage.ask(archive("a-1")).await.unwrap();
    }
    assert_eq!(stage.count("version-archived"), 1);
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
}

#[tokio::test]
async fn an_import_that_fails_is_an_answer() {
    let stage = Stage::open().await;
    let file = uploaded(&stage, &[("stead-machine/main.tf", "data {")]).await;
    let id = stage.ask(create("a-1", &file)).await.unwrap().id;
    let said = stage.ask(wait(&id)).await.unwrap().error.expect("it has failed");
    assert!(said.contains("Unclosed configuration block on main.tf"), "{said}");
    stage.refused(promote(&id), Class::Auth).await;
    stage.ask(archive("a-1")).await.unwrap();
    stage.lab.break_times("coder", "import-failed", 1).unwrap();
    let file = uploaded(&stage, &[("stead-machine/main.tf", GOOD)]).await;
    let id = stage.ask(create("a-2", &file)).await.unwrap().id;
    let said = stage.ask(wait(&id)).await.unwrap().error;
    assert_eq!(said.as_deref(), Some("terraform init: exit status 1"));
}

#[tokio::test]
async fn an_import_that_nobody_takes_is_waited_for_and_says_so() {
    let stage = Stage::open().await;
    let file = uploaded(&stage, &[("stead-machine/main.tf", GOOD)]).await;
    stage.lab.break_("coder", "no-provisioner").unwrap();
    let id = stage.ask(create("a-1", &file)).await.unwrap().id;
    let path = format!("/templateversions/{id}");
    let asked_after = || stage.lab.requests().iter().any(|call| call.path.ends_with(&path));
    let mended = async {
        while !asked_after() {
            tokio::task::yield_now().await;
        }
        stage.lab.mend();
    };
    let (import, ()) = tokio::join!(stage.ask(wait(&id)), mended);
    assert_eq!(import.unwrap().error, None);
    let matched = |count: u32| json!({ "matched_provisioners": { "count": count } });
    assert!(going("pending", &matched(0)).contains("is one running?"));
    assert_eq!(going("running", &matched(1)), "the import is running");
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let lost = ("coder", "lost-response");
    let commit = committed(&stage, &[("stead-machine/main.tf", GOOD)]);
    let before = stage.ask(LookUpTemplate { place: place() }).await.unwrap().id;
    let file = stage.survives(lost, Class::Ambiguous, upload(&commit)).await.file;
    let id = stage.survives(lost, Class::Ambiguous, create("a-1", &file)).await.id;
    stage.insist(wait(&id)).await;
    stage.survives(lost, Class::Ambiguous, promote(&id)).await;
    stage.survives(lost, Class::Ambiguous, restore(&id, &before)).await;
    stage.survives(lost, Class::Ambiguous, archive("a-1")).await;
    let counts = ["version-created", "version-promoted", "version-archived"];
    assert_eq!(counts.map(|kind| stage.count(kind)), [1, 2, 1]);
    // Forgejo's answer is lost in the middle: it is fetched again.
    stage.lab.break_call_times("forgejo", "/archive/", CallFault::DropBefore, 1).unwrap();
    stage.refused(upload(&commit), Class::Retry).await;
    assert_eq!(stage.ask(upload(&commit)).await.unwrap().file, file);
}

#[tokio::test]
async fn what_is_somebody_else_s_stays() {
    let stage = Stage::open().await;
    let file = uploaded(&stage, &[("stead-machine/main.tf", GOOD)]).await;
    let theirs = CreateVersion { marker: "somebody".to_owned(), ..create("a-1", &file) };
    stage.ask(theirs).await.unwrap();
    stage.refused(create("a-1", &file), Class::Conflict).await;
    stage.ask(archive("a-1")).await.unwrap();
    assert_eq!(stage.count("version-archived"), 0);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let stage = Stage::open().await;
    let failure = stage.refused(upload("0123"), Class::Permanent).await;
    assert!(failure.words.contains("platform/templates has no commit 0123"), "{failure}");
    let elsewhere = TemplatePlace { template: "none".to_owned(), ..place() };
    let failure = stage.refused(LookUpTemplate { place: elsewhere }, Class::Permanent).await;
    assert!(failure.words.contains("no template none"), "{failure}");
    let link = committed(&stage, &[("stead-machine/extra.tf", "-> ../main.tf")]);
    let failure = stage.refused(upload(&link), Class::Permanent).await;
    assert!(failure.words.contains("extra.tf is a link"), "{failure}");
    let nowhere = "00000000-0000-4000-8000-000000000000";
    stage.refused(wait(nowhere), Class::Permanent).await;
    stage.refused(create("a-1", nowhere), Class::Permanent).await;
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    let commit = committed(&stage, &[("stead-machine/main.tf", GOOD)]);
    for (vendor, fault, class) in [
        ("coder", "unauthorized", Class::Auth),
        ("coder", "rate-limited", Class::Wait),
        ("forgejo", "unauthorized", Class::Auth),
        ("forgejo", "not-in-service", Class::VendorDown),
    ] {
        stage.lab.break_(vendor, fault).unwrap();
        stage.refused(upload(&commit), class).await;
        stage.lab.mend();
    }
}

#[tokio::test]
async fn a_workspace_keeps_its_version_until_another_one_is_named() {
    let stage = Stage::open().await;
    let before = stage.ask(LookUpTemplate { place: place() }).await.unwrap();
    let file = uploaded(&stage, &[("stead-machine/main.tf", GOOD)]).await;
    let id = stage.ask(create("a-1", &file)).await.unwrap().id;
    stage.ask(wait(&id)).await.unwrap();
    let start = |version: Option<&str>| StartWorkspace {
        login: LOGIN.to_owned(),
        organization: "default".to_owned(),
        user: "john".to_owned(),
        name: "dev".to_owned(),
        template: TEMPLATE.to_owned(),
        marker: marker(),
        joined: None,
        version: version.map(str::to_owned),
    };
    let name = async |version: Option<&str>| {
        let made = stage.ask(start(version)).await.unwrap();
        let name = made.version.unwrap().name;
        assert_eq!(stage.lab.built_version("john", "dev"), Some(name.clone()));
        (name, made.id)
    };
    let (first, workspace) = name(None).await;
    assert_eq!(first, "v1", "the active one");
    stage.ask(promote(&id)).await.unwrap();
    let stop = StopWorkspace { login: LOGIN.to_owned(), id: workspace.clone() };
    stage.ask(stop).await.unwrap();
    assert_eq!(name(None).await.0, "v1", "what is active now reaches new ones only");
    for _ in 0..2 {
        assert_eq!(name(Some(&id)).await, ("a-1".to_owned(), workspace.clone()));
    }
    assert_eq!(name(None).await.0, "a-1");
    assert_eq!(stage.count("coder-build-start"), 3);
    // What is gone is made of the one that is named, whichever is active.
    let (login, user, dev) = (LOGIN.to_owned(), "john".to_owned(), "dev".to_owned());
    let delete = DeleteWorkspace { login, user, name: dev, marker: marker(), joined: None };
    stage.ask(delete).await.unwrap();
    assert_eq!(name(Some(&before.id)).await.0, "v1");
}

const SIZED: &str = r#"
variable "token" {
  type = string
}

variable "region" {
  default = "north"
}

data "coder_parameter" "cores" {
  name    = "cpu_cores"
  type    = "number"
  default = 4
  validation {
    min = 1
    max = 64
  }
}

data "coder_parameter" "storage_backend" {
  default = "nvme"
  option {
    value = "iscsi"
  }
  option {
    value = "nvme"
  }
}
"#;

#[tokio::test]
async fn what_may_be_chosen_is_read_and_secrets_go_to_coder_alone() {
    let stage = Stage::open().await;
    let canary = "canary-4711\nand-its-second-line";
    stage.keep("vault:secret/data/coder/template", json!({ "token": canary })).await;
    let file = uploaded(&stage, &[("stead-machine/more.tf", SIZED)]).await;
    let bare = stage.ask(create("a-1", &file)).await.unwrap().id;
    let said = stage.ask(wait(&bare)).await.unwrap().error.unwrap();
    assert_eq!(said, "required template variables need values: token");

    let variables: BTreeMap<String, String> =
        [("token".to_owned(), "vault:secret/data/coder/template#1".to_owned())].into();
    let given = |name: &str| CreateVersion { variables: variables.clone(), ..create(name, &file) };
    let id = stage.ask(given("a-2")).await.unwrap().id;
    let import = stage.ask(wait(&id)).await.unwrap();
    let choice = |name: &str| {
        let found = import.parameters.iter().find(|parameter| parameter.name == name).unwrap();
        found.choice.clone().unwrap()
    };
    let numbers = Choice { min: Some(1), max: Some(64), options: Vec::new() };
    assert_eq!(choice("cpu_cores"), numbers);
    assert_eq!(choice("storage_backend").options, ["iscsi", "nvme"]);

    // Terraform says in its error what it was given; we do not.
    stage.lab.break_("coder", "import-failed").unwrap();
    let id = stage.ask(given("a-3")).await.unwrap().id;
    let failed = AwaitImport { variables, ..wait(&id) };
    let said = stage.ask(failed).await.unwrap().error.unwrap();
    assert_eq!(said, "terraform plan: Error: Invalid value. var.token is \"[token]\"");
    let elsewhere = [("region".to_owned(), "vault:secret/data/coder/template#1".to_owned())].into();
    let failure = stage
        .refused(CreateVersion { variables: elsewhere, ..create("a-4", &file) }, Class::Permanent)
        .await;
    assert!(failure.words.ends_with("has no field `region`"), "{failure}");
}

#[test]
fn no_value_is_told_quoted_or_where_another_one_begins_it() {
    let values = [
        ("a", "hunter2"),
        ("b", "hunter2-and-more"),
        ("registry", r#"{"auth":"c2VjcmV0"}"#),
        ("tail", "first line\nsecond line"),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let told = |text: &str| super::without(&values, text);
    assert_eq!(told("is hunter2-and-more"), "is [b]");
    assert_eq!(told(r#"var.r is "{\"auth\":\"c2VjcmV0\"}""#), r#"var.r is "[registry]""#);
    assert_eq!(told(r#"var.t is "first line\nsecond line""#), r#"var.t is "[tail]""#);
    assert_eq!(told("second line"), "[tail]");
}
