//! What may be asked for, one file per kind of entity, and how a command's fields are read.

use schemars::{Schema, schema_for};

pub mod bucket;
pub mod fields;
pub mod home;
pub mod probe;
pub mod run;
pub mod schedule;
pub mod wait;
pub mod workspace;

use bucket::{BucketUser, CreateBucket, DeleteBucket, NameBucket, ResizeBucket};
use home::SnapshotHome;
use probe::{FinishProbe, StartProbe};
use schedule::{CreateSchedule, NameSchedule, UpdateSchedule};
use workspace::{
    ConfigureWorkspace, CreateWorkspace, DeleteWorkspace, NameWorkspace, RebuildWorkspace,
    ResizeWorkspace, RetryWorkspace,
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

/// Every command that the public may give. One alphabet for the service interface, the files in
/// `schemas/commands` and the help of the command line.
pub const COMMANDS: &[Described] = &[
    Described {
        kind: bucket::KIND,
        verb: "attach",
        about: "Says that a workspace uses a bucket, which is then not deleted",
        schema: || schema_for!(BucketUser),
    },
    Described {
        kind: bucket::KIND,
        verb: "create",
        about: "Makes a bucket and a key that opens it; the key lies in Vault",
        schema: || schema_for!(CreateBucket),
    },
    Described {
        kind: bucket::KIND,
        verb: "delete",
        about: "Takes a bucket away; with what it holds only if that is confirmed",
        schema: || schema_for!(DeleteBucket),
    },
    Described {
        kind: bucket::KIND,
        verb: "detach",
        about: "Says that a workspace no longer uses a bucket",
        schema: || schema_for!(BucketUser),
    },
    Described {
        kind: bucket::KIND,
        verb: "resize",
        about: "Changes how much a bucket may hold",
        schema: || schema_for!(ResizeBucket),
    },
    Described {
        kind: bucket::KIND,
        verb: "restore",
        about: "Takes the delete of a bucket back, within its grace period",
        schema: || schema_for!(NameBucket),
    },
    Described {
        kind: crate::step::home::KIND,
        verb: "snapshot",
        about: "Keeps the owner's home as it is now, in a snapshot",
        schema: || schema_for!(SnapshotHome),
    },
    Described {
        kind: probe::KIND,
        verb: "finish",
        about: "Ends a probe that waits",
        schema: || schema_for!(FinishProbe),
    },
    Described {
        kind: probe::KIND,
        verb: "start",
        about: "Runs steps that do nothing through the whole path, six by default",
        schema: || schema_for!(StartProbe),
    },
    Described {
        kind: schedule::KIND,
        verb: "create",
        about: "Gives a command at the times that a cron expression says",
        schema: || schema_for!(CreateSchedule),
    },
    Described {
        kind: schedule::KIND,
        verb: "delete",
        about: "Takes a schedule away; the command it gave last goes on",
        schema: || schema_for!(NameSchedule),
    },
    Described {
        kind: schedule::KIND,
        verb: "pause",
        about: "Lets a schedule fire no more until it is resumed",
        schema: || schema_for!(NameSchedule),
    },
    Described {
        kind: schedule::KIND,
        verb: "resume",
        about: "Lets a paused schedule fire again, from now on",
        schema: || schema_for!(NameSchedule),
    },
    Described {
        kind: schedule::KIND,
        verb: "trigger",
        about: "Fires now, whatever the time",
        schema: || schema_for!(NameSchedule),
    },
    Described {
        kind: schedule::KIND,
        verb: "update",
        about: "Changes what is named about a schedule, keeps the rest",
        schema: || schema_for!(UpdateSchedule),
    },
    Described {
        kind: workspace::KIND,
        verb: "configure",
        about: "Changes when a workspace is stopped or deleted by itself",
        schema: || schema_for!(ConfigureWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "create",
        about: "Makes a workspace: home, machine, agent",
        schema: || schema_for!(CreateWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "delete",
        about: "Takes a workspace away; it can be brought back within the grace period",
        schema: || schema_for!(DeleteWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "rebuild",
        about: "Makes the machine anew and keeps the home",
        schema: || schema_for!(RebuildWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "resize",
        about: "Changes the home's quota and the disk now, cores and memory at the next start",
        schema: || schema_for!(ResizeWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "restart",
        about: "Stops the machine and starts it again",
        schema: || schema_for!(NameWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "retry",
        about: "Lets a create that waits go on from the step that failed, with what is changed",
        schema: || schema_for!(RetryWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "start",
        about: "Starts the machine and waits until its agent is ready",
        schema: || schema_for!(NameWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "stop",
        about: "Shuts the machine down and keeps everything",
        schema: || schema_for!(NameWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "undelete",
        about: "Brings a deleted workspace back within its grace period, with a new machine",
        schema: || schema_for!(NameWorkspace),
    },
    Described {
        kind: workspace::KIND,
        verb: "update",
        about: "Takes the template as the site has it now, with a new machine where that needs one",
        schema: || schema_for!(NameWorkspace),
    },
];
