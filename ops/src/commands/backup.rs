//! `stead backup`: all that is true in one folder, and back.

use std::path::Path;

use stead_nats::backup::{self, BackupError, Manifest};

use super::doctor::size;
use crate::assemble::{BUILD, connection};
use crate::cli::Global;
use crate::cli::backup::Backup;
use crate::config::read_nats;
use crate::exit::{Ended, with_causes};
use crate::output;
use crate::story::words::counted;

/// Without these, nothing that is restored can be read, or nobody comes in.
const NOT_IN_IT: &str = "\
not in it, and to be kept elsewhere: the site's configuration, the keys of [encryption], the key of\n\
[audit], the seeds of `stead nats` and what certifies its servers (ca.key); and whatever Vault keeps";

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Backup) -> Result<(), Ended> {
    let (done, manifest) = match verb {
        Backup::Create { folder } => {
            let connection = connection(&read_nats(&global.config)?, "stead-backup").await?;
            (
                format!("{} holds", folder.display()),
                backup::create(&connection, folder, BUILD).await?,
            )
        }
        Backup::Verify { folder } => {
            (format!("{} is as it was written:", folder.display()), verified(folder).await?)
        }
        Backup::Restore { folder, replicas } => {
            let connection = connection(&read_nats(&global.config)?, "stead-backup").await?;
            let restored = backup::restore(&connection, folder, *replicas).await?;
            ("restored".to_owned(), restored)
        }
    };
    if global.json {
        output::json(&manifest);
    } else {
        output::line(&format!("{done} {}", summary(&manifest)));
    }
    if let Backup::Create { .. } = verb {
        output::note(NOT_IN_IT);
    }
    Ok(())
}

async fn verified(folder: &Path) -> Result<Manifest, Ended> {
    let folder = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || backup::verify(&folder)).await;
    Ok(read.map_err(|error| Ended::Failed(error.to_string()))??)
}

fn summary(manifest: &Manifest) -> String {
    let moment = match manifest.at_one_moment {
        true => "all as they were at one moment",
        false => "each as it was at a moment of its own, since the log went on meanwhile",
    };
    format!(
        "{} with {}, {}, begun {}; {moment}",
        counted(manifest.streams.len() as u64, "stream"),
        counted(manifest.messages(), "message"),
        size(manifest.bytes()),
        manifest.at,
    )
}

impl From<BackupError> for Ended {
    fn from(error: BackupError) -> Self {
        let words = with_causes(&error);
        match error {
            BackupError::Taken { .. } | BackupError::File { .. } => Self::Usage(words),
            BackupError::Damaged { .. } | BackupError::NotEmpty { .. } | BackupError::Unquiet => {
                Self::Failed(words)
            }
            BackupError::NoPlatform | BackupError::Server { .. } => Self::Unavailable(words),
        }
    }
}
