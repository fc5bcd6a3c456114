//! Which run is meant, and what is known of it.

use stead_nats::SteadClient;
use stead_schemas::command::workspace;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::refusal::Refusal;
use stead_schemas::transition::Transition;

use crate::exit::Ended;

/// The owner that is meant: the one that was named, or the person who asks.
pub fn owner(named: Option<&str>) -> Result<Owner, Ended> {
    let asks = || std::env::var("STEAD_OWNER").or_else(|_| std::env::var("USER")).ok();
    let name = named.map(str::to_owned).or_else(asks).filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(Ended::Usage("whose? Say --owner OWNER, or set STEAD_OWNER".to_owned()));
    };
    Owner::new(name)
        .map_err(|error| Ended::Refused(Refusal::new("command.owner", error.to_string())))
}

/// The run that a text means: an id, `owner/name`, or the name of the asking person's workspace.
pub async fn run(client: &SteadClient, text: &str) -> Result<RunId, Ended> {
    if let Ok(run) = text.parse::<RunId>() {
        return Ok(run);
    }
    match text.rsplit_once('/') {
        Some((of, name)) => latest(client, workspace::KIND, &owner(Some(of))?, name).await,
        None => latest(client, workspace::KIND, &owner(None)?, text).await,
    }
}

/// The latest life of an entity.
pub async fn latest(
    client: &SteadClient,
    kind: &str,
    owner: &Owner,
    name: &str,
) -> Result<RunId, Ended> {
    let lives = lives(client, &EntityKey::of(kind, owner, name)).await?;
    lives.into_iter().max_by_key(RunId::life).ok_or_else(|| {
        let words = format!(
            "{owner} has no {kind} `{name}`, and it is no run's id; `stead run list --all` shows \
             what there is"
        );
        Ended::Refused(Refusal::new("run.unknown", words))
    })
}

/// All lives of an entity that are known, oldest first.
pub async fn lives(client: &SteadClient, key: &EntityKey) -> Result<Vec<RunId>, Ended> {
    let list = client.list(key.partition(client.platform().partitions)).await?;
    let mut lives: Vec<RunId> =
        list.into_iter().map(|line| line.run).filter(|run| run.key() == *key).collect();
    lives.sort_by_key(RunId::life);
    Ok(lives)
}

/// What a run shows of itself.
pub async fn view(client: &SteadClient, run: &RunId) -> Result<RunView, Ended> {
    client.view(run).await?.ok_or_else(|| unknown(run))
}

/// A run's history. One that cannot be read is named, not left out.
pub async fn history(client: &SteadClient, run: &RunId) -> Result<Vec<Transition>, Ended> {
    let recorded = client.history(run).await?;
    let history: Result<Vec<_>, _> =
        recorded.iter().map(|message| Transition::decode(&message.bytes)).collect();
    let history = history
        .map_err(|error| Ended::Failed(format!("the history of {run} cannot be read: {error}")))?;
    if history.is_empty() { Err(unknown(run)) } else { Ok(history) }
}

/// There is none of this id.
pub fn unknown(run: &RunId) -> Ended {
    let words = format!("there is no run {run}; `stead run list --all` shows what there is");
    Ended::Refused(Refusal::new("run.unknown", words))
}
