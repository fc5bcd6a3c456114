//! The child's side: ends with whoever started it.

use std::io::Read;
use std::time::Duration;

use tokio::sync::oneshot;

/// Set in the environment of a child that is to end with its parent.
pub const VARIABLE: &str = "STEAD_EXIT_WITH_PARENT";

/// How long a child may put its things in order after its parent has gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Resolves when the parent has gone or wants this process to end; never for a process that was
/// started by a person. A process that does not heed it is ended a little later.
pub async fn gone() {
    if std::env::var_os(VARIABLE).is_none() {
        return std::future::pending().await;
    }
    let (tell, told) = oneshot::channel();
    // A thread of its own, since nothing can interrupt it while it reads.
    std::thread::spawn(move || {
        read_to_end();
        tell.send(()).ok();
        std::thread::sleep(PATIENCE);
        std::process::exit(1);
    });
    told.await.ok();
}

/// The parent never writes: the pipe ends when nobody holds its other end any more.
fn read_to_end() {
    let mut input = std::io::stdin().lock();
    let mut nothing = [0; 64];
    while input.read(&mut nothing).is_ok_and(|read| read > 0) {}
}
