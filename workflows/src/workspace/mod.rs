//! A workspace, from birth to death: one run that is made, then carries out one command after
//! the other, until it is deleted.
//!
//! `create.rs` is its first day, `operations.rs` what may happen to it later, `admit.rs` the door.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::Context;
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::workspace::{KIND, Order, Phase, Size, WorkspaceView};
use stead_schemas::failure::Failure;

use crate::ANEW_AFTER;

mod admit;
mod create;
mod operations;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["create", "start", "stop", "restart", "resize", "delete"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

/// What a workspace knows of itself; it grows while the workspace is made.
#[derive(Clone, Serialize, Deserialize)]
struct Workspace {
    order: Order,
    size: Size,
    phase: Phase,
    vmid: Option<u32>,
    home_source: Option<alloc::string::String>,
    coder_id: Option<alloc::string::String>,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut workspace = match cx.carried()? {
        Some(workspace) => workspace,
        None => create::first_day(&cx).await?,
    };
    loop {
        workspace.show(&cx);
        if cx.transitions() > ANEW_AFTER && !cx.has_command() {
            return Ok(Ending::ContinueAsNew(as_value(&workspace)));
        }
        let command = cx.next_command().await;
        let outcome = match command.verb.as_str() {
            "start" => operations::start(&cx, &mut workspace).await,
            "stop" => operations::stop(&cx, &mut workspace).await,
            "restart" => operations::restart(&cx, &mut workspace).await,
            "resize" => operations::resize(&cx, &mut workspace, &command).await,
            _ => operations::delete(&cx, &mut workspace).await,
        };
        let result = outcome.map(|()| json!({ "phase": workspace.phase }));
        cx.complete(&command, result);
        if workspace.phase == Phase::Deleted {
            deleted(&cx);
            return Ok(Ending::Completed(json!({ "phase": Phase::Deleted })));
        }
    }
}

/// Whoever asked for a delete while the workspace was going away has what he wanted.
fn deleted(cx: &Context) {
    while let Some(command) = cx.waiting_command() {
        let gone = json!({ "phase": Phase::Deleted });
        let outcome = match command.verb.as_str() {
            "delete" => Ok(gone),
            _ => Err(operations::gone()),
        };
        cx.complete(&command, outcome);
    }
}

impl Workspace {
    fn new(order: Order) -> Self {
        let size = order.size;
        Self { order, size, phase: Phase::Creating, vmid: None, home_source: None, coder_id: None }
    }

    fn enter(&mut self, cx: &Context, phase: Phase) {
        self.phase = phase;
        self.show(cx);
    }

    fn show(&self, cx: &Context) {
        let view = WorkspaceView {
            phase: self.phase,
            template: self.order.template.name.clone(),
            size: self.size,
            storage_backend: self.order.storage_backend,
            vmid: self.vmid,
            node: self.order.proxmox.node.clone(),
            home_source: self.home_source.clone(),
            coder_id: self.coder_id.clone(),
        };
        cx.show(self.phase.word(), &view);
    }
}

fn as_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
