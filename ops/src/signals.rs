//! Ctrl-C, SIGTERM and the end of a parent, as one word that everything long-lived listens to.

use stead_runtime::vital;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::processes::parent;

/// Turns true when somebody wants this process to end.
pub fn stop() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    vital::begin("what listens to signals", async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent::gone() => {}
        }
        sender.send_replace(true);
        // A second Ctrl-C means it.
        interrupt.recv().await;
        std::process::exit(130);
    });
    Ok(receiver)
}

/// Resolves when somebody wants this process to end.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
