//! People: who is disabled at Authentik has his workspaces stopped, and nothing else. A missing answer is
//! no statement, and one by which many would be stopped at once needs somebody who confirms it.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::command::people::{KIND, NAME, OwnerView, PeopleView, Standing};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::failure::Class;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{Allowance, GroupAllowance, Site};
use stead_testkit::{Kit, Stage, Trouble, tells};
use stead_workflows::WORKFLOWS;

use crate::kits::{self, authentik, routes};
use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than it takes until Authentik is asked again.
const A_WHILE: Duration = Duration::from_secs(6 * 60);

/// Owners, each with a workspace that is called as he is.
struct Town {
    stage: Stage<World>,
    commands: u32,
}

impl Town {
    fn of(owners: &[&str]) -> Self {
        Self::with(owners, &Trouble::default().crash())
    }

    fn with(owners: &[&str], trouble: &Trouble) -> Self {
        let site = Site { authentik: Some(authentik()), notify: routes(), ..kits::site() };
        let stage = Kit::of(WORKFLOWS).site(site).stage(trouble);
        let mut town = Self { stage, commands: 0 };
        for owner in owners {
            town.stage.world.join(owner);
            town.done(owner, "create", json!({}));
        }
        town
    }

    fn give_to(
        &mut self,
        [kind, owner, name]: [&str; 3],
        verb: &str,
        fields: Value,
    ) -> Result<Outcome, Refusal> {
        self.commands += 1;
        let command = EntityCommand {
            kind: kind.into(),
            owner: Owner::new(owner).expect("a name"),
            name: name.into(),
            verb: verb.into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Api,
        };
        self.stage.give(&command)?;
        self.stage.work();
        let outcome = self.stage.outcome(&command.key(), &command.id);
        Ok(outcome.expect("the command has an outcome"))
    }

    fn give(&mut self, owner: &str, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        self.give_to(["workspace", owner, owner], verb, fields)
    }

    fn done(&mut self, owner: &str, verb: &str, fields: Value) {
        let outcome = self.give(owner, verb, fields);
        assert!(matches!(outcome, Ok(Outcome::Done(_))), "{owner} {verb}: {outcome:?}");
    }

    /// Why a command was not carried out, at the door or behind it.
    fn refused(&mut self, owner: &str, verb: &str) -> String {
        match self.give(owner, verb, json!({})) {
            Err(refusal) => format!("{}: {}", refusal.code, refusal.words),
            Ok(Outcome::Failed(failure)) => failure.words,
            done => panic!("{owner} {verb}: {done:?}"),
        }
    }

    fn people(&mut self, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        self.give_to([KIND, "stead", NAME], verb, fields)
    }

    /// Authentik says so, and it is looked at.
    fn hears(&mut self, name: &str, is_active: bool) {
        self.stage.world.set_active(name, is_active);
        self.stage.pass(A_WHILE);
    }

    fn run(&self, [kind, owner, name]: [&str; 3]) -> RunId {
        let key = EntityKey::of(kind, &Owner::new(owner).expect("a name"), name);
        self.stage.latest(&key).expect("it lives, or has lived")
    }

    fn phase(&self, owner: &str) -> String {
        self.stage.phase(&self.run(["workspace", owner, owner]))
    }

    fn view(&self) -> PeopleView {
        let view = self.stage.view(&self.run([KIND, "stead", NAME]));
        serde_json::from_value(view).expect("a view")
    }

    fn seen(&self, owner: &str) -> OwnerView {
        let owners = self.view().owners;
        owners.into_iter().find(|one| one.owner.as_str() == owner).expect("he is known")
    }

    /// What was noted of people, the kinds of it.
    fn noted(&self) -> Vec<String> {
        let history = self.stage.history(&self.run([KIND, "stead", NAME]));
        let events = history.iter().flat_map(|transition| &transition.events);
        let noted = events.filter_map(|event| match event {
            Event::Noted(noted) => Some(noted.what.clone()),
            _ => None,
        });
        noted.collect()
    }
}

#[test]
fn how_much_somebody_may_have_depends_on_the_groups_that_he_is_in_now() {
    let mut town = Town::of(&[]);
    let cores = |cores| Allowance { cpu_cores: Some(cores), ..Allowance::default() };
    let mut authentik = authentik();
    let of = |group: &str, allowance| GroupAllowance { groups: vec![group.into()], allowance };
    authentik.allowances = vec![of("large", cores(8)), of("small", cores(6))];
    town.stage.site.authentik = Some(authentik);
    let wide = json!({ "cpu_cores": 8 });
    town.done("john", "create", wide.clone());
    town.done("john", "delete", json!({ "now": true }));
    town.stage.world.groups.insert("subject-john".into(), vec!["small".into()]);
    let failed = town.give("john", "create", wide.clone());
    let Ok(Outcome::Failed(failure)) = failed else { panic!("he may have 6: {failed:?}") };
    assert_eq!(failure.words, "john would have 8 cores, and may have 6; stopped workspaces count");
    town.stage.world.groups.insert("subject-john".into(), vec!["large".into(), "small".into()]);
    town.done("john", "create", wide);
    // He is in no group any more, and has not given back what he has.
    town.stage.world.groups.clear();
    town.stage.site.allowance = cores(6);
    town.done("john", "delete", json!({ "now": true }));
    town.done("john", "create", json!({ "cpu_cores": 4 }));
    town.stage.everything_replays();
}

#[test]
fn a_create_finds_out_who_its_owner_is() {
    let site = Site { authentik: Some(authentik()), ..kits::site() };
    let kit = Kit::<World>::of(WORKFLOWS).site(site).entity("workspace", "john", "dev");
    tells(
        &kit.command("create", json!({})),
        "
        command  workspace.create
        step     vault.pin-secrets      done
        step     people.meet            done
        step     authentik.find-user    done
        step     people.record          done
        changed  coder-is-surveyed
        step     coder.survey           done
        step     proxmox.survey         done
        note     on pve1: 64 GiB of memory free, the most
        step     truenas.survey-pool    done
        step     home.attach            done
        step     vmids.reserve          done
        step     proxmox.clone-vm       done
        step     proxmox.configure-vm   done
        step     proxmox.resize-disk    done
        step     coder.start-workspace  done
        step     proxmox.start-vm       done
        step     guest.await-home       done
        step     coder.await-agent      done
        done     workspace.create
        ",
    );
}

#[test]
fn whoever_is_unknown_or_disabled_gets_no_workspace() {
    let mut town = Town::of(&[]);
    assert_eq!(town.refused("mary", "create"), "authentik: there is no user mary");
    town.stage.world.join("Mary");
    assert_eq!(town.refused("mary", "create"), "authentik: there is no user mary");
    town.stage.world.join("mary");
    town.stage.world.set_active("mary", false);
    assert_eq!(town.refused("mary", "create"), "authentik: user is disabled: mary");
    assert!(town.stage.world.things.is_empty(), "{:?}", town.stage.world.things);
    assert!(town.view().owners.is_empty(), "nobody is known who owns nothing");
    town.stage.world.unseen = Some(Class::Auth);
    town.refused("mary", "create");
    town.stage.world.unseen = None;
    town.stage.world.set_active("mary", true);
    town.done("mary", "create", json!({}));
    assert_eq!(town.seen("mary").subject.as_deref(), Some("subject-mary"));
    town.done("mary", "delete", json!({ "now": true }));
    assert!(town.seen("mary").workspaces.is_empty(), "who he is, is remembered");
    town.stage.everything_replays();
}

#[test]
fn the_workspaces_of_whoever_is_disabled_stop_and_start_no_more_until_he_is_back() {
    let mut town = Town::of(&["john", "mary"]);
    town.done("john", "configure", json!({ "autostart": "*/30 * * * *" }));
    town.hears("john", false);
    assert_eq!((town.phase("john"), town.phase("mary")), ("stopped".into(), "ready".into()));
    assert_eq!(town.seen("john").standing, Standing::Disabled);
    let why = "workspace.held: it may not run: authentik: user is disabled: john";
    for verb in ["start", "restart", "rebuild", "update"] {
        assert_eq!(town.refused("john", verb), why, "{verb}");
    }
    town.stage.pass(Duration::from_secs(3600));
    assert_eq!(town.phase("john"), "stopped", "nor is it started by itself");
    assert!(town.stage.world.things.contains_key("dataset tank/home/john"));
    town.hears("john", true);
    assert_eq!(town.phase("john"), "stopped", "he may, and has not asked for it");
    town.done("john", "start", json!({}));
    assert_eq!(town.phase("john"), "ready");
    assert!(town.noted().ends_with(&["owner-stopped".into(), "owner-back".into()]));
    town.stage.everything_replays();
}

#[test]
fn whoever_is_gone_is_as_good_as_disabled_and_loses_nothing() {
    let mut town = Town::of(&["john", "mary"]);
    town.stage.world.leave("john");
    town.stage.pass(A_WHILE);
    assert_eq!(
        (town.phase("john"), town.seen("john").standing),
        ("stopped".into(), Standing::Unknown)
    );
    // Somebody else is called so now: what is john's is not his.
    town.stage.world.join_as("john", "subject-other");
    town.stage.pass(A_WHILE);
    assert!(town.refused("john", "start").contains("there is no user john"));
    let vms = town.stage.world.things.keys().filter(|thing| thing.starts_with("vm ")).count();
    assert_eq!(vms, 2, "nothing is taken away");
    town.done("john", "delete", json!({ "now": true }));
    let refused = town.refused("john", "create");
    assert!(refused.contains("stead owner forget john"), "{refused}");
    let fields = json!({ "owner": "john", "why": "he has left, and another one has come" });
    town.people("forget", fields).expect("let in");
    town.done("john", "create", json!({}));
    assert_eq!(town.seen("john").subject.as_deref(), Some("subject-other"));
}

#[test]
fn an_owner_who_has_workspaces_is_not_forgotten() {
    let mut town = Town::of(&["john"]);
    let fields = json!({ "owner": "john", "why": "a test" });
    let outcome = town.people("forget", fields).expect("let in");
    assert!(matches!(&outcome, Outcome::Failed(f) if f.words.contains("delete them first: john")));
    let nobody = town.people("forget", json!({ "owner": "jon", "why": "a slip" }));
    assert_eq!(nobody.expect_err("refused").code, "people.unknown");
    assert_eq!(town.seen("john").workspaces, ["john"]);
}

#[test]
fn a_missing_answer_is_no_statement_and_shows() {
    let mut town = Town::of(&["john"]);
    town.stage.world.set_active("john", false);
    town.stage.world.unseen = Some(Class::Auth);
    town.stage.pass(Duration::from_secs(3600));
    assert_eq!(town.phase("john"), "ready");
    let trouble = town.view().trouble.expect("it shows");
    assert!(trouble.contains("it is not known who is disabled"), "{trouble}");
    let notes = town.noted();
    assert_eq!(notes.iter().filter(|what| *what == "people-unseen").count(), 1, "{notes:?}");
    let outcome = town.people("look", json!({})).expect("let in");
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    town.stage.world.unseen = None;
    let outcome = town.people("look", json!({})).expect("let in");
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!((town.view().trouble, town.phase("john")), (None, "stopped".into()));
}

#[test]
fn many_at_once_are_stopped_only_if_somebody_confirms_it() {
    let owners = ["a", "b", "c", "d", "e", "f"];
    let mut town = Town::of(&owners);
    for forged in ["x\ny", "x\u{1b}[2K", ""] {
        let refused = town.people("confirm", json!({ "why": forged })).expect_err("refused");
        assert_eq!(refused.field.as_deref(), Some("why"), "{forged:?}");
    }
    let early = town.people("confirm", json!({ "why": "x" })).expect("let in");
    assert!(matches!(&early, Outcome::Failed(f) if f.words.contains("nothing is in doubt")));
    for owner in &owners[..4] {
        town.stage.world.set_active(owner, false);
    }
    town.stage.world.rename("e", "eve");
    town.stage.pass(A_WHILE * 3);
    let stopped =
        |town: &Town| owners.iter().filter(|owner| town.phase(owner) == "stopped").count();
    assert_eq!(stopped(&town), 0);
    assert_eq!(town.view().doubted.len(), 4);
    assert_eq!(town.seen("e").username.as_deref(), Some("eve"), "what is not in doubt is taken in");
    let notes = town.noted();
    assert_eq!(notes.iter().filter(|what| *what == "people-doubted").count(), 1, "{notes:?}");
    assert!(town.stage.world.messages.values().any(|m| m.to_string().contains("4 of 6 owners")));
    town.people("confirm", json!({ "why": "the company is sold" })).expect("let in");
    town.stage.pass(A_WHILE);
    assert_eq!((stopped(&town), town.view().doubted.len()), (4, 0));
    // The next time it is asked again.
    for owner in &owners[..4] {
        town.stage.world.set_active(owner, true);
    }
    town.stage.pass(A_WHILE);
    for owner in &owners[..4] {
        town.done(owner, "start", json!({}));
        town.stage.world.set_active(owner, false);
    }
    town.stage.pass(A_WHILE);
    assert_eq!((stopped(&town), town.view().doubted.len()), (0, 4));
    // Nor does it count as confirmed when it was only passing.
    for owner in &owners[..4] {
        town.stage.world.set_active(owner, true);
    }
    town.stage.pass(A_WHILE);
    assert!(town.view().doubted.is_empty());
    town.stage.everything_replays();
}

#[test]
fn a_few_of_a_few_may_go() {
    let mut town = Town::of(&["a", "b", "c"]);
    for owner in ["a", "b", "c"] {
        town.stage.world.set_active(owner, false);
    }
    town.stage.pass(A_WHILE);
    assert_eq!(["a", "b", "c"].map(|owner| town.phase(owner)), ["stopped"; 3]);
}

#[test]
fn whoever_is_renamed_keeps_what_he_has_under_the_name_that_it_was_made_under() {
    let mut town = Town::of(&["john"]);
    town.stage.world.rename("john", "johnny");
    town.stage.pass(A_WHILE);
    let john = town.seen("john");
    assert_eq!((john.username.as_deref(), john.standing), (Some("johnny"), Standing::Active));
    let before = town.stage.world.things.clone();
    for verb in ["stop", "start"] {
        town.done("john", verb, json!({}));
    }
    town.done("john", "resize", json!({ "storage_quota_gb": 80 }));
    assert_eq!(town.stage.world.things, before, "no home was made or moved");
    town.stage.world.log.clear();
    town.done("john", "rebuild", json!({}));
    assert!(!town.stage.world.log.iter().any(|step| step == "truenas.destroy-dataset"));
    town.hears("johnny", false);
    let refused = town.refused("john", "start");
    assert!(refused.contains("user is disabled: john, called johnny there"), "{refused}");
    assert!(
        town.stage.world.messages.values().any(|m| m.to_string().contains("called johnny now"))
    );
}

#[test]
fn what_cannot_be_stopped_is_stopped_later() {
    let mut town = Town::of(&["john"]);
    town.stage.world.fails_next = Some("proxmox.shutdown-vm".to_owned());
    town.hears("john", false);
    assert_eq!(town.phase("john"), "ready");
    assert!(town.refused("john", "restart").starts_with("workspace.held"));
    town.stage.pass(Duration::from_secs(11 * 60));
    assert_eq!(town.phase("john"), "stopped");
}

#[test]
fn where_authentik_is_asked_no_more_everybody_may_have_what_he_has() {
    let mut town = Town::of(&["john"]);
    town.hears("john", false);
    assert_eq!(town.phase("john"), "stopped");
    town.stage.site.authentik = None;
    town.people("look", json!({})).expect("let in");
    town.done("john", "start", json!({}));
    town.stage.pass(A_WHILE * 2);
    assert_eq!(town.phase("john"), "ready");
    town.stage.everything_replays();
}

#[test]
fn a_site_without_authentik_knows_no_people() {
    let mut town = Town::of(&[]);
    town.stage.site.authentik = None;
    town.done("nobody", "create", json!({}));
    let refusal = town.people("look", json!({})).expect_err("refused");
    assert_eq!(refusal.code, "people.no-authentik");
    let elsewhere = town.give_to([KIND, "john", NAME], "look", json!({})).expect_err("refused");
    assert_eq!(elsewhere.code, "people.name");
}

#[test]
fn a_long_life_begins_anew_and_knows_everybody_still() {
    let mut town = Town::with(&["john", "mary"], &Trouble::default());
    for is_active in [false, true].repeat(4) {
        for _ in 0..8 {
            town.stage.pass(A_WHILE);
        }
        town.hears("john", is_active);
    }
    let stretches = town.stage.stretches(&town.run([KIND, "stead", NAME]));
    assert!(stretches.len() > 1 && stretches.iter().all(|length| *length < 250), "{stretches:?}");
    assert_eq!(town.seen("mary").workspaces, ["mary"]);
    town.done("john", "start", json!({}));
    town.stage.everything_replays();
}

#[test]
fn what_may_not_run_is_not_deleted_by_itself_either() {
    let mut town = Town::with(&["john", "ann", "bob", "cid"], &Trouble::default());
    town.done(
        "john",
        "configure",
        json!({ "ttl_hours": 48, "dormant_days": 1, "dormant_delete_days": 1 }),
    );
    town.hears("john", false);
    assert_eq!(town.phase("john"), "stopped");
    town.stage.pass(9 * DAY);
    let phase = town.phase("john");
    assert!(
        ["stopped", "dormant"].contains(&phase.as_str()),
        "{phase}: nobody could have started it"
    );
    // What would have ended meanwhile is announced first.
    town.hears("john", true);
    town.stage.pass(DAY / 2);
    let phase = town.phase("john");
    assert!(["stopped", "dormant"].contains(&phase.as_str()), "{phase}");
    town.stage.pass(3 * DAY);
    assert_eq!(town.phase("john"), "deleted");
    town.stage.everything_replays();
}

#[test]
fn a_delete_and_an_undelete_do_not_bring_back_what_may_not_run() {
    let mut town = Town::with(&["john"], &Trouble::default());
    town.stage.site.truenas.grace_seconds = 7 * 24 * 3_600;
    // It is older than the site's Authentik, and was taken in by a look.
    town.stage.site.authentik = None;
    town.give_to(["workspace", "john", "old"], "create", json!({})).expect("it is let in");
    town.stage.site.authentik = Some(authentik());
    town.hears("john", false);
    town.give_to(["workspace", "john", "old"], "delete", json!({})).expect("it is let in");
    let back = town.give_to(["workspace", "john", "old"], "undelete", json!({}));
    let Ok(Outcome::Failed(failure)) = back else { panic!("{back:?}") };
    assert!(failure.words.contains("authentik: user is disabled"), "{failure}");
}
