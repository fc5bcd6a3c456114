//! The thread of an engine.
//!
//! It has a runtime of its own, so that nobody else's thread has to wake it for its timers. With one
//! that is shared (tokio 1.54.1, `Handle::block_on` on this thread) an engine under full load slept for
//! ever in four of some two hundred measurements: parked, with timers that were due and leases that ran
//! out, while the threads that should have woken it had nothing to do. Why was not found. A thread that
//! sleeps until its own next timer wakes by itself, and then looks at everything.

use std::io;
use std::rc::Rc;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use crate::engine;
use crate::env::Env;

/// Starts an engine, which runs until `stop` turns true, hands everything over and then says so. If
/// it ends without a word, it has panicked.
///
/// # Errors
/// If the system has no thread or no files for it.
pub fn start(env: Env, stop: watch::Receiver<bool>) -> io::Result<oneshot::Receiver<()>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (tell, over) = oneshot::channel();
    std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
        runtime.block_on(LocalSet::new().run_until(engine::run(Rc::new(env), stop)));
        // Nobody listens only when the process is going.
        tell.send(()).ok();
    })?;
    Ok(over)
}
