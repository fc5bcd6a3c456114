//! An MCP server that runs in Kubernetes, as the site declares it.
//!
//! What is rolled out names its image by the digest that its tag meant at that moment: a tag that
//! moves changes nothing by itself. If the new pods do not answer, what ran before is applied again;
//! so the undo of a deploy is the deploy before it, or nothing, where there was none.
//!
//! `state.rs` is what it knows, `operations.rs` what is done with it, `admit.rs` the door.

use serde_json::json;
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::mcp::{KIND, McpPhase};
use stead_schemas::failure::{Class, Failure};

use crate::as_value;
use state::Server;

mod admit;
mod operations;
mod state;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["deploy", "remove", "repair", "rollback"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut server: Server = cx.carried()?.unwrap_or_default();
    loop {
        server.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&server)));
        }
        let command = cx.next_command().await;
        carry_out(&cx, &mut server, &command).await;
        if server.is_gone() {
            answer_late(&cx);
            return Ok(Ending::Completed(json!({ "phase": server.phase })));
        }
    }
}

async fn carry_out(cx: &Context, server: &mut Server, command: &Command) {
    let outcome = match (command.verb.as_str(), command.read()) {
        (_, Err(failure)) => Err(failure),
        ("deploy", Ok(order)) => operations::deploy(cx, server, order).await,
        ("repair", Ok(order)) => operations::repair(cx, server, order).await,
        ("rollback", Ok(order)) => operations::rollback(cx, server, order).await,
        (_, Ok(order)) => operations::remove(cx, server, order).await,
    };
    cx.complete(command, outcome);
}

/// Whoever asked for it while it went must ask anew.
fn answer_late(cx: &Context) {
    while let Some(command) = cx.waiting_command() {
        let outcome = match command.verb.as_str() {
            "remove" => Ok(json!({ "phase": McpPhase::Removed })),
            _ => Err(Failure::new(Class::Refused, "the server has just been taken away")),
        };
        cx.complete(&command, outcome);
    }
}
