//! The workspaces, tokens and versions of templates in Coder that carry a mark of ours.

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::step::sight::{
    PAGE, SightTokens, SightVersions, SightWorkspaces, Sighted, Thing,
};
use stead_schemas::step::touch::Resource;

use super::build::marker_of;
use super::client::{Client, Coder};
use super::versions;
use crate::http::segment;

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

/// A page of all tokens that live is looked at; those of people who know nothing of us are left out.
/// Coder tells all at once, and in no order.
pub(super) async fn sight_tokens(
    client: Client,
    _cx: StepContext,
    ask: SightTokens,
) -> Result<Sighted, Failure> {
    let coder = client.log_in(&ask.login).await?;
    // What `coder tokens list --all` asks for.
    let found = coder.look("/users/me/keys/tokens?include_all=true").await?;
    let id = |key: &Value| text(key, "id").to_owned();
    let mut keys = listed(found, "tokens")?;
    keys.retain(|key| ask.after.as_ref().is_none_or(|after| id(key) > *after));
    keys.sort_by_cached_key(id);
    let more = keys.len() > PAGE;
    keys.truncate(PAGE);
    let after = keys.last().map(id).filter(|_| more);
    Ok(Sighted { things: keys.iter().filter_map(token).collect(), after })
}

/// A token that is named after a run of ours and its number.
fn token(key: &Value) -> Option<Thing> {
    let name = key["token_name"].as_str()?;
    let (run, number) = name.rsplit_once('-')?;
    number.parse::<u32>().ok()?;
    let run: RunId = run.parse().ok()?;
    let mut resource = Resource::new("coder", "token", name);
    resource.vendor_id = key["id"].as_str().map(str::to_owned);
    Some(Thing::new(resource, Some(run.to_string())))
}

/// A page of the versions of all templates is looked at, template by template; those that are not
/// made by us are left out.
pub(super) async fn sight_versions(
    client: Client,
    _cx: StepContext,
    ask: SightVersions,
) -> Result<Sighted, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let after = ask.after.as_deref().and_then(|after| after.split_once('/'));
    let (mut looked, mut things) = (0, Vec::new());
    for template in templates(&coder, &ask.organization).await? {
        let (id, name) = (text(&template, "id"), text(&template, "name"));
        // What is made meanwhile has an id of any size: it is nobody's before the next scan.
        let behind = match after {
            Some((current, _)) if id < current => continue,
            Some((current, version)) if id == current => Some(version),
            _ => None,
        };
        let limit = PAGE - looked;
        let versions = page_of(&coder, id, behind, limit).await?;
        looked += versions.len();
        things.extend(versions.iter().filter_map(|version| version_of(name, version)));
        if let Some(last) = versions.last().filter(|_| looked == PAGE) {
            let after = Some(format!("{id}/{}", text(last, "id")));
            return Ok(Sighted { things, after });
        }
    }
    Ok(Sighted { things, after: None })
}

async fn templates(coder: &Coder, organization: &str) -> Result<Vec<Value>, Failure> {
    let path = format!("/organizations/{}/templates", segment(organization));
    let found = coder.look(&path).await?.ok_or_else(|| {
        Failure::new(Class::Permanent, format!("Coder has no organization {organization}"))
    })?;
    let mut templates = listed(Some(found), "templates")?;
    templates.sort_by_cached_key(|template| text(template, "id").to_owned());
    Ok(templates)
}

/// The next versions of a template that nobody has archived.
async fn page_of(
    coder: &Coder,
    template: &str,
    behind: Option<&str>,
    limit: usize,
) -> Result<Vec<Value>, Failure> {
    let behind = behind.map(|id| format!("&after_id={}", segment(id))).unwrap_or_default();
    let path = format!("/templates/{}/versions?limit={limit}{behind}", segment(template));
    listed(coder.look(&path).await?, "versions of a template that it has listed")
}

fn version_of(template: &str, version: &Value) -> Option<Thing> {
    let run: RunId = versions::marker_of(version).parse().ok()?;
    let name = format!("{template}/{}", text(version, "name"));
    let mut resource = Resource::new("coder", "template-version", name);
    resource.vendor_id = Some(text(version, "id").to_owned());
    Some(Thing::new(resource, Some(run.to_string())))
}

/// What is not shown is not known to be gone.
fn listed(found: Option<Value>, what: &str) -> Result<Vec<Value>, Failure> {
    match found {
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(Failure::new(Class::Permanent, format!("Coder lists no {what}"))),
        None => Err(Failure::new(Class::Retry, format!("Coder does not show the {what}"))),
    }
}

fn text<'a>(thing: &'a Value, field: &str) -> &'a str {
    thing[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
