//! The workspaces in Coder that carry a mark of ours.

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::sight::{PAGE, SightWorkspaces, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::build::marker_of;
use super::client::Client;

/// A page of all workspaces is looked at; those of people who know nothing of us are left out.
pub(crate) async fn sight_workspaces(
    client: Client,
    _cx: StepContext,
    ask: SightWorkspaces,
) -> Result<Sighted, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let offset: usize = ask.after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let found = coder.look(&format!("/workspaces?limit={PAGE}&offset={offset}")).await?;
    let found = found.unwrap_or_default();
    let workspaces = found["workspaces"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut things = Vec::new();
    for workspace in workspaces {
        let Some(marker) = marker_of(&coder, workspace).await? else { continue };
        let text = |field: &str| workspace[field].as_str().unwrap_or_default();
        let name = format!("{}/{}", text("owner_name"), text("name"));
        let mut resource = Resource::new("coder", "workspace", name);
        resource.vendor_id = Some(text("id").to_owned());
        things.push(Thing::new(resource, Some(marker)));
    }
    let more = workspaces.len() == PAGE;
    Ok(Sighted { things, after: more.then(|| (offset + PAGE).to_string()) })
}
