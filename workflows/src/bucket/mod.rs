//! A bucket: made with a key that opens it, changed, and taken away. What it holds is user data:
//! it goes only if somebody says so, no workspace is attached to the bucket, and a grace period has
//! passed in which it can be had back. The workspace of its own name, whose guest finds its key, is
//! not counted unless it is attached.
//!
//! `state.rs` is what it knows, `operations.rs` what is done with it, `admit.rs` the door.

use serde_json::json;
use stead_core::context::Context;
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::bucket::{BucketPhase, KIND};
use stead_schemas::failure::{Class, Failure};

use crate::as_value;
use state::Bucket;

mod admit;
mod operations;
mod state;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["create", "resize", "attach", "detach", "delete", "restore"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut bucket = match cx.carried()? {
        Some(bucket) => bucket,
        None => create(&cx).await?,
    };
    loop {
        bucket.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&bucket)));
        }
        let Some(command) = bucket.next_command(&cx).await else {
            if operations::destroy(&cx, &mut bucket).await.is_ok() {
                return Ok(over(&cx));
            }
            bucket.stays(&cx);
            continue;
        };
        let outcome = match command.verb.as_str() {
            "resize" => operations::resize(&cx, &mut bucket, &command).await,
            "attach" => bucket.attach(&command),
            "detach" => bucket.detach(&command),
            "restore" => bucket.restore(),
            _ => operations::delete(&cx, &mut bucket, &command).await,
        };
        cx.complete(&command, outcome);
        if bucket.phase == BucketPhase::Deleted {
            return Ok(over(&cx));
        }
    }
}

/// Carries out the command that a bucket begins with.
async fn create(cx: &Context) -> Result<Bucket, Failure> {
    let command = cx.next_command().await;
    let mut bucket = Bucket::new(command.read()?);
    bucket.show(cx);
    match cx.operation(operations::make(cx, &mut bucket)).await {
        Ok(()) => {
            bucket.enter(cx, BucketPhase::Ready);
            cx.complete(&command, Ok(bucket.told()));
            Ok(bucket)
        }
        Err(failure) => {
            bucket.enter(cx, BucketPhase::Failed);
            cx.complete(&command, Err(failure.clone()));
            answer_late(cx);
            Err(failure)
        }
    }
}

fn over(cx: &Context) -> Ending {
    answer_late(cx);
    Ending::Completed(json!({ "phase": BucketPhase::Deleted }))
}

/// Whoever asked for a delete while the bucket was going away has what he wanted.
fn answer_late(cx: &Context) {
    while let Some(command) = cx.waiting_command() {
        let outcome = match command.verb.as_str() {
            "delete" => Ok(json!({ "phase": BucketPhase::Deleted })),
            _ => Err(Failure::new(Class::Refused, "the bucket is gone")),
        };
        cx.complete(&command, outcome);
    }
}
