//! What is done with secrets, states of commits and branches.

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::forgejo::{DeleteSecret, Head, LookUpHead, SetSecret, SetStatus};

use super::client::Client;
use crate::http::segment;
use crate::trouble::{Trouble, unless_missing};

/// The most that Forgejo's own column of a state's words holds.
const DESCRIPTION_MAX: usize = 255;

/// Puts the secret. What was there before cannot be seen, and is replaced.
pub(super) async fn set_secret(
    client: Client,
    cx: StepContext,
    ask: SetSecret,
) -> Result<Done, Failure> {
    let forgejo = client.open(&ask.place).await?;
    let secret = client.secrets().read(&ask.secret).await?;
    let body = json!({ "data": secret.field(&ask.field)? });
    cx.still_wanted()?;
    match forgejo.put(&path_of(&ask.name), &body).await {
        Ok(_) => Ok(Done {}),
        Err(Trouble::Missing(said)) => Err(no_repository(said, &ask.place.repository)),
        Err(trouble) => Err(trouble.into()),
    }
}

fn path_of(secret: &str) -> String {
    format!("/actions/secrets/{}", segment(secret))
}

fn no_repository(said: Failure, repository: &str) -> Failure {
    let words = format!("Forgejo has no repository {repository} that our token may write to");
    Failure { words, ..said }
}

/// Deletes the secret.
pub(super) async fn delete_secret(
    client: Client,
    cx: StepContext,
    ask: DeleteSecret,
) -> Result<Done, Failure> {
    let forgejo = client.open(&ask.place).await?;
    cx.still_wanted()?;
    unless_missing(forgejo.delete(&path_of(&ask.name)).await)?;
    Ok(Done {})
}

/// Says how a commit fares. Said twice it counts once: the latest of a context is what is shown.
pub(super) async fn set_status(
    client: Client,
    cx: StepContext,
    ask: SetStatus,
) -> Result<Done, Failure> {
    let forgejo = client.open(&ask.place).await?;
    let description: String = ask.description.chars().take(DESCRIPTION_MAX).collect();
    let body = json!({ "context": ask.context, "state": ask.state, "description": description });
    cx.still_wanted()?;
    match forgejo.post(&format!("/statuses/{}", segment(&ask.commit)), &body).await {
        Ok(_) => Ok(Done {}),
        Err(Trouble::Missing(said)) => {
            let words = format!("{} has no commit {}", ask.place.repository, ask.commit);
            Err(Failure { words, ..said })
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// Asks which commit a branch ends with.
pub(super) async fn look_up_head(
    client: Client,
    _cx: StepContext,
    ask: LookUpHead,
) -> Result<Head, Failure> {
    let forgejo = client.open(&ask.place).await?;
    let found = forgejo.look(&format!("/branches/{}", segment(&ask.branch)), &[]).await?;
    let commit = found.as_ref().and_then(|branch| branch["commit"]["id"].as_str());
    match commit {
        Some(commit) => Ok(Head { commit: commit.to_owned() }),
        None => {
            let words = format!("{} has no branch {}", ask.place.repository, ask.branch);
            Err(Failure::new(Class::Permanent, words))
        }
    }
}
