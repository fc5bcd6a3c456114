//! `stead archive`: moves runs that are over out of the log, and looks after them.

mod by_itself;
mod expire;

use std::time::Duration;

use serde_json::json;
use stead_nats::{NatsArchive, SteadClient};
use stead_runtime::archive;
use stead_schemas::dispatch::{TurnEpoch, TurnReply};
use stead_schemas::ids::Partition;

use super::run::client;
use crate::audit::signed;
use crate::cli::Global;
use crate::cli::archive::{Archive, Which};
use crate::config::read_audit;
use crate::exit::Ended;
use crate::output;
use crate::story::words::counted;

pub use by_itself::Undertaker;

/// How often one asks how far a turn is.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Archive) -> Result<(), Ended> {
    let client = client(global).await?;
    match verb {
        Archive::Now(which) => now(global, &client, which).await,
        Archive::List(which) => list(global, &client, which).await,
        Archive::Verify(which) => verify(global, &client, which).await,
        Archive::Expire(options) => expire::carry_out(global, &client, options).await,
    }
}

fn partitions(client: &SteadClient, which: &Which) -> Result<Vec<Partition>, Ended> {
    let all = client.platform().partitions;
    match which.partition {
        None => Ok(client.platform().all_partitions().collect()),
        Some(number) if number < all => Ok(vec![Partition(number)]),
        Some(number) => {
            let words = format!("there is no partition {number}; they are 0 to {}", all - 1);
            Err(Ended::Usage(words))
        }
    }
}

async fn now(global: &Global, client: &SteadClient, which: &Which) -> Result<(), Ended> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for partition in partitions(client, which)? {
        let from = client.epoch(partition).await?;
        let reply = turn(client, partition, from).await?;
        let stays = |words: &str| format!("partition {partition} stays in epoch {from}: {words}");
        let told = match (&reply.failed, &reply.nothing) {
            (Some(words), _) => {
                failed.push(stays(words));
                continue;
            }
            (None, Some(words)) => stays(words),
            (None, None) => format!("partition {partition} goes on in epoch {}", reply.epoch),
        };
        done.push(json!({
            "partition": partition, "from": from, "epoch": reply.epoch, "nothing": reply.nothing,
        }));
        if !global.json {
            output::line(&told);
        }
    }
    if global.json {
        output::json(&done);
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Ended::Failed(failed.join("\n"))),
    }
}

/// Asks until the epoch is another one, or it is said why not.
pub async fn turn(
    client: &SteadClient,
    partition: Partition,
    from: u32,
) -> Result<TurnReply, Ended> {
    let mut asked = TurnEpoch { from, anew: true };
    loop {
        let reply = client.turn(partition, asked).await?;
        if reply.epoch != from || reply.failed.is_some() || reply.nothing.is_some() {
            return Ok(reply);
        }
        asked.anew = false;
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn list(global: &Global, client: &SteadClient, which: &Which) -> Result<(), Ended> {
    let archive = NatsArchive::new(client.platform());
    let (mut all, mut gone) = (Vec::new(), Vec::new());
    for partition in partitions(client, which)? {
        all.extend(archive::segments(&archive, partition).await?);
        gone.extend(archive::tombstones(&archive, partition).await?);
    }
    if global.json {
        output::json(&all);
        return Ok(());
    }
    for segment in &all {
        let expired = gone.iter().find(|tombstone| tombstone.check_of(segment).is_ok());
        let expired = expired.map(|it| format!(", expired {} by {}", it.at, it.who));
        output::line(&format!(
            "{}: {} with {}, from epoch {}, written {}{}",
            segment.name(),
            counted(segment.runs, "run"),
            counted(segment.messages, "transition"),
            segment.epoch,
            segment.at,
            expired.unwrap_or_default(),
        ));
    }
    if all.is_empty() {
        output::line("nothing is in the archive; `stead archive now` begins it");
    }
    Ok(())
}

async fn verify(global: &Global, client: &SteadClient, which: &Which) -> Result<(), Ended> {
    let archive = NatsArchive::new(client.platform());
    let (mut runs, mut segments, mut expired, mut altered) = (0, 0, 0, Vec::new());
    let audit = read_audit(&global.config)?;
    for partition in partitions(client, which)? {
        let mut n = 0;
        let seen = archive::verify(&archive, partition, |verdict| {
            n += 1;
            segments += 1;
            runs += verdict.segment.as_ref().map_or(0, |segment| segment.runs);
            expired += verdict.expired.as_ref().map_or(0, |tombstone| tombstone.runs);
            let place = format!("segment {n} of partition {partition}");
            altered.extend(verdict.altered.iter().map(|altered| format!("{place}: {altered}")));
            let unsigned = verdict.expired.as_ref().and_then(|it| signed::fault(it, &audit));
            altered.extend(unsigned.map(|words| format!("{place}: {words}")));
        });
        seen.await?;
    }
    if !altered.is_empty() {
        return Err(Ended::Failed(altered.join("\n")));
    }
    if global.json {
        output::json(&json!({
            "segments": segments, "runs": runs, "expired": expired, "whole": true,
        }));
    } else {
        let (segments, runs) = (counted(segments, "segment"), counted(runs, "run"));
        let gone = format!(", but for {} that expired", counted(expired, "run"));
        let gone = if expired > 0 { gone } else { String::new() };
        output::line(&format!("the archive is whole: {segments}, {runs}{gone}"));
    }
    Ok(())
}
