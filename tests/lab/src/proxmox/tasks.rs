//! Tasks: work with a UPID that ends with an exit status.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};

use super::Place;
use super::answer;
use super::params::Params;
use crate::net::Answer;
use crate::world::{PVE_TOKEN_ID, World};

/// How many lines or tasks a listing gives if nothing is said.
const LISTED: i64 = 50;

/// One task, running as long as it has no exit status.
#[derive(Clone)]
pub(super) struct Task {
    upid: String,
    node: String,
    pid: u32,
    pstart: u32,
    start: i64,
    kind: &'static str,
    id: String,
    exit: Option<String>,
    end: Option<i64>,
    log: Vec<String>,
}

/// What a task is about.
pub(super) struct Plan {
    /// `qmclone`, `qmstart`, ...
    pub(super) kind: &'static str,
    /// What it really takes.
    pub(super) ms: u64,
    /// Whether it needs room on a storage.
    pub(super) needs_room: bool,
}

/// Why a task is made to fail, and what its log says about it.
pub(super) struct Doom {
    pub(super) exit: String,
    log: Option<&'static str>,
}

/// Starts a task on a VM. Its work is done at its end; with a `Doom` it must only clean up.
pub(super) fn start(
    at: &Place<'_>,
    plan: Plan,
    work: impl FnOnce(&Arc<World>, Option<&Doom>) -> Result<(), String> + Send + 'static,
) -> Answer {
    let upid = register(at, plan.kind);
    let (world, id) = (Arc::clone(at.world), upid.clone());
    at.world.spawn(async move {
        world.pace.work(plan.ms).await;
        if world.faults.fires("proxmox", "task-stuck") {
            world.until(|world| (!world.faults.holds("proxmox", "task-stuck")).then_some(())).await;
        }
        let doom = doom(&world, &plan);
        let outcome = work(&world, doom.as_ref());
        let line = doom.and_then(|doom| doom.log);
        finish(&world, &id, outcome, line);
    });
    answer::data(Value::from(upid))
}

fn doom(world: &World, plan: &Plan) -> Option<Doom> {
    if plan.needs_room && world.faults.fires("proxmox", "storage-full") {
        if plan.kind == "qmsnapshot" {
            let exit = "zfs error: cannot create snapshot: out of space".to_owned();
            return Some(Doom { exit, log: None });
        }
        let copy = "command '/usr/bin/qemu-img convert -p -n' failed: exit code 1";
        let line = "qemu-img: error while writing at byte 0: No space left on device";
        return Some(Doom { exit: format!("copy failed: {copy}"), log: Some(line) });
    }
    let fails = world.faults.fires("proxmox", "task-failed");
    fails.then(|| Doom { exit: "command failed: exit code 255".to_owned(), log: None })
}

fn register(at: &Place<'_>, kind: &'static str) -> String {
    at.world.change(|state| {
        let pve = &mut state.proxmox;
        pve.next_pid += 1;
        let (pid, pstart, start) =
            (pve.next_pid, 0x0100_0000 + pve.next_pid, Utc::now().timestamp());
        let (node, vmid) = (at.node, at.vmid);
        let upid =
            format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{vmid}:{PVE_TOKEN_ID}:");
        pve.tasks.push(Task {
            upid: upid.clone(),
            node: node.to_owned(),
            pid,
            pstart,
            start,
            kind,
            id: vmid.to_string(),
            exit: None,
            end: None,
            log: Vec::new(),
        });
        upid
    })
}

fn finish(world: &World, upid: &str, outcome: Result<(), String>, line: Option<&str>) {
    let exit = match outcome {
        Err(text) => text,
        Ok(()) if world.faults.fires("proxmox", "task-warnings") => "WARNINGS: 1".to_owned(),
        Ok(()) if world.faults.fires("proxmox", "unexpected-status") => {
            "unexpected status".to_owned()
        }
        Ok(()) => "OK".to_owned(),
    };
    world.change(|state| {
        let Some(task) = state.proxmox.tasks.iter_mut().find(|task| task.upid == upid) else {
            return;
        };
        task.log.extend(line.map(str::to_owned));
        task.log.extend(last_line(&exit));
        task.exit = Some(exit);
        task.end = Some(Utc::now().timestamp());
    });
}

/// A log that was cut has no last line: that is what `unexpected status` means.
fn last_line(exit: &str) -> Option<String> {
    match exit {
        "unexpected status" => None,
        "OK" => Some("TASK OK".to_owned()),
        warnings if warnings.starts_with("WARNINGS") => Some(format!("TASK {warnings}")),
        error => Some(format!("TASK ERROR: {error}")),
    }
}

impl Task {
    fn matches(&self, node: &str, wanted: &Wanted) -> bool {
        let source = match wanted.source.as_str() {
            "active" => self.exit.is_none(),
            "all" => true,
            _ => self.exit.is_some(),
        };
        self.node == node
            && source
            && wanted.vmid.as_ref().is_none_or(|vmid| *vmid == self.id)
            && wanted.kind.as_ref().is_none_or(|kind| kind == self.kind)
            && wanted.since.is_none_or(|since| self.start >= since)
            && wanted.until.is_none_or(|until| self.start <= until)
            && (!wanted.errors || self.exit.as_deref().is_some_and(|exit| exit != "OK"))
    }

    /// As a line of the task list.
    fn line(&self) -> Value {
        let mut line = json!({
            "upid": self.upid, "node": self.node, "pid": self.pid, "pstart": self.pstart,
            "starttime": self.start, "type": self.kind, "id": self.id, "user": PVE_TOKEN_ID,
        });
        if let (Some(exit), Some(end)) = (&self.exit, self.end) {
            line["status"] = Value::from(exit.as_str());
            line["endtime"] = Value::from(end);
        }
        line
    }

    /// As its own status. The user is shown without the token's name.
    fn status(&self) -> Value {
        let (user, token) = PVE_TOKEN_ID.split_once('!').unwrap_or((PVE_TOKEN_ID, ""));
        let mut status = self.line();
        status["user"] = Value::from(user);
        status["tokenid"] = Value::from(token);
        status["status"] = Value::from(if self.exit.is_some() { "stopped" } else { "running" });
        if let (Some(exit), Some(fields)) = (&self.exit, status.as_object_mut()) {
            fields.insert("exitstatus".to_owned(), Value::from(exit.as_str()));
            fields.remove("endtime");
        }
        status
    }
}

struct Wanted {
    vmid: Option<String>,
    kind: Option<String>,
    source: String,
    since: Option<i64>,
    until: Option<i64>,
    errors: bool,
}

pub(super) fn list(world: &World, params: &Params, node: &str) -> Result<Answer, Answer> {
    let optional = [
        "errors",
        "limit",
        "since",
        "source",
        "start",
        "statusfilter",
        "typefilter",
        "until",
        "userfilter",
        "vmid",
    ];
    params.check(&[], &optional)?;
    let wanted = Wanted {
        vmid: params.text("vmid"),
        kind: params.text("typefilter"),
        source: params.text("source").unwrap_or_else(|| "archive".to_owned()),
        since: params.number("since")?,
        until: params.number("until")?,
        errors: params.flag("errors")?.unwrap_or(false),
    };
    let (skip, take) = window(params)?;
    let lines: Vec<Value> = world.read(|state| {
        let tasks = state.proxmox.tasks.iter().rev();
        tasks
            .filter(|task| task.matches(node, &wanted))
            .skip(skip)
            .take(take)
            .map(Task::line)
            .collect()
    });
    Ok(answer::data(Value::from(lines)))
}

fn window(params: &Params) -> Result<(usize, usize), Answer> {
    let skip = params.number("start")?.unwrap_or(0);
    let take = params.number("limit")?.unwrap_or(LISTED);
    let size = |number: i64| usize::try_from(number).unwrap_or(0);
    // A limit of 0 is no limit.
    Ok((size(skip), if take == 0 { usize::MAX } else { size(take) }))
}

fn find(world: &World, node: &str, upid: &str) -> Result<Task, Answer> {
    let task = world.read(|state| {
        let mut tasks = state.proxmox.tasks.iter();
        tasks.find(|task| task.upid == upid && task.node == node).cloned()
    });
    task.ok_or_else(|| answer::parameter("upid", "no such task"))
}

pub(super) fn status(world: &World, node: &str, upid: &str) -> Result<Answer, Answer> {
    find(world, node, upid).map(|task| answer::data(task.status()))
}

pub(super) fn log(
    world: &World,
    params: &Params,
    node: &str,
    upid: &str,
) -> Result<Answer, Answer> {
    params.check(&[], &["download", "limit", "start"])?;
    let (skip, take) = window(params)?;
    let task = find(world, node, upid)?;
    let lines = task.log.iter().enumerate().skip(skip).take(take);
    let lines: Vec<Value> = lines.map(|(at, text)| json!({ "n": at + 1, "t": text })).collect();
    Ok(answer::data(Value::from(lines)))
}
