//! What happens to buckets, told as text, and what is refused.

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::Outcome;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::Site;
use stead_testkit::{Kit, Stage, Trouble, tells, tells_of};
use stead_workflows::WORKFLOWS;

use crate::kits::{self, john, site};
use crate::world::World;

/// A stage, and the bucket `data` of john on it.
struct Tale {
    stage: Stage<World>,
    commands: u32,
}

impl Tale {
    fn new() -> Self {
        let mut tale = Self::empty(site());
        tale.done("create", json!({}));
        tale
    }

    fn empty(site: Site) -> Self {
        let kit = Kit::of(WORKFLOWS).site(site);
        Self { stage: kit.stage(&Trouble::default()), commands: 0 }
    }

    fn give(&mut self, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        self.give_to("data", verb, fields)
    }

    fn give_to(&mut self, name: &str, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        self.commands += 1;
        let command = EntityCommand {
            kind: "bucket".into(),
            owner: john(),
            name: name.into(),
            verb: verb.into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Api,
        };
        // No time passes: what waits for the end of a grace period goes on waiting.
        self.stage.give(&command)?;
        while self.stage.one_step() {}
        let outcome = self.stage.outcome(&command.key(), &command.id);
        Ok(outcome.expect("the command has an outcome"))
    }

    fn done(&mut self, verb: &str, fields: Value) -> Value {
        match self.give(verb, fields) {
            Ok(Outcome::Done(result)) => result,
            other => panic!("{verb}: {other:?}"),
        }
    }

    /// Why a command that was let in has failed.
    fn failed(&mut self, verb: &str, fields: Value) -> String {
        match self.give(verb, fields) {
            Ok(Outcome::Failed(failure)) => failure.words,
            other => panic!("{verb}: {other:?}"),
        }
    }

    fn refused(&mut self, verb: &str, fields: Value) -> String {
        self.give(verb, fields).expect_err("it is refused").code
    }
}

#[test]
fn a_create_reads_like_this() {
    tells(
        &kits::make_bucket(),
        "
        command  bucket.create
        step     vault.pin-secrets  done
        step     s3.ensure-key      done
        step     s3.ensure-bucket   done
        done     bucket.create
        ",
    );
}

#[test]
fn what_cannot_be_made_is_taken_back() {
    tells_of(
        &kits::make_bucket(),
        &Trouble::failing("s3.ensure-bucket"),
        "
        command  bucket.create
        step     vault.pin-secrets  done
        step     s3.ensure-key      done
        step     s3.ensure-bucket   failed lasting: it was made to fail
        undo     s3.delete-bucket   done
        undo     s3.delete-key      done
        failed   s3.ensure-bucket: it was made to fail
        over     failed
        ",
    );
}

#[test]
fn a_bucket_that_holds_something_goes_only_if_that_is_confirmed() {
    let mut tale = Tale::new();
    tale.stage.world.objects = 3;
    assert!(tale.failed("delete", json!({})).contains("say confirm: `data`"));
    assert_eq!(tale.refused("delete", json!({ "confirm": "dada" })), "bucket.confirm-differs");
    let kept = tale.done("delete", json!({ "confirm": "data" }));
    assert_eq!(kept["phase"], "kept");
    assert_eq!(tale.stage.world.objects, 3);
    assert_eq!(tale.done("delete", json!({ "confirm": "data" }))["kept_until"], kept["kept_until"]);
    assert!(tale.failed("attach", json!({ "workspace": "dev" })).contains("restore it first"));
    tale.stage.pass(kits::GRACE / 2);
    assert_eq!(tale.stage.world.names(), ["bucket john-data", "key john-data"]);
    tale.stage.pass(kits::GRACE);
    assert!(tale.stage.world.names().is_empty());
    assert_eq!(tale.stage.world.objects, 0);
    tale.stage.everything_replays();
}

#[test]
fn a_delete_is_taken_back_within_the_grace_period() {
    let mut tale = Tale::new();
    assert_eq!(tale.refused("restore", json!({})), "bucket.not-kept");
    tale.stage.world.objects = 3;
    tale.done("delete", json!({ "confirm": "data" }));
    assert_eq!(tale.done("restore", json!({}))["phase"], "ready");
    tale.stage.pass(kits::GRACE * 2);
    assert_eq!((tale.stage.world.names().len(), tale.stage.world.objects), (2, 3));
    tale.stage.everything_replays();
}

#[test]
fn a_bucket_that_a_workspace_uses_stays() {
    let mut tale = Tale::new();
    tale.done("attach", json!({ "workspace": "dev" }));
    tale.done("attach", json!({ "workspace": "dev" }));
    assert!(tale.failed("delete", json!({ "confirm": "data" })).contains("used by dev"));
    tale.done("detach", json!({ "workspace": "dev" }));
    assert_eq!(tale.done("delete", json!({}))["phase"], "deleted");
    assert!(tale.stage.world.names().is_empty());
    assert_eq!(tale.refused("resize", json!({ "quota_gb": 1 })), "bucket.unknown");
    tale.done("create", json!({ "quota_gb": 5 }));
    tale.stage.everything_replays();
}

#[test]
fn what_no_bucket_can_be_is_refused_at_the_door() {
    let mut tale = Tale::new();
    assert_eq!(tale.refused("create", json!({})), "bucket.exists");
    assert_eq!(tale.refused("resize", json!({})), "resize.nothing");
    for fields in [json!({ "quota_gb": 0 }), json!({ "objects_max": 0 })] {
        assert_eq!(tale.refused("resize", fields), "parameter.out-of-range");
    }
    assert_eq!(tale.refused("attach", json!({})), "parameter.missing");
    let code = tale.give_to("My.Data", "create", json!({})).expect_err("it is refused").code;
    assert_eq!(code, "bucket.name-invalid");
    let mut nowhere = Tale::empty(Site { s3: None, ..site() });
    assert_eq!(nowhere.refused("create", json!({})), "bucket.no-s3");
}
