//! `stead webhook`: the door by which Forgejo tells of pushes, as a process of its own.
//!
//! It gives one command and no other, `template.check`, and needs no more of the bus.

use std::net::SocketAddr;
use std::sync::Arc;

use stead_runtime::metric::By;
use stead_runtime::vital;
use stead_workers::forgejo::webhook::Deployments;
use tokio::sync::watch;

use super::serve::{stop, unless_ended, with_keys, workers};
use crate::assemble::{open_webhooks, unless_broken};
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
    let ended = unless_ended(told_to_stop(&mut stop, vital::broken()), &mut reload, |config| {
        deployments.replace(config.site.deployments);
        Ok(())
    });
    ended.await?;
    door.shutdown().await;
    Ok(())
}

/// Waits for the word to stop. Where a task has panicked that nobody waits for, the door hears nothing
/// any more, and whoever supervises the process starts it again.
async fn told_to_stop(
    stop: &mut watch::Receiver<bool>,
    panicked: impl Future<Output = &'static str>,
) -> Result<(), Ended> {
    let stopped = async {
        signals::stopped(stop).await;
        Ok(())
    };
    unless_broken(stopped, panicked).await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::watch;

    use super::told_to_stop;

    #[tokio::test]
    async fn the_door_ends_when_it_is_told_to_and_when_a_part_of_it_panics() {
        let (tell, mut stop) = watch::channel(false);
        let ended = told_to_stop(&mut stop, ready("the connection")).await;
        let words = ended.expect_err("it is broken").to_string();
        assert!(words.contains("the connection ended with a bug of ours"), "{words}");
        tell.send(true).expect("somebody waits");
        told_to_stop(&mut stop, pending()).await.expect("a good end");
    }
}
