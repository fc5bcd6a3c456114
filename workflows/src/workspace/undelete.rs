//! Undelete: a deleted workspace is brought back within its grace period. The home must still be
//! there; the machine is a new one.

use alloc::format;

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::Phase;
use stead_schemas::failure::{Class, Failure};

use super::create::make;
use super::ends;
use super::stages::Home;
use super::state::Workspace;

/// See the module's head. If it fails, the workspace is as deleted as before.
pub(super) async fn undelete(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    if workspace.phase != Phase::Deleted {
        return Err(Failure::new(Class::Refused, "the workspace is not deleted"));
    }
    let before = workspace.clone();
    // It may be older than the site's Authentik.
    if let Some(authentik) = command.payload.get("authentik") {
        workspace.order.authentik = serde_json::from_value(authentik.clone()).unwrap_or_default();
    }
    workspace.undelete_until = None;
    workspace.machines += 1;
    workspace.enter(cx, Phase::Undeleting);
    let made = cx.operation(make(cx, workspace, Home::There)).await;
    match &made {
        Ok(()) => {
            workspace.phase = Phase::Ready;
            ends::set(cx, workspace, workspace.lifetime);
        }
        Err(failure) => {
            *workspace = before;
            workspace.trouble = Some(format!("it could not be brought back: {failure}"));
        }
    }
    made
}
