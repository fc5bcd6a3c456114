//! What happens to buckets, told as text, and what is refused.

use serde_json::json;
use stead_schemas::site::{S3Kind, Site};
use stead_testkit::{Trouble, tells, tells_of};

use crate::asker::Asker;
use crate::kits::{self, site};

impl Asker {
    /// The bucket `data` of john.
    fn bucket() -> Self {
        let mut asker = Self::no_bucket(site());
        asker.done("create", json!({}));
        asker
    }

    /// Where it has not been made yet.
    fn no_bucket(site: Site) -> Self {
        Self::of(["bucket", "john", "data"], site)
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
    let mut tale = Asker::bucket();
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
    let mut tale = Asker::bucket();
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
    let mut tale = Asker::bucket();
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
    let mut tale = Asker::bucket();
    assert_eq!(tale.refused("create", json!({})), "bucket.exists");
    assert_eq!(tale.refused("resize", json!({})), "resize.nothing");
    for fields in [json!({ "quota_gb": 0 }), json!({ "objects_max": 0 })] {
        assert_eq!(tale.refused("resize", fields), "parameter.out-of-range");
    }
    assert_eq!(tale.refused("attach", json!({})), "parameter.missing");
    tale.name = "My.Data";
    let code = tale.refused("create", json!({}));
    assert_eq!(code, "bucket.name-invalid");
    let mut nowhere = Asker::no_bucket(Site { s3: None, ..site() });
    assert_eq!(nowhere.refused("create", json!({})), "bucket.no-s3");
}

#[test]
fn where_s3_makes_no_keys_and_keeps_no_limits_none_is_promised() {
    let mut generic = site();
    let s3 = generic.s3.as_mut().expect("the site has one");
    (s3.kind, s3.quota_gb) = (S3Kind::Generic, 0);
    s3.users = Some("vault:secret/data/s3/users".into());
    let mut asker = Asker::no_bucket(generic);
    for limit in [json!({ "quota_gb": 5 }), json!({ "objects_max": 5 })] {
        assert_eq!(asker.refused("create", limit.clone()), "bucket.no-limits");
    }
    asker.done("create", json!({}));
    assert_eq!(asker.refused("resize", json!({ "quota_gb": 5 })), "bucket.no-limits");
    asker.done("delete", json!({}));
    asker.stage.everything_replays();
}
