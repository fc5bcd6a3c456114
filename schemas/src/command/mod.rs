//! What may be asked for, one file per kind of entity, and how a command's fields are read.

use schemars::{JsonSchema, Schema, schema_for};
use serde_json::json;

pub mod backup;
pub mod bucket;
pub mod drift;
pub mod fields;
pub mod home;
pub mod mcp;
pub mod notice;
pub mod people;
pub mod pool;
pub mod probe;
pub mod run;
pub mod schedule;
pub mod template;
pub mod token;
pub mod wait;
pub mod workspace;

use backup::RunBackup;
use bucket::{BucketUser, CreateBucket, DeleteBucket, NameBucket, ResizeBucket};
use drift::{DecideDrift, ScanDrift};
use home::{DropSnapshot, HomeQuota, NameHome, SnapshotHome};
use mcp::{DeployMcp, NameMcp, RepairMcp};
use notice::TellNotice;
use people::{ConfirmPeople, ForgetOwner, LookAtPeople};
use pool::{DrainPool, ResizePool};
use probe::{FinishProbe, StartProbe};
use schedule::{CreateSchedule, NameSchedule, UpdateSchedule};
use template::{NameTemplate, PromoteTemplate, PushTemplate};
use token::{ConfigureToken, CreateToken, NameToken};
use workspace::{
    ConfigureWorkspace, CreateWorkspace, DeleteWorkspace, NameSnapshot, NameWorkspace,
    RebuildWorkspace, ResizeWorkspace, RetryWorkspace, SnapshotWorkspace,
};

/// One thing that may be asked for from outside.
pub struct Described {
    /// The kind of entity: `workspace`.
    pub kind: &'static str,
    /// The verb: `create`.
    pub verb: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The JSON Schema of the command.
    pub schema: fn() -> Schema,
}

/// The schema of a command to an entity, with what belongs to each of them.
fn of_entity<T: JsonSchema>() -> Schema {
    let mut schema = schema_for!(T);
    let priority = json!({
        "description": "How much it is wanted before others, where its steps wait for their turns.",
        "enum": ["high", "normal", "low"],
    });
    let object = schema.as_object_mut().and_then(|object| object.get_mut("properties"));
    if let Some(properties) = object.and_then(serde_json::Value::as_object_mut) {
        properties.insert(fields::PRIORITY.into(), priority);
    }
    schema
}

/// Every command that the public may give. One alphabet for the service interface, the files in
/// `schemas/commands` and the help of the command line.
pub const COMMANDS: &[Described] = &[
    Described {
        kind: backup::KIND,
        verb: "run",
        about: "Makes a copy now, proves it, and removes those that have had their time",
        schema: of_entity::<RunBackup>,
    },
    Described {
        kind: bucket::KIND,
        verb: "attach",
        about: "Says that a workspace uses a bucket, which is then not deleted",
        schema: of_entity::<BucketUser>,
    },
    Described {
        kind: bucket::KIND,
        verb: "create",
        about: "Makes a bucket and a key that opens it; the key lies in Vault",
        schema: of_entity::<CreateBucket>,
    },
    Described {
        kind: bucket::KIND,
        verb: "delete",
        about: "Takes a bucket away; with what it holds only if that is confirmed",
        schema: of_entity::<DeleteBucket>,
    },
    Described {
        kind: bucket::KIND,
        verb: "detach",
        about: "Says that a workspace no longer uses a bucket",
        schema: of_entity::<BucketUser>,
    },
    Described {
        kind: bucket::KIND,
        verb: "resize",
        about: "Changes how much a bucket may hold",
        schema: of_entity::<ResizeBucket>,
    },
    Described {
        kind: bucket::KIND,
        verb: "restore",
        about: "Takes the delete of a bucket back, within its grace period",
        schema: of_entity::<NameBucket>,
    },
    Described {
        kind: drift::KIND,
        verb: "adopt",
        about: "Puts our mark on what a scan found without it",
        schema: || schema_for!(DecideDrift),
    },
    Described {
        kind: drift::KIND,
        verb: "destroy",
        about: "Takes away what a scan found and no run wants",
        schema: || schema_for!(DecideDrift),
    },
    Described {
        kind: drift::KIND,
        verb: "ignore",
        about: "Lists a finding no more until it changes",
        schema: || schema_for!(DecideDrift),
    },
    Described {
        kind: drift::KIND,
        verb: "repair",
        about: "Has what a scan found missing or changed put right by the entity that needs it",
        schema: || schema_for!(DecideDrift),
    },
    Described {
        kind: drift::KIND,
        verb: "scan",
        about: "Looks at what is really there, to be compared with the ledger",
        schema: || schema_for!(ScanDrift),
    },
    Described {
        kind: crate::step::home::KIND,
        verb: "drop",
        about: "Deletes a snapshot of the owner's home that was asked for",
        schema: of_entity::<DropSnapshot>,
    },
    Described {
        kind: crate::step::home::KIND,
        verb: "quota",
        about: "Changes how much the owner's home may hold",
        schema: of_entity::<HomeQuota>,
    },
    Described {
        kind: crate::step::home::KIND,
        verb: "snapshot",
        about: "Keeps the owner's home as it is now, in a snapshot",
        schema: of_entity::<SnapshotHome>,
    },
    Described {
        kind: crate::step::home::KIND,
        verb: "snapshots",
        about: "Lists the snapshots of the owner's home, with their ages and sizes",
        schema: of_entity::<NameHome>,
    },
    Described {
        kind: mcp::KIND,
        verb: "deploy",
        about: "Has an MCP server run as the site declares it, with the image its tag means now",
        schema: of_entity::<DeployMcp>,
    },
    Described {
        kind: mcp::KIND,
        verb: "remove",
        about: "Takes an MCP server away",
        schema: of_entity::<NameMcp>,
    },
    Described {
        kind: mcp::KIND,
        verb: "repair",
        about: "Has what runs of an MCP server rolled out once more, where somebody has changed it",
        schema: of_entity::<RepairMcp>,
    },
    Described {
        kind: mcp::KIND,
        verb: "rollback",
        about: "Has an MCP server run as it did before",
        schema: of_entity::<NameMcp>,
    },
    Described {
        kind: notice::KIND,
        verb: "tell",
        about: "Tells whoever wants to know of it, by mail or webhook",
        schema: || schema_for!(TellNotice),
    },
    Described {
        kind: people::KIND,
        verb: "confirm",
        about: "Has many stopped at once of whom Authentik says that they are disabled",
        schema: || schema_for!(ConfirmPeople),
    },
    Described {
        kind: people::KIND,
        verb: "forget",
        about: "Lets another user of Authentik's own things under a name that is free",
        schema: || schema_for!(ForgetOwner),
    },
    Described {
        kind: people::KIND,
        verb: "look",
        about: "Asks Authentik now who may own workspaces",
        schema: || schema_for!(LookAtPeople),
    },
    Described {
        kind: crate::step::pool::KIND,
        verb: "drain",
        about: "Takes all spare machines of a pool away, until it is resized",
        schema: of_entity::<DrainPool>,
    },
    Described {
        kind: crate::step::pool::KIND,
        verb: "resize",
        about: "Changes how many machines a pool keeps ready",
        schema: of_entity::<ResizePool>,
    },
    Described {
        kind: probe::KIND,
        verb: "finish",
        about: "Ends a probe that waits",
        schema: of_entity::<FinishProbe>,
    },
    Described {
        kind: probe::KIND,
        verb: "start",
        about: "Runs steps that do nothing through the whole path, six by default",
        schema: of_entity::<StartProbe>,
    },
    Described {
        kind: schedule::KIND,
        verb: "create",
        about: "Gives a command at the times that a cron expression says",
        schema: of_entity::<CreateSchedule>,
    },
    Described {
        kind: schedule::KIND,
        verb: "delete",
        about: "Takes a schedule away; the command it gave last goes on",
        schema: of_entity::<NameSchedule>,
    },
    Described {
        kind: schedule::KIND,
        verb: "pause",
        about: "Lets a schedule fire no more until it is resumed",
        schema: of_entity::<NameSchedule>,
    },
    Described {
        kind: schedule::KIND,
        verb: "resume",
        about: "Lets a paused schedule fire again, from now on",
        schema: of_entity::<NameSchedule>,
    },
    Described {
        kind: schedule::KIND,
        verb: "trigger",
        about: "Fires now, whatever the time",
        schema: of_entity::<NameSchedule>,
    },
    Described {
        kind: schedule::KIND,
        verb: "update",
        about: "Changes what is named about a schedule, keeps the rest",
        schema: of_entity::<UpdateSchedule>,
    },
    Described {
        kind: template::KIND,
        verb: "check",
        about: "Pushes what a template's branch ends with, if that was not tried before",
        schema: of_entity::<NameTemplate>,
    },
    Described {
        kind: template::KIND,
        verb: "forget",
        about: "Ends the deployment of a template; Coder's template stays as it is",
        schema: of_entity::<NameTemplate>,
    },
    Described {
        kind: template::KIND,
        verb: "promote",
        about: "Lets workspaces be made of a version that was pushed",
        schema: of_entity::<PromoteTemplate>,
    },
    Described {
        kind: template::KIND,
        verb: "push",
        about: "Makes a version of what is in the repository, and promotes it",
        schema: of_entity::<PushTemplate>,
    },
    Described {
        kind: template::KIND,
        verb: "rollback",
        about: "Lets workspaces be made of the version before again",
        schema: of_entity::<NameTemplate>,
    },
    Described {
        kind: token::KIND,
        verb: "configure",
        about: "Changes how long tokens live and how often they are made anew",
        schema: || schema_for!(ConfigureToken),
    },
    Described {
        kind: token::KIND,
        verb: "create",
        about: "Makes a Coder token for CI, gives it to a repository, and proves it by a run",
        schema: || schema_for!(CreateToken),
    },
    Described {
        kind: token::KIND,
        verb: "delete",
        about: "Takes a token away: the repository's secret, and the token itself",
        schema: || schema_for!(NameToken),
    },
    Described {
        kind: token::KIND,
        verb: "rotate",
        about: "Makes a token anew now; the one before is revoked once that is proved",
        schema: || schema_for!(NameToken),
    },
    Described {
        kind: workspace::KIND,
        verb: "configure",
        about: "Changes when a workspace is started, stopped or deleted by itself",
        schema: of_entity::<ConfigureWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "create",
        about: "Makes a workspace: home, machine, agent",
        schema: of_entity::<CreateWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "delete",
        about: "Takes a workspace away; it can be brought back within the grace period",
        schema: of_entity::<DeleteWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "drop",
        about: "Deletes a snapshot of the machine that was asked for",
        schema: of_entity::<NameSnapshot>,
    },
    Described {
        kind: workspace::KIND,
        verb: "rebuild",
        about: "Makes the machine anew and keeps the home",
        schema: of_entity::<RebuildWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "resize",
        about: "Changes the home's quota and the disk now, cores and memory at the next start",
        schema: of_entity::<ResizeWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "restart",
        about: "Stops the machine and starts it again",
        schema: of_entity::<NameWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "retry",
        about: "Lets a create that waits go on from the step that failed, with what is changed",
        schema: of_entity::<RetryWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "rollback",
        about: "Has the machine be again what a snapshot kept; home and volume stay as they are",
        schema: of_entity::<NameSnapshot>,
    },
    Described {
        kind: workspace::KIND,
        verb: "snapshot",
        about: "Keeps the machine as it is now, without its memory, in a snapshot",
        schema: of_entity::<SnapshotWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "snapshots",
        about: "Lists the snapshots of the machine, whoever took them",
        schema: of_entity::<NameWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "start",
        about: "Starts the machine and waits until its agent is ready",
        schema: of_entity::<NameWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "stop",
        about: "Shuts the machine down and keeps everything",
        schema: of_entity::<NameWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "undelete",
        about: "Brings a deleted workspace back within its grace period, with a new machine",
        schema: of_entity::<NameWorkspace>,
    },
    Described {
        kind: workspace::KIND,
        verb: "update",
        about: "Takes the template as the site has it now, with a new machine where that needs one",
        schema: of_entity::<NameWorkspace>,
    },
];
