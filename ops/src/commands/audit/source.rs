//! Every message of a partition, from the log and the archive.

use futures_util::StreamExt;
use stead_nats::{NatsArchive, NatsLog, Placed, SteadClient};
use stead_runtime::archive::{self, Graveyard};
use stead_runtime::ports::{EventLog, LogError};
use stead_schemas::ids::Partition;

use crate::audit::Stored;

/// How often a partition is read again whose epoch was left meanwhile.
const READS_MAX: u32 = 5;

/// How far somebody has read in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub epoch: u32,
    pub seq: u64,
}

/// Reads everything and says how far it came. What is read again, since an epoch was left
/// meanwhile, is seen twice.
///
/// The log comes first: when it has been read, whatever left it before is in the archive.
pub async fn read(
    client: &SteadClient,
    partition: Partition,
    seen: &mut dyn FnMut(&Stored),
) -> Result<Place, LogError> {
    let mut attempt = 0;
    let place = loop {
        attempt += 1;
        let epoch = client.epoch(partition).await?;
        match read_log(client, partition, epoch, seen).await {
            Ok(seq) => break Place { epoch, seq },
            Err(error) if attempt == READS_MAX || client.epoch(partition).await? == epoch => {
                return Err(error);
            }
            Err(_) => {}
        }
    };
    read_archive(client, partition, place.epoch, seen).await?;
    Ok(place)
}

/// Reads the transitions of the epoch that is in force.
async fn read_log(
    client: &SteadClient,
    partition: Partition,
    epoch: u32,
    seen: &mut dyn FnMut(&Stored),
) -> Result<u64, LogError> {
    let log = NatsLog::new(client.platform());
    let mut last = 0;
    let mut messages = log.read_partition(partition, epoch, last).await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let (seq, run, bytes) = (message.seq, message.run, message.bytes);
        last = seq;
        seen(&Stored { partition, epoch, seq, run, bytes });
    }
    Ok(last)
}

/// Reads the epoch that is in force, with all that lies in it.
pub async fn read_places(
    client: &SteadClient,
    partition: Partition,
    epoch: u32,
    seen: &mut dyn FnMut(Placed),
) -> Result<(), LogError> {
    let mut messages = NatsLog::new(client.platform()).read_places(partition, epoch).await?;
    while let Some(message) = messages.next().await {
        seen(message?);
    }
    Ok(())
}

/// Reads the segments that were written before `epoch` began.
async fn read_archive(
    client: &SteadClient,
    partition: Partition,
    epoch: u32,
    seen: &mut dyn FnMut(&Stored),
) -> Result<(), LogError> {
    let archive = NatsArchive::new(client.platform());
    let mut gone = Graveyard::default();
    for segment in archive::segments(&archive, partition).await? {
        if segment.epoch >= epoch {
            continue;
        }
        for history in archive::histories(&archive, &segment, &mut gone).await? {
            for message in history.messages {
                let (seq, epoch, run) = (message.seq, segment.epoch, history.run.clone());
                seen(&Stored { partition, epoch, seq, run, bytes: message.bytes });
            }
        }
    }
    Ok(())
}
