//! What a bucket knows of itself, and the commands that change nothing but that.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_schemas::command::bucket::{
    BucketOrder, BucketPhase, BucketUser, BucketView, USERS_MAX, credentials_of,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::s3::{Limits, Place};
use stead_schemas::time::Timestamp;

/// See the module's head.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub order: BucketOrder,
    pub limits: Limits,
    pub phase: BucketPhase,
    /// The pinned reference to its key, once it has one.
    pub credentials: Option<String>,
    /// The workspaces that use it.
    pub users: BTreeSet<String>,
    /// When it goes with everything in it, if it is to go.
    pub kept_until: Option<Timestamp>,
}

impl Bucket {
    pub fn new(order: BucketOrder) -> Self {
        Self {
            limits: Limits { quota_gb: order.quota_gb, objects_max: order.objects_max },
            phase: BucketPhase::Creating,
            credentials: None,
            users: BTreeSet::new(),
            kept_until: None,
            order,
        }
    }

    /// The next command; nothing once a bucket that is to go has outlived its grace period.
    pub async fn next_command(&self, cx: &Context) -> Option<Command> {
        let Some(until) = self.kept_until else { return Some(cx.next_command().await) };
        let reason = "the grace period of a bucket that is to go with everything in it";
        cx.next_command_within(until.since(cx.now()), reason).await
    }

    pub fn attach(&mut self, command: &Command) -> Result<Value, Failure> {
        let ask: BucketUser = command.read()?;
        if self.kept_until.is_some() {
            return Err(Failure::new(Class::Refused, "the bucket is to go; restore it first"));
        }
        if self.users.len() >= USERS_MAX && !self.users.contains(&ask.workspace) {
            let words = format!("{USERS_MAX} workspaces use the bucket, and no more can be noted");
            return Err(Failure::new(Class::Refused, words));
        }
        self.users.insert(ask.workspace);
        Ok(self.told())
    }

    pub fn detach(&mut self, command: &Command) -> Result<Value, Failure> {
        let ask: BucketUser = command.read()?;
        self.users.remove(&ask.workspace);
        Ok(self.told())
    }

    pub fn restore(&mut self) -> Result<Value, Failure> {
        self.kept_until = None;
        self.phase = BucketPhase::Ready;
        Ok(self.told())
    }

    /// Somebody has given up by hand what was to destroy it. It can be deleted again.
    pub fn stays(&mut self, cx: &Context) {
        cx.note("stays", "the bucket, or a part of it, stays: a step was abandoned", &Value::Null);
        self.kept_until = None;
        self.phase = BucketPhase::Ready;
    }

    /// Fails while somebody uses it.
    pub fn check_unused(&self) -> Result<(), Failure> {
        if self.users.is_empty() {
            return Ok(());
        }
        let users: Vec<&str> = self.users.iter().map(String::as_str).collect();
        let words = format!("the bucket is used by {}; detach it there first", users.join(", "));
        Err(Failure::new(Class::Refused, words))
    }

    /// Which bucket the workers are to look at.
    pub fn place(&self, cx: &Context, login: String) -> Place {
        Place {
            login,
            bucket: self.order.bucket.clone(),
            credentials: credentials_of(&self.order.site, &self.order.bucket),
            marker: cx.run().as_str().into(),
        }
    }

    pub fn enter(&mut self, cx: &Context, phase: BucketPhase) {
        self.phase = phase;
        self.show(cx);
    }

    pub fn show(&self, cx: &Context) {
        cx.show(self.phase.word(), &self.view());
    }

    /// What a command is told that went well: where the bucket is and where its key lies.
    pub fn told(&self) -> Value {
        json!({
            "phase": self.phase,
            "bucket": self.order.bucket,
            "endpoint": self.order.site.endpoint,
            "credentials": self.credentials,
            "kept_until": self.kept_until,
        })
    }

    fn view(&self) -> BucketView {
        BucketView {
            phase: self.phase,
            bucket: self.order.bucket.clone(),
            endpoint: self.order.site.endpoint.clone(),
            credentials: self.credentials.clone(),
            quota_gb: self.limits.quota_gb,
            objects_max: self.limits.objects_max,
            users: self.users.clone(),
            kept_until: self.kept_until,
        }
    }
}
