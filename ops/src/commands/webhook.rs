//! `stead webhook`: the door by which Forgejo tells of pushes, as a process of its own.
//!
//! It gives one command and no other, `template.check`, and needs no more of the bus.

use std::net::SocketAddr;
use std::sync::Arc;

use stead_runtime::metric::By;
use stead_workers::forgejo::webhook::Deployments;

use super::serve::{stop, unless_ended, with_keys, workers};
use crate::assemble::open_webhooks;
use crate::cli::{Global, Webhook};
use crate::config::read_file;
use crate::exit::Ended;
use crate::reload::{Duty, Reload};
use crate::serving::{Health, serve};
use crate::{output, signals};

/// Serves until it is told to stop.
pub async fn carry_out(global: &Global, options: &Webhook) -> Result<(), Ended> {
    let mut reload = Reload::listen(&global.config, Duty::Webhook)?;
    let config = read_file(&global.config)?;
    if let Some(level) = &config.log_level {
        output::set_log_level(level).map_err(Ended::Failed)?;
    }
    let health = Arc::new(Health::default());
    let metrics: Vec<SocketAddr> = options.metrics.into_iter().collect();
    serve(&metrics, By::Worker, health.clone()).await?;
    let config = with_keys(config).await?;
    let mut stop = stop()?;
    let workers = workers(&config)?;
    let deployments = Deployments::from(config.site.deployments.clone());
    let opened =
        open_webhooks(&config.nats, &workers, deployments.clone(), &health, stop.clone()).await?;
    let Some(door) = opened else {
        let words = "the configuration opens no door; set forgejo.webhook_listen";
        return Err(Ended::Usage(words.to_owned()));
    };
    output::note(&format!("webhooks come in at {}", door.url()));
    let ended = async {
        signals::stopped(&mut stop).await;
        Ok(())
    };
    let ended = unless_ended(ended, &mut reload, |config| {
        deployments.replace(config.site.deployments);
        Ok(())
    });
    ended.await?;
    door.shutdown().await;
    Ok(())
}
