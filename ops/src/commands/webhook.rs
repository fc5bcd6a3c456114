//! `stead webhook`: the door by which Forgejo tells of pushes, as a process of its own.
//!
//! It gives one command and no other, `template.check`, and needs no more of the bus.

use crate::assemble::open_webhooks;
use crate::cli::Global;
use crate::config::read_file;
use crate::exit::Ended;
use crate::{output, signals};

use super::serve::{stop, with_keys, workers};

/// Serves until it is told to stop.
pub async fn carry_out(global: &Global) -> Result<(), Ended> {
    let config = read_file(&global.config)?;
    if let Some(level) = &config.log_level {
        output::set_log_level(level).map_err(Ended::Failed)?;
    }
    let config = with_keys(config).await?;
    let mut stop = stop()?;
    let workers = workers(&config)?;
    let deployments = config.site.deployments.clone();
    let opened = open_webhooks(&config.nats, &workers, deployments, stop.clone()).await?;
    let Some(door) = opened else {
        let words = "the configuration opens no door; set forgejo.webhook_listen";
        return Err(Ended::Usage(words.to_owned()));
    };
    output::note(&format!("webhooks come in at {}", door.url()));
    signals::stopped(&mut stop).await;
    door.shutdown().await;
    Ok(())
}
