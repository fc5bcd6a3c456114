//! What happens to MCP servers, told as text, and what is refused.

use serde_json::json;
use stead_schemas::command::mcp::McpView;
use stead_schemas::site::Site;
use stead_schemas::step::vmids::PLATFORM;
use stead_testkit::{Trouble, tells, tells_of};

use crate::asker::Asker;
use crate::kits::{self, site};

impl Asker {
    /// The server `outline`.
    fn mcp() -> Self {
        Self::mcp_on(site())
    }

    fn mcp_on(site: Site) -> Self {
        Self::of(["mcp", PLATFORM, "outline"], site)
    }

    fn releases(&self) -> Vec<String> {
        let view = self.view::<McpView>();
        view.releases
            .iter()
            .map(|release| release.image[release.image.len() - 1..].into())
            .collect()
    }

    fn active(&self) -> String {
        let view = self.view::<McpView>();
        view.active.map(|image| image[image.len() - 1..].to_owned()).unwrap_or_default()
    }
}

#[test]
fn a_deploy_reads_like_this() {
    tells(
        &kits::deploy_mcp(),
        &format!(
            "
            command  mcp.deploy
            step     vault.pin-secrets         done
            step     kubernetes.resolve-image  done
            step     kubernetes.try-apply      done
            step     kubernetes.apply          done
            step     kubernetes.await-rollout  done
            note     outline: registry.lan/outline@sha256:{} runs
            done     mcp.deploy
            ",
            "a".repeat(64)
        ),
    );
}

#[test]
fn the_first_deploy_that_fails_leaves_nothing() {
    tells_of(
        &kits::deploy_mcp(),
        &Trouble::failing("kubernetes.await-rollout"),
        "
        command  mcp.deploy
        step     vault.pin-secrets         done
        step     kubernetes.resolve-image  done
        step     kubernetes.try-apply      done
        step     kubernetes.apply          done
        step     kubernetes.await-rollout  failed lasting: it was made to fail
        undo     kubernetes.remove         done
        note     outline is not deployed, nothing of it is left: kubernetes.await-rollout: it was made to fail
        failed   kubernetes.await-rollout: it was made to fail
        ",
    );
}

#[test]
fn a_rollout_that_fails_ends_with_what_ran_before() {
    let mut tale = Asker::mcp();
    tale.done("deploy", json!({}));
    let before = tale.stage.world.servers.applied.clone();
    assert_eq!(before["env"]["MCP_MODE"], "http-streamable");
    assert_eq!(before["env"]["OUTLINE_URL"], "https://wiki.lan");
    tale.stage.world.servers.pods_fail = true;
    tale.stage.site.mcp_servers[0].replicas = 5;
    let words = tale.failed("deploy", json!({ "tag": "b" }));
    assert_eq!(words, "the new pods do not become ready in time");
    assert_eq!(tale.stage.world.names(), ["server outline a"]);
    assert_eq!(tale.stage.world.servers.applied, before, "as it was declared then");
    let view = tale.view::<McpView>();
    assert_eq!((view.phase.word(), tale.active().as_str()), ("rejected", "a"));
    assert!(view.trouble.is_some_and(|words| words.contains("do not become ready")));
    assert!(
        tale.notes().last().is_some_and(|note| note.starts_with("mcp-rejected: outline is not"))
    );
    tale.done("deploy", json!({ "tag": "b" }));
    assert_eq!(
        (tale.stage.world.servers.applied["replicas"].as_u64(), tale.active()),
        (Some(5), "b".into())
    );
    tale.stage.everything_replays();
}

#[test]
fn one_goes_back_to_what_ran_before_and_forward_again() {
    let mut tale = Asker::mcp();
    tale.done("deploy", json!({}));
    assert_eq!(tale.refused("rollback", json!({})), "mcp.no-earlier");
    for tag in ["b", "c", "c"] {
        tale.done("deploy", json!({ "tag": tag }));
    }
    assert_eq!(tale.releases(), ["c", "b", "a"], "the same image is one release");
    tale.done("rollback", json!({}));
    tale.done("rollback", json!({}));
    assert_eq!(tale.active(), "a");
    assert_eq!(tale.refused("rollback", json!({})), "mcp.no-earlier");
    tale.done("deploy", json!({ "tag": "d" }));
    assert_eq!(tale.releases(), ["d", "a"], "before d was a");
    tale.done("rollback", json!({}));
    assert_eq!(tale.stage.world.names(), ["server outline a"]);
    tale.stage.everything_replays();
}

#[test]
fn what_runs_is_put_right_with_the_very_image() {
    let mut tale = Asker::mcp();
    assert_eq!(tale.refused("repair", json!({})), "mcp.unknown");
    tale.done("deploy", json!({}));
    tale.done("deploy", json!({ "tag": "b" }));
    tale.stage.world.things.clear();
    tale.done("repair", json!({}));
    assert_eq!(tale.stage.world.names(), ["server outline b"]);
    assert_eq!(
        (tale.active(), tale.releases()),
        ("b".into(), ["b", "a"].map(str::to_owned).into())
    );
    tale.stage.everything_replays();
}

#[test]
fn a_long_life_keeps_few_releases() {
    let mut tale = Asker::mcp();
    for tag in ('a'..='z').chain('A'..='Z') {
        tale.done("deploy", json!({ "tag": tag.to_string() }));
    }
    assert_eq!((tale.releases().len(), tale.active().as_str()), (10, "Z"));
    tale.stage.everything_replays();
}

#[test]
fn a_remove_stops_a_deploy_and_takes_everything_away() {
    let mut tale = Asker::mcp();
    tale.done("deploy", json!({}));
    let deploy = tale.command("deploy", json!({ "tag": "b" }));
    tale.stage.give(&deploy).expect("it is let in");
    for _ in 0..4 {
        tale.stage.one_step();
    }
    assert_eq!(tale.done("remove", json!({}))["phase"], "removed");
    assert!(tale.stage.world.names().is_empty());
    assert_eq!(tale.refused("remove", json!({})), "mcp.unknown");
    tale.done("deploy", json!({}));
    assert_eq!(tale.releases(), ["a"], "a new life");
    tale.stage.everything_replays();
}

#[test]
fn a_server_is_taken_away_where_it_was_made() {
    let mut tale = Asker::mcp();
    tale.done("deploy", json!({}));
    tale.done("deploy", json!({ "tag": "b" }));
    tale.stage.site.kubernetes.as_mut().expect("it has one").namespace = "other".into();
    for verb in ["deploy", "rollback"] {
        let words = tale.failed(verb, json!({}));
        assert_eq!(words, "it runs in mcp-servers; remove it there before it is deployed in other");
    }
    assert_eq!(tale.stage.world.servers.applied["place"]["namespace"], "mcp-servers");
    tale.done("remove", json!({}));
    assert_eq!(tale.stage.world.servers.removed, "mcp-servers");
    tale.done("deploy", json!({}));
    assert_eq!(tale.stage.world.servers.applied["place"]["namespace"], "other");
    tale.stage.everything_replays();
}

#[test]
fn what_is_a_stranger_s_is_refused_before_anything_changes() {
    let mut tale = Asker::mcp();
    tale.stage.world.things.insert("server outline x".into(), "somebody".into());
    assert_eq!(tale.failed("deploy", json!({})), "the server is a stranger's");
    assert!(!tale.stage.world.log.contains(&"kubernetes.apply".to_owned()));
    tale.done("remove", json!({}));
    assert_eq!(tale.stage.world.names(), ["server outline x"]);
}

#[test]
fn only_what_the_site_declares_is_let_in() {
    let mut tale = Asker::mcp();
    assert_eq!(tale.refused("rollback", json!({})), "mcp.unknown");
    for tag in ["", "a b", "other/outline:1", "sha256:12@", "../x"] {
        assert_eq!(tale.refused("deploy", json!({ "tag": tag })), "mcp.tag-invalid", "{tag}");
    }
    assert_eq!(tale.refused("deploy", json!({ "image": "x" })), "command.unknown-field");
    tale.name = "other";
    assert_eq!(tale.refused("deploy", json!({})), "mcp.unknown");
    tale.name = "outline";
    tale.owner = "john";
    assert_eq!(tale.refused("deploy", json!({})), "mcp.owner");
    let mut nowhere = Asker::mcp_on(Site { kubernetes: None, ..site() });
    assert_eq!(nowhere.refused("deploy", json!({})), "mcp.no-kubernetes");
    // What is declared no longer can be taken away all the same.
    let mut tale = Asker::mcp();
    tale.done("deploy", json!({}));
    tale.stage.site.mcp_servers.clear();
    assert_eq!(tale.refused("deploy", json!({})), "mcp.unknown");
    tale.done("remove", json!({}));
    assert!(tale.stage.world.names().is_empty());
}
