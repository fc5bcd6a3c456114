//! S3 as Garage keeps it: the administration API, version 2, beneath `/v2/`, and S3 itself beside
//! it, at the same port.
//!
//! Names of keys are not unique. An id that was once used is never free again. A bucket carries no
//! mark, and is deleted only while nothing is in it. What S3 is asked must be signed.

mod admin;
mod answer;
mod buckets;
mod keys;
mod objects;
mod signature;
mod state;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use state::State;

use crate::net::{Answer, Before, Call, HttpVendor, Severity};
use crate::world::World;

/// The vendor.
pub(crate) struct S3;

impl HttpVendor for S3 {
    const NAME: &'static str = "s3";
    const BEHIND_PROXY: bool = true;

    fn before(world: &World, call: &Call) -> Before {
        let fires = |name| world.faults.fires("s3", name);
        if fires("unauthorized") {
            return Before::Answer(answer::forbidden("Invalid `Authorization` token"));
        }
        if fires("no-quorum") {
            return Before::Answer(answer::no_quorum());
        }
        if call.method == "PUT" && fires("quota-exceeded") {
            return Before::Answer(objects::quota_reached(0));
        }
        if fires("slow") {
            return Before::Wait(Duration::from_secs(1));
        }
        Before::Go
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        let Some(name) = call.path.strip_prefix("/v2/") else {
            return objects::answer(world, call).unwrap_or_else(|refused| refused);
        };
        let token = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if token != Some(world.secrets.s3_token.as_str()) {
            return answer::forbidden("Invalid `Authorization` token");
        }
        admin(world, call, name).unwrap_or_else(|refused| refused)
    }

    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer> {
        let changes = call.method != "GET" && answer.is_success();
        if changes && world.faults.fires("s3", "lost-response") { None } else { Some(answer) }
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => answer::error(500, "InternalError", "Internal error: timeout"),
            Severity::Lasting => answer::forbidden("Invalid `Authorization` token"),
        }
    }
}

fn admin(world: &World, call: &Call, name: &str) -> Result<Answer, Answer> {
    match (call.method.as_str(), name) {
        ("GET", "GetBucketInfo") => admin::show(world, call),
        ("GET", "ListBuckets") => Ok(admin::list(world)),
        ("POST", "CreateBucket") => admin::create(world, call),
        ("POST", "UpdateBucket") => admin::update(world, call),
        ("POST", "DeleteBucket") => admin::delete(world, call),
        ("POST", "CleanupIncompleteUploads") => admin::clean_up(world, call),
        ("POST", "AddBucketAlias") => admin::add_alias(world, call),
        ("POST", "AllowBucketKey") => admin::permit(world, call, true),
        ("POST", "DenyBucketKey") => admin::permit(world, call, false),
        ("GET", "GetKeyInfo") => keys::show(world, call),
        ("GET", "ListKeys") => Ok(keys::list(world)),
        ("POST", "CreateKey") => keys::create(world, call),
        ("POST", "ImportKey") => keys::import(world, call),
        ("POST", "DeleteKey") => keys::delete(world, call),
        _ => Err(answer::bad_request("Unknown API endpoint")),
    }
}
