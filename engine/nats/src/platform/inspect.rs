//! How the streams are, compared with how an engine would make them. Only looks.

use async_nats::jetstream::stream::{Config, Info};
use futures_util::{StreamExt, stream};
use stead_schemas::ids::Partition;

use super::{AT_ONCE, Platform, streams, verify};
use crate::log::in_force;

/// How one of our streams is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSeen {
    /// Its name; where the log's epoch cannot be told, its partition.
    pub name: String,
    /// Whether facts are in it, so that nobody will make it anew.
    pub keeps_facts: bool,
    /// How many messages are in it.
    pub messages: u64,
    /// How many subjects they are on: in a log, one for each run.
    pub subjects: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// How many servers keep each message.
    pub replicas: usize,
    /// Each setting that is not as it must be, in words.
    pub deviations: Vec<String>,
    /// Why it cannot be looked at, if it cannot.
    pub unseen: Option<String>,
    /// Servers that keep it and are away or behind.
    pub behind: Vec<String>,
}

/// Looks at every stream of the platform, in the order of their names.
pub async fn inspect_streams(platform: &Platform) -> Vec<StreamSeen> {
    let mut seen = Vec::new();
    for (wanted, keeps_facts) in streams::besides_the_log(platform.replicas) {
        seen.push(inspect(platform, wanted, keeps_facts).await);
    }
    seen.extend(inspect_shelf(platform).await);
    let logs = stream::iter(platform.all_partitions())
        .map(|partition| inspect_log(platform, partition))
        .buffered(AT_ONCE)
        .collect::<Vec<_>>();
    seen.extend(logs.await);
    seen
}

async fn inspect_log(platform: &Platform, partition: Partition) -> StreamSeen {
    match in_force(platform, partition).await {
        Ok(epoch) => inspect(platform, streams::log(platform, partition, epoch), true).await,
        Err(error) => unseen(format!("log of partition {partition}"), true, error.0),
    }
}

/// What may expire: it is made only where something is to.
async fn inspect_shelf(platform: &Platform) -> Option<StreamSeen> {
    let wanted = streams::shelf(platform.replicas);
    match streams::found(&platform.connection.js, &wanted.name).await {
        Ok(found) => Some(compare(&wanted, &found?, true)),
        Err(words) => Some(unseen(wanted.name, true, words)),
    }
}

async fn inspect(platform: &Platform, wanted: Config, keeps_facts: bool) -> StreamSeen {
    match platform.connection.js.get_stream(&wanted.name).await {
        Ok(found) => compare(&wanted, found.cached_info(), keeps_facts),
        Err(error) => unseen(wanted.name, keeps_facts, error.to_string()),
    }
}

fn compare(wanted: &Config, found: &Info, keeps_facts: bool) -> StreamSeen {
    let deviations = match keeps_facts {
        true => verify::deviations(wanted, &found.config),
        false => verify::differences(wanted, &found.config),
    };
    let replicas = found.cluster.iter().flat_map(|cluster| &cluster.replicas);
    let behind = replicas.filter(|replica| replica.offline || !replica.current);
    StreamSeen {
        name: wanted.name.clone(),
        keeps_facts,
        messages: found.state.messages,
        subjects: found.state.subjects_count,
        bytes: found.state.bytes,
        replicas: found.config.num_replicas,
        deviations,
        unseen: None,
        behind: behind.map(|replica| replica.name.clone()).collect(),
    }
}

fn unseen(name: String, keeps_facts: bool, words: String) -> StreamSeen {
    StreamSeen {
        name,
        keeps_facts,
        messages: 0,
        subjects: 0,
        bytes: 0,
        replicas: 0,
        deviations: Vec::new(),
        unseen: Some(words),
        behind: Vec::new(),
    }
}
