//! The secrets of all repositories that we may give secrets to, by name: more is never shown.

use std::collections::BTreeSet;

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::sight::{SightRepositories, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::client::{Client, Forgejo};
use crate::http::segment;
use crate::trouble::Trouble;

/// How many repositories are looked into for one page: each may have many secrets.
const REPOSITORIES: usize = 10;
/// How many secrets are asked for at once: the most that Forgejo tells, unless a site has it tell less.
const SECRETS: usize = 50;
/// How Forgejo says that a repository's secrets are nothing for somebody who may do all the rest there.
const NO_OWNER: &str = "should be the owner of the repo";

/// A page of all repositories is looked into. The last page is the one that shows none: how many a
/// page has at most is up to the site.
pub(super) async fn sight_repositories(
    client: Client,
    _cx: StepContext,
    ask: SightRepositories,
) -> Result<Sighted, Failure> {
    let forgejo = client.log_in(&ask.login).await?;
    let before: u64 = ask.after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let (limit, page) = (REPOSITORIES.to_string(), (before + 1).to_string());
    // By their ids, so that what is made meanwhile comes last.
    let query = [("limit", &*limit), ("page", &page), ("sort", "id"), ("order", "asc")];
    let found = forgejo.get("/search", &query).await?;
    let repositories = found["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut things = Vec::new();
    for repository in repositories.iter().filter(|one| one["permissions"]["admin"] == true) {
        let full_name = repository["full_name"].as_str().unwrap_or_default();
        let Some((owner, name)) = full_name.split_once('/') else { continue };
        let one = forgejo.at(&segment(owner), &segment(name));
        let full_name = full_name.to_ascii_lowercase();
        things.extend(secrets(&one).await?.iter().map(|secret| {
            let id = format!("{full_name}/{secret}");
            Thing::new(Resource::new("forgejo", "secret", id), None)
        }));
    }
    let more = !repositories.is_empty();
    Ok(Sighted { things, after: more.then_some(page) })
}

/// The names of a repository's secrets; none of one that is gone meanwhile, or whose secrets we could
/// not have set.
async fn secrets(repository: &Forgejo) -> Result<BTreeSet<String>, Failure> {
    let (limit, mut names) = (SECRETS.to_string(), BTreeSet::new());
    for page in 1.. {
        let query = [("limit", limit.as_str()), ("page", &page.to_string())];
        let listed = match repository.get("/actions/secrets", &query).await {
            Ok(listed) => listed,
            Err(Trouble::Missing(_)) => break,
            Err(Trouble::Other(failure)) if is_no_owner(&failure) => break,
            Err(trouble) => return Err(trouble.into()),
        };
        let known = names.len();
        let name = |secret: &Value| secret["name"].as_str().map(str::to_uppercase);
        names.extend(listed.as_array().into_iter().flatten().filter_map(name));
        // A page that shows nothing new is behind the last one.
        if names.len() == known {
            break;
        }
    }
    Ok(names)
}

fn is_no_owner(failure: &Failure) -> bool {
    failure.class == Class::Auth
        && failure.vendor.as_ref().is_some_and(|said| said.contains(NO_OWNER))
}

#[cfg(test)]
mod tests;
