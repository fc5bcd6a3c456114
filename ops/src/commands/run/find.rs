//! Which run is meant, and what is known of it. Engines list what there is; where none answers, the log
//! says it, which holds all of it and takes longer.

use std::time::Duration;

use stead_nats::SteadClient;
use stead_nats::client::ClientError;
use stead_runtime::ports::Recorded;
use stead_schemas::command::workspace::KIND;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunSummary, RunView};
use stead_schemas::refusal::Refusal;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

use crate::exit::Ended;
use crate::output;

/// How long an engine is looked for where the log does as well.
const PATIENCE: Duration = Duration::from_secs(2);
/// The code of the refusal where a history has expired.
pub const EXPIRED: &str = "run.expired";
/// What to do if there is none.
const SEE_ALL: &str = "`stead run list --all` shows what there is";

/// The owner that is meant: the one that was named, or the person who asks.
pub fn owner(named: Option<&str>) -> Result<Owner, Ended> {
    let asks = || std::env::var("STEAD_OWNER").or_else(|_| std::env::var("USER")).ok();
    let name = named.map(str::to_owned).or_else(asks).filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(Ended::Usage("which owner's? Write OWNER/NAME, give --owner OWNER where there is that option, or set \
             STEAD_OWNER".to_owned()));
    };
    Owner::new(name)
        .map_err(|error| Ended::Refused(Refusal::new("command.owner", error.to_string())))
}

/// The run that a text means: an id, `owner/name`, or the name of the asking person's workspace.
/// A workspace comes before whatever else its owner has of that name; of several others none is.
pub async fn run(client: &SteadClient, text: &str) -> Result<RunId, Ended> {
    if let Ok(run) = text.parse::<RunId>() {
        return Ok(run);
    }
    let (owner, name) = match text.rsplit_once('/') {
        Some((of, name)) => (owner(Some(of))?, name),
        None => (owner(None)?, text),
    };
    let (mut entities, mut found) = (Entities::of(client), Vec::new());
    for kind in WORKFLOWS.iter().map(|known| known.kind) {
        found.extend(entities.lives(&EntityKey::of(kind, &owner, name)).await?.pop());
    }
    let workspace = found.iter().position(|run| run.kind() == KIND);
    match (workspace, &found[..]) {
        (Some(place), found) => Ok(found[place].clone()),
        (None, [one]) => Ok(one.clone()),
        (None, []) => {
            let words = format!(
                "{owner} has nothing of the name `{name}`, and it is no run's id; {SEE_ALL}"
            );
            Err(Ended::Refused(Refusal::new("run.unknown", words)))
        }
        (None, several) => {
            let ids: Vec<&str> = several.iter().map(RunId::as_str).collect();
            let words =
                format!("several runs are called {owner}/{name}; name one of {}", ids.join(", "));
            Err(Ended::Refused(Refusal::new("run.ambiguous", words)))
        }
    }
}

/// The latest life of an entity.
pub async fn latest(
    client: &SteadClient,
    kind: &str,
    owner: &Owner,
    name: &str,
) -> Result<RunId, Ended> {
    newest(client, kind, owner, name).await?.ok_or_else(|| {
        let words = format!("{owner} has no {kind} `{name}`; {SEE_ALL}");
        Ended::Refused(Refusal::new(&format!("{kind}.unknown"), words).field("name"))
    })
}

async fn newest(
    client: &SteadClient,
    kind: &str,
    owner: &Owner,
    name: &str,
) -> Result<Option<RunId>, Ended> {
    Ok(Entities::of(client).lives(&EntityKey::of(kind, owner, name)).await?.pop())
}

/// Entities, and whether an engine tells of them.
pub struct Entities {
    client: SteadClient,
    is_silent: bool,
}

impl Entities {
    /// Those of a platform.
    pub fn of(client: &SteadClient) -> Self {
        Self { client: client.within(PATIENCE), is_silent: false }
    }

    /// All lives of an entity that are known, oldest first.
    pub async fn lives(&mut self, key: &EntityKey) -> Result<Vec<RunId>, Ended> {
        if self.is_silent {
            return self.lives_in_log(key).await;
        }
        match self.client.lives(key).await {
            Err(ClientError::NoOwner { .. }) => {
                self.is_silent = true;
                self.lives_in_log(key).await
            }
            lives => Ok(lives?.into_iter().map(|line| line.run).collect()),
        }
    }

    async fn lives_in_log(&self, key: &EntityKey) -> Result<Vec<RunId>, Ended> {
        let mut lives = Vec::new();
        for run in (1..).map(|life| key.run(life)) {
            let found = self.client.history(&run).await?;
            if found.messages.is_empty() && found.expired.is_none() {
                break;
            }
            lives.push(run);
        }
        Ok(lives)
    }

    /// What a run shows of itself; nothing where no engine answers.
    pub async fn view(&mut self, run: &RunId) -> Option<RunView> {
        if self.is_silent {
            return None;
        }
        let view = self.client.view(run).await;
        self.is_silent = matches!(view, Err(ClientError::NoOwner { .. }));
        view.ok().flatten()
    }

    /// Every run of a kind of which an engine tells, if one does.
    pub async fn list_kind(&mut self, kind: &str) -> Result<Option<Vec<RunSummary>>, Ended> {
        match self.client.list_kind(kind, None).await {
            Err(ClientError::NoOwner { .. }) => {
                self.is_silent = true;
                Ok(None)
            }
            all => Ok(Some(all?)),
        }
    }

    /// Every run of which an engine tells, if one does.
    pub async fn list_all(&mut self) -> Result<Option<Vec<RunSummary>>, Ended> {
        match self.client.list_all().await {
            Err(ClientError::NoOwner { .. }) => {
                self.is_silent = true;
                Ok(None)
            }
            all => Ok(Some(all?)),
        }
    }
}

/// What a run shows of itself.
pub async fn view(client: &SteadClient, run: &RunId) -> Result<RunView, Ended> {
    client.view(run).await?.ok_or_else(|| unknown(run))
}

/// A run's messages, from the log or the archive; says so where it is the archive.
pub async fn recorded(client: &SteadClient, run: &RunId) -> Result<Vec<Recorded>, Ended> {
    let found = client.history(run).await?;
    if let (Some(segment), None) = (&found.from, &found.expired) {
        let name = segment.name();
        output::note(&format!("{run} has left the log; it is read from the archive, {name}"));
    }
    if let Some(tombstone) = &found.expired {
        let words = format!("the history of {run} is gone: {}", tombstone.told());
        return Err(Ended::Refused(Refusal::new(EXPIRED, words)));
    }
    if found.messages.is_empty() { Err(unknown(run)) } else { Ok(found.messages) }
}

/// A run's history. One that cannot be read is named, not left out.
pub async fn history(client: &SteadClient, run: &RunId) -> Result<Vec<Transition>, Ended> {
    let recorded = recorded(client, run).await?;
    let history: Result<Vec<_>, _> =
        recorded.iter().map(|message| Transition::decode(&message.bytes)).collect();
    history.map_err(|error| Ended::Failed(format!("the history of {run} cannot be read: {error}")))
}

/// There is none of this id.
pub fn unknown(run: &RunId) -> Ended {
    let words = format!("there is no run {run}; {SEE_ALL}");
    Ended::Refused(Refusal::new("run.unknown", words))
}
