//! What happens to templates of Coder's, told as text, and what is refused.

use std::time::Duration;

use serde_json::json;
use stead_schemas::command::template::TemplateView;
use stead_schemas::site::Site;
use stead_testkit::{Trouble, tells, tells_of};

use crate::asker::Asker;
use crate::kits::{self, site};

impl Asker {
    /// The template `stead-machine` of platform.
    fn template() -> Self {
        Self::template_on(site())
    }

    fn template_on(site: Site) -> Self {
        Self::of(["template", "platform", "stead-machine"], site)
    }

    /// The branch ends with another commit, whose first letter tells what it holds.
    fn commit(&mut self, letter: &str, last: &str) {
        self.stage.world.head = format!("{}{last}", letter.repeat(39));
    }

    /// How often a step was carried out.
    fn count(&self, step: &str) -> usize {
        self.stage.world.log.iter().filter(|carried_out| *carried_out == step).count()
    }
}

#[test]
fn a_push_reads_like_this() {
    tells(
        &kits::push_template(),
        "
        command  template.push
        step     vault.pin-secrets       done
        step     forgejo.look-up-head    done
        step     forgejo.set-status      done
        step     coder.look-up-template  done
        step     coder.upload-template   done
        step     coder.create-version    done
        step     coder.await-import      done
        step     coder.promote-version   done
        step     forgejo.set-status      done
        note     stead-machine: aaaaaaaaaaaa-1.1 is active
        done     template.push
        ",
    );
}

#[test]
fn what_cannot_be_promoted_is_taken_back() {
    tells_of(
        &kits::push_template(),
        &Trouble::failing("coder.promote-version"),
        "
        command  template.push
        step     vault.pin-secrets       done
        step     forgejo.look-up-head    done
        step     forgejo.set-status      done
        step     coder.look-up-template  done
        step     coder.upload-template   done
        step     coder.create-version    done
        step     coder.await-import      done
        step     coder.promote-version   failed lasting: it was made to fail
        undo     coder.restore-version   done
        undo     coder.archive-version   done
        step     forgejo.set-status      done
        note     stead-machine: aaaaaaaaaaaa is not deployed: coder.promote-version: it was made to fail
        changed  rejections-are-told
        step     notice.tell             done
        failed   coder.promote-version: it was made to fail
        ",
    );
}

#[test]
fn a_failed_import_leaves_the_active_version_and_is_not_tried_again_until_something_changes() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    tale.commit("b", "b");
    tale.stage.world.import_error = Some("Unclosed configuration block".into());
    let words = tale.failed("check", json!({}));
    assert_eq!(words, "Coder cannot import it: Unclosed configuration block");
    assert_eq!(tale.stage.world.names(), ["active a", "version a"]);
    let view = tale.view::<TemplateView>();
    assert_eq!((view.phase.word(), view.active.as_deref()), ("rejected", Some("aaaaaaaaaaaa-1.1")));
    assert!(view.trouble.is_some_and(|words| words.contains("Unclosed")));
    assert_eq!(
        tale.stage.world.said,
        ["pending a", "success a", "pending b", "failure b"],
        "whoever has pushed it sees it"
    );
    // The webhook comes once more, and somebody looks at the branch: it was tried.
    let told = tale.done("check", json!({}));
    assert_eq!(told["what"], "the branch ends with what was tried before");
    assert_eq!(tale.count("coder.create-version"), 2);
    assert_eq!(tale.view::<TemplateView>().phase.word(), "rejected");
    // By hand it is tried again; so is what comes behind it.
    tale.done("push", json!({}));
    assert_eq!(tale.stage.world.names(), ["active b", "version a", "version b"]);
    tale.stage.everything_replays();
}

const MINUTE: Duration = Duration::from_secs(60);

/// A template whose branch is looked at by itself every five minutes, with a version that is active.
fn polled() -> Asker {
    let mut site = site();
    site.deployments[0].poll = Some("*/5 * * * *".into());
    let mut tale = Asker::template_on(site);
    tale.done("push", json!({}));
    tale
}

#[test]
fn a_webhook_that_is_lost_is_made_up_for_without_anybodys_schedule() {
    let mut tale = polled();
    tale.commit("b", "b");
    tale.stage.pass(6 * MINUTE);
    assert_eq!(tale.stage.world.active, "id-bbbbbbbbbbbb-1.2");
    // As often as it is looked, what was tried is not tried again, and the history stays short.
    let before = tale.count("coder.create-version");
    tale.stage.pass(24 * 60 * MINUTE);
    assert_eq!(tale.count("coder.create-version"), before);
    assert!(tale.count("forgejo.look-up-head") > 280);
    // Of an outage nothing is left but the time that it took.
    tale.commit("c", "c");
    tale.stage.world.late_next = Some("coder.look-up-template".into());
    tale.stage.pass(6 * MINUTE);
    assert_eq!(tale.stage.world.active, "id-bbbbbbbbbbbb-1.2");
    tale.stage.pass(6 * MINUTE);
    assert_eq!(tale.stage.world.active, "id-cccccccccccc-1.3");
    // What was missed while no engine ran is one look.
    let looks = tale.count("forgejo.look-up-head");
    tale.stage.be_away_until(tale.stage.now().after(60 * MINUTE));
    tale.stage.pass(MINUTE);
    assert_eq!(tale.count("forgejo.look-up-head"), looks + 1);
    tale.stage.everything_replays();
}

#[test]
fn it_is_looked_as_the_configuration_says_now_and_not_once_it_says_nothing() {
    let mut tale = polled();
    let looks = |tale: &Asker| tale.count("forgejo.look-up-head");
    tale.stage.site.deployments[0].poll = Some("0 * * * *".into());
    tale.done("keep", json!({}));
    let before = looks(&tale);
    tale.stage.pass(61 * MINUTE);
    assert_eq!(looks(&tale), before + 1);
    // The branch is another one by now.
    tale.stage.site.deployments[0].branch = "next".into();
    tale.done("keep", json!({}));
    tale.stage.pass(61 * MINUTE);
    assert_eq!(tale.view::<TemplateView>().branch, "next");
    for silent in [false, true] {
        if silent {
            tale.stage.site.deployments.clear();
        } else {
            tale.stage.site.deployments[0].poll = None;
        }
        tale.done("keep", json!({}));
        let before = looks(&tale);
        tale.stage.pass(5 * 60 * MINUTE);
        assert_eq!(looks(&tale), before);
    }
    assert_eq!(tale.done("forget", json!({}))["phase"], "forgotten");
    assert_eq!(tale.refused("keep", json!({})), "template.unknown", "nobody brings it back");
    tale.stage.everything_replays();
}

#[test]
fn what_was_pushed_while_somebody_was_away_is_deployed_by_the_next_look() {
    for step in ["coder.look-up-template", "coder.await-import", "coder.promote-version"] {
        let mut tale = Asker::template();
        tale.done("push", json!({}));
        tale.commit("b", "b");
        tale.stage.world.late_next = Some(step.into());
        tale.failed("check", json!({}));
        assert_eq!(tale.view::<TemplateView>().phase.word(), "rejected", "{step}");
        tale.done("check", json!({}));
        assert_eq!(tale.stage.world.names(), ["active b", "version a", "version b"], "{step}");
        tale.stage.everything_replays();
    }
}

#[test]
fn what_was_gone_back_from_stays_so_while_somebody_is_away() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    tale.commit("b", "b");
    tale.done("push", json!({}));
    tale.done("rollback", json!({}));
    tale.commit("c", "c");
    tale.stage.world.late_next = Some("coder.look-up-template".into());
    tale.failed("check", json!({}));
    // The branch is set back to what was gone back from.
    tale.commit("b", "b");
    let told = tale.done("check", json!({}));
    assert_eq!(told["what"], "the branch ends with what was tried before");
    assert_eq!(tale.stage.world.active, "id-aaaaaaaaaaaa-1.1");
    // What a step refuses for good is tried: it would be refused at every look.
    tale.commit("d", "d");
    tale.stage.world.fails_next = Some("coder.upload-template".into());
    tale.failed("check", json!({}));
    tale.done("check", json!({}));
    assert_eq!(tale.stage.world.active, "id-aaaaaaaaaaaa-1.1");
    tale.stage.everything_replays();
}

#[test]
fn a_template_that_stead_cannot_use_is_not_promoted() {
    let mut tale = Asker::template();
    tale.stage.world.parameters = vec![("region".into(), false)];
    assert!(tale.failed("push", json!({})).contains("no parameter stead_run"));
    tale.stage.world.parameters =
        vec![("stead_run".into(), true), ("region".into(), true), ("size".into(), false)];
    assert_eq!(
        tale.failed("push", json!({})),
        "Stead gives no value for region: let it have a default"
    );
    assert_eq!((tale.stage.world.names().len(), tale.stage.world.active.as_str()), (0, "id-v0"));
    tale.stage.world.parameters[1].1 = false;
    tale.done("push", json!({}));
    assert_eq!(tale.view::<TemplateView>().active.as_deref(), Some("aaaaaaaaaaaa-1.3"));
    tale.stage.everything_replays();
}

#[test]
fn what_a_template_lets_choose_is_what_the_site_allows() {
    let slider = |min: u32, max: u32| json!({ "min": min, "max": max });
    let backends = |words: &[&str]| json!({ "options": words });
    let mut with_volumes = site();
    with_volumes.templates[0].volume_gb_max = Some(100);
    for (parameter, choice, words) in [
        ("cpu_cores", slider(1, 64), Some("goes from 1 to 64, and debian-12 takes 2 to 16")),
        ("cpu_cores", slider(2, 17), Some("goes from 2 to 17, and debian-12 takes 2 to 16")),
        ("cpu_cores", json!({ "min": 2 }), Some("goes from 2 without an end, and debian-12")),
        ("memory_gb", json!({}), Some("may be anything, and debian-12 takes 4 to 64")),
        ("memory_gb", backends(&["8", "128"]), Some("offers 8, 128, and debian-12 takes")),
        ("storage_backend", backends(&["nvme", "tape"]), Some("offers nvme, tape, and debian-12")),
        ("disk_gb", slider(20, 200), Some("goes from 20 to 200, and debian-12 takes 40 to")),
        ("volume_gb", slider(0, 500), Some("goes from 0 to 500, and debian-12 takes 0 to 100")),
        ("volume_gb", slider(0, 100), None),
        ("cpu_cores", slider(4, 8), None),
        ("memory_gb", backends(&["4", "64"]), None),
        ("storage_backend", backends(&["nvme"]), None),
        ("region", json!({}), None),
    ] {
        let mut tale = Asker::template_on(with_volumes.clone());
        tale.stage.world.parameters.push((parameter.to_owned(), false));
        tale.stage.world.choices.insert(parameter.to_owned(), choice.clone());
        match words {
            Some(words) => {
                let said = tale.failed("push", json!({}));
                assert!(said.starts_with(&format!("its parameter {parameter} {words}")), "{said}");
                assert_eq!(tale.stage.world.active, "id-v0", "{parameter}: {choice}");
            }
            None => drop(tale.done("push", json!({}))),
        }
        tale.stage.everything_replays();
    }
    // Another template of the site's that it shows may allow it.
    let mut site = site();
    let mut larger = site.templates[0].clone();
    (larger.name, larger.cpu_cores.max) = ("large".into(), 64);
    site.templates.push(larger);
    let mut tale = Asker::template_on(site);
    tale.stage.world.parameters.push(("cpu_cores".to_owned(), false));
    tale.stage.world.choices.insert("cpu_cores".to_owned(), slider(2, 64));
    tale.done("push", json!({}));
}

#[test]
fn secrets_are_given_by_reference_and_a_new_one_makes_a_new_version() {
    let mut site = site();
    let reference = "vault:secret/data/coder/template";
    site.deployments[0].variables = [("token".to_owned(), reference.to_owned())].into();
    let mut tale = Asker::template_on(site);
    tale.done("push", json!({}));
    assert_eq!(tale.stage.world.variables, json!({ "token": format!("{reference}#1") }));
    let told = tale.done("push", json!({}));
    assert_eq!(told["what"], "the active version is made of the same files");
    tale.stage.world.version = 2;
    tale.done("push", json!({}));
    assert_eq!(tale.stage.world.variables, json!({ "token": format!("{reference}#2") }));
    tale.stage.everything_replays();
}

#[test]
fn the_same_files_make_no_version() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    tale.commit("a", "b");
    let told = tale.done("check", json!({}));
    assert_eq!(told["what"], "the active version is made of the same files");
    assert_eq!(tale.count("coder.create-version"), 1);
    // Somebody has promoted something by hand: then it is made.
    tale.stage.world.active = "id-x".into();
    tale.done("push", json!({}));
    assert_eq!(tale.count("coder.create-version"), 2);
    tale.stage.everything_replays();
}

#[test]
fn one_can_go_back_to_every_version_that_was_active() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    tale.commit("b", "b");
    tale.done("push", json!({ "promote": false }));
    assert_eq!(tale.stage.world.names(), ["active a", "version a", "version b"]);
    tale.commit("c", "c");
    tale.done("push", json!({}));
    // Never active, b is passed by.
    let told = tale.done("rollback", json!({}));
    assert_eq!(
        (&told["active"], &told["commit"]),
        (&json!("aaaaaaaaaaaa-1.1"), &json!("a".repeat(40)))
    );
    // What one has gone back from is not pushed again by itself.
    tale.done("check", json!({}));
    assert_eq!(tale.stage.world.active, "id-aaaaaaaaaaaa-1.1");
    tale.done("rollback", json!({}));
    assert_eq!(tale.stage.world.active, "id-v0", "which was there before Stead");
    assert_eq!(tale.refused("rollback", json!({})), "template.no-earlier");
    tale.done("promote", json!({ "version": "bbbbbbbbbbbb-1.2" }));
    assert_eq!(tale.stage.world.names(), ["active b", "version a", "version b", "version c"]);
    assert_eq!(tale.refused("promote", json!({ "version": "b" })), "template.version-unknown");
    tale.done("promote", json!({}));
    assert_eq!(tale.view::<TemplateView>().active.as_deref(), Some("cccccccccccc-1.3"));
    // Somebody else has promoted something: back is where Stead has been.
    tale.stage.world.active = "id-x".into();
    tale.done("rollback", json!({}));
    assert_eq!(tale.stage.world.active, "id-cccccccccccc-1.3");
    tale.stage.everything_replays();
}

#[test]
fn a_commit_that_somebody_names_brings_back_no_head_that_was_gone_back_from() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    tale.commit("b", "b");
    tale.done("push", json!({}));
    tale.done("rollback", json!({}));
    tale.done("push", json!({ "commit": "a".repeat(40) }));
    tale.done("check", json!({}));
    assert_eq!(tale.stage.world.active, "id-aaaaaaaaaaaa-1.1", "b is still the head, and tried");
    tale.stage.everything_replays();
}

#[test]
fn a_long_life_stays_short_and_keeps_what_is_active() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    for number in 0..60_u32 {
        let letters = ["b", "c", "d", "e", "f"];
        tale.commit(letters[number as usize % letters.len()], "b");
        tale.done("push", json!({ "promote": false }));
    }
    let view = tale.view::<TemplateView>();
    assert_eq!((view.versions.len(), view.active.as_deref()), (21, Some("aaaaaaaaaaaa-1.1")));
    assert_eq!(view.versions[20].name, "aaaaaaaaaaaa-1.1");
    tale.stage.everything_replays();
}

#[test]
fn a_forget_stops_a_push_and_leaves_what_is_there() {
    let mut tale = Asker::template();
    tale.done("push", json!({}));
    tale.commit("b", "b");
    let push = tale.command("push", json!({}));
    tale.stage.give(&push).expect("it is let in");
    for _ in 0..6 {
        tale.stage.one_step();
    }
    assert_eq!(tale.done("forget", json!({}))["phase"], "forgotten");
    assert_eq!(tale.stage.world.names(), ["active a", "version a"]);
    assert_eq!(tale.refused("forget", json!({})), "template.unknown");
    tale.done("check", json!({}));
    assert_eq!(tale.stage.world.active, "id-bbbbbbbbbbbb-2.1", "a new life counts anew");
    tale.stage.everything_replays();
}

#[test]
fn what_the_site_does_not_deploy_is_refused_at_the_door() {
    let mut tale = Asker::template();
    assert_eq!(tale.refused("rollback", json!({})), "template.unknown");
    assert_eq!(tale.refused("promote", json!({})), "template.unknown");
    for commit in ["abc", &"A".repeat(40), &"g".repeat(40), ""] {
        assert_eq!(tale.refused("push", json!({ "commit": commit })), "template.commit-invalid");
    }
    assert_eq!(tale.refused("check", json!({ "commit": "a".repeat(40) })), "command.unknown-field");
    tale.owner = "john";
    assert_eq!(tale.refused("push", json!({})), "template.not-yours");
    tale.owner = "platform";
    tale.name = "other";
    assert_eq!(tale.refused("push", json!({})), "template.unknown");
    tale.name = "Other";
    assert_eq!(tale.refused("push", json!({})), "template.name-invalid");
    let mut nowhere = Asker::template_on(Site { forgejo: None, ..site() });
    assert_eq!(nowhere.refused("push", json!({})), "template.no-forgejo");
}
