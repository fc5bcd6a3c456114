//! The door of a bucket: checks a command and completes it.

use alloc::format;
use alloc::string::{String, ToString};

use serde_json::Value;
use stead_core::definition::{Admission, Admitted};
use stead_schemas::command::bucket::{
    BucketOrder, BucketUser, BucketView, DeleteBucket, QUOTA_GB_MAX, ResizeBucket, bucket_name,
};
use stead_schemas::command::fields::Fields;
use stead_schemas::command::workspace;
use stead_schemas::refusal::Refusal;

use crate::as_value;

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
    let quota_gb = quota_gb.unwrap_or(site.quota_gb);
    let order = BucketOrder { bucket, quota_gb, objects_max, site };
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
    let ask = ResizeBucket { id: None, name: admission.name.to_string(), quota_gb, objects_max };
    Ok(order(as_value(&ask)))
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
    living(admission)?;
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
    let ask = DeleteBucket { id: None, name: admission.name.to_string(), confirm };
    Ok(Admitted { interrupts: true, ..order(as_value(&ask)) })
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
