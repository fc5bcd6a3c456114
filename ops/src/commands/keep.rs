//! `stead keep`: runs a program that knows nothing of its parent, and ends it with ours.

use std::process::Stdio;

use tokio::process::Command;

use crate::cli::demo::Keep;
use crate::exit::Ended;
use crate::signals;

/// Carries the verb out.
pub async fn carry_out(options: &Keep) -> Result<(), Ended> {
    let mut stop = signals::stop()
        .map_err(|error| Ended::Failed(format!("cannot listen for signals: {error}")))?;
    let [program, arguments @ ..] = options.command.as_slice() else {
        return Err(Ended::Usage("what is to be run?".to_owned()));
    };
    let shown = program.to_string_lossy();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Ended::Failed(format!("cannot start {shown}: {error}")))?;
    tokio::select! {
        status = child.wait() => match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Ended::Failed(format!("{shown} has ended: {status}"))),
            Err(error) => Err(Ended::Failed(format!("cannot watch {shown}: {error}"))),
        },
        () = signals::stopped(&mut stop) => child.kill().await
            .map_err(|error| Ended::Failed(format!("cannot end {shown}: {error}"))),
    }
}
