//! The door of a bucket: checks a command and completes it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::bucket::{
    BucketOrder, BucketUser, BucketView, DeleteBucket, QUOTA_GB_MAX, ResizeBucket, bucket_name,
    key_of,
};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::workspace;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::S3Site;

use crate::as_value;
use crate::plan::{planned, span};

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let bucket = bucket_name(admission.owner, admission.name)?;
    match admission.verb {
        "create" => admit_create(admission, bucket),
        "resize" => admit_resize(admission),
        "attach" | "detach" => admit_user(admission),
        "delete" => admit_delete(admission),
        _ => admit_restore(admission),
    }
}

fn admit_create(admission: &Admission<'_>, bucket: String) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let (quota_gb, objects_max) = limits(&mut fields)?;
    fields.finish()?;
    let Some(site) = admission.site.s3.clone() else {
        let words = "this site has no S3; whoever runs it must write an [s3] section";
        return Err(Refusal::new("bucket.no-s3", words));
    };
    if let Some(living) = admission.living {
        let words = format!(
            "there is a bucket of this name already, it is {}; choose another name or delete it",
            living.phase
        );
        return Err(Refusal::new("bucket.exists", words).field("name"));
    }
    check_limits(&site, quota_gb, objects_max)?;
    let quota_gb = quota_gb.unwrap_or(site.quota_gb);
    let user = key_of(&site, admission.owner);
    let order = BucketOrder { bucket, quota_gb, objects_max, site, user };
    Ok(Admitted { payload: as_value(&order), begins: true, interrupts: false })
}

fn admit_resize(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    living(admission)?;
    let mut fields = Fields::of(admission.fields);
    let (quota_gb, objects_max) = limits(&mut fields)?;
    fields.finish()?;
    if (quota_gb, objects_max) == (None, None) {
        let words = "say what to change: quota_gb or objects_max";
        return Err(Refusal::new("resize.nothing", words));
    }
    if let Some(site) = &admission.site.s3 {
        check_limits(site, quota_gb, objects_max)?;
    }
    let ask = ResizeBucket { id: None, name: admission.name.to_string(), quota_gb, objects_max };
    Ok(order(as_value(&ask)))
}

/// S3 itself knows no limits: who asks for one is told so before anything is made.
fn check_limits(
    site: &S3Site,
    quota_gb: Option<u32>,
    objects_max: Option<u32>,
) -> Result<(), Refusal> {
    let field = match (quota_gb, objects_max) {
        _ if site.kind.is_garage() => return Ok(()),
        (None, None) => return Ok(()),
        (Some(_), _) => "quota_gb",
        (None, Some(_)) => "objects_max",
    };
    let words = "this site's S3 keeps no limits of a bucket; leave quota_gb and objects_max out";
    Err(Refusal::new("bucket.no-limits", words).field(field))
}

fn admit_user(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    living(admission)?;
    let mut fields = Fields::of(admission.fields);
    let workspace = fields.text("workspace")?.to_string();
    fields.finish()?;
    workspace::check_name(&workspace).map_err(|refusal| refusal.field("workspace"))?;
    let ask = BucketUser { id: None, name: admission.name.to_string(), workspace };
    Ok(order(as_value(&ask)))
}

fn admit_delete(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let view = living(admission)?;
    let mut fields = Fields::of(admission.fields);
    let confirm = fields.optional_text("confirm")?.map(ToString::to_string);
    fields.finish()?;
    if confirm.as_ref().is_some_and(|name| name != admission.name) {
        let words = format!(
            "this confirms another bucket; to delete everything in this one, say `{}`",
            admission.name
        );
        return Err(Refusal::new("bucket.confirm-differs", words).field("confirm"));
    }
    let plan = plan_of_delete(&view, admission, confirm.is_some());
    let ask = DeleteBucket { id: None, name: admission.name.to_string(), confirm };
    Ok(Admitted { interrupts: true, ..order(planned(as_value(&ask), plan)) })
}

/// What is in a bucket is seen only when it is deleted.
fn plan_of_delete(
    view: &BucketView,
    admission: &Admission<'_>,
    is_confirmed: bool,
) -> [Option<String>; 2] {
    let (bucket, name) = (&view.bucket, admission.name);
    if !view.users.is_empty() {
        let users: Vec<&str> = view.users.iter().map(String::as_str).collect();
        let words = "it stays, and the delete fails, as long as these workspaces use it";
        return [Some(format!("bucket {bucket}: {words}: {}", users.join(", "))), None];
    }
    let grace = admission.site.s3.as_ref().map_or(0, |site| site.grace_seconds);
    let full = match (is_confirmed, view.kept_until, grace) {
        (false, _, _) => format!(
            "if it holds anything: it stays, and the delete fails; --confirm {name} deletes that, too"
        ),
        (true, Some(until), _) => format!("if it holds anything: kept until {until}, as before"),
        (true, None, 0) => {
            "if it holds anything: destroyed at once with all of it, as the site grants no time of \
             grace"
                .to_string()
        }
        (true, None, _) => format!(
            "if it holds anything: kept for the grace that the site granted when it was made ({} \
             now), then destroyed with all of it; `stead bucket restore {name}` keeps it until then",
            span(grace)
        ),
    };
    let empty = format!("bucket {bucket}: if it is empty, it goes at once, and so does its key");
    [Some(empty), Some(full)]
}

fn admit_restore(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    Fields::of(admission.fields).finish()?;
    if living(admission)?.kept_until.is_none() {
        let words = "the bucket is not to go, so there is nothing to take back";
        return Err(Refusal::new("bucket.not-kept", words).field("name"));
    }
    Ok(order(Value::Null))
}

/// An order to a bucket that lives.
fn order(payload: Value) -> Admitted {
    Admitted { payload, begins: false, interrupts: false }
}

fn living(admission: &Admission<'_>) -> Result<BucketView, Refusal> {
    let view = admission.living.and_then(|living| serde_json::from_value(living.view.clone()).ok());
    view.ok_or_else(|| {
        let words = format!("{} has no bucket `{}`", admission.owner, admission.name);
        Refusal::new("bucket.unknown", words).field("name")
    })
}

fn limits(fields: &mut Fields<'_>) -> Result<(Option<u32>, Option<u32>), Refusal> {
    let quota_gb = fields.optional_number("quota_gb")?;
    if quota_gb.is_some_and(|gib| !(1..=QUOTA_GB_MAX).contains(&gib)) {
        let words = format!("1 to {QUOTA_GB_MAX} GiB may be chosen");
        return Err(Refusal::new("parameter.out-of-range", words).field("quota_gb"));
    }
    let objects_max = fields.optional_number("objects_max")?;
    if objects_max == Some(0) {
        let words = "a bucket that may hold no object is of no use; 1 is the least";
        return Err(Refusal::new("parameter.out-of-range", words).field("objects_max"));
    }
    Ok((quota_gb, objects_max))
}
