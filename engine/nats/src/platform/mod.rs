//! What must be on the server before anything can run: the log streams, the inbox, the refusals,
//! the leases and the settings record.
//!
//! Engines create what is missing and read back what they got, since the server silently
//! rewrites some settings. The log and the settings are the truth and are never made anew; the
//! other streams may be deleted at any moment and come back empty.

mod inspect;
mod settings;
mod streams;
mod verify;

use futures_util::{StreamExt, TryStreamExt, stream};
use stead_schemas::ids::Partition;

use crate::connect::Connection;
use crate::seal;

pub use inspect::{StreamSeen, inspect_streams};
pub use settings::SettingsRecord;
pub(crate) use streams::{
    create_epoch, ensure_inbox, ensure_leases, ensure_refusals, ensure_shelf,
};

/// How many log streams are set up at once.
const AT_ONCE: usize = 8;
/// More partitions than this are a typing error.
pub const PARTITIONS_MAX: u16 = 1024;

/// How the platform is to be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformSettings {
    /// How many partitions the log has, fixed for ever by whoever comes first. Nothing, for those
    /// who only use a platform that an engine has set up.
    pub partitions: Option<u16>,
    /// How many servers keep each message.
    pub replicas: usize,
}

/// A platform that is set up.
#[derive(Clone)]
pub struct Platform {
    pub(crate) connection: Connection,
    /// How many partitions the log has.
    pub partitions: u16,
    /// The epoch of the log with which every partition began.
    pub epoch: u32,
    /// How many servers keep each message.
    pub replicas: usize,
}

impl Platform {
    /// All partitions.
    pub fn all_partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.partitions).map(Partition)
    }
}

/// Why the platform cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// Nobody has set it up.
    #[error("no engine has set this platform up yet; start one with `stead engine`")]
    NotSetUp,
    /// The number of partitions cannot change.
    #[error(
        "this platform was set up with {found} partitions, not {wanted}; the number is fixed for \
         ever"
    )]
    OtherPartitions {
        /// How many it has.
        found: u16,
        /// How many were asked for.
        wanted: u16,
    },
    /// No such number of partitions.
    #[error("{wanted} partitions cannot be; choose 1 to {PARTITIONS_MAX}")]
    PartitionsOutOfRange {
        /// How many were asked for.
        wanted: u16,
    },
    /// The log could lose or alter facts.
    #[error("the stream `{stream}` is not safe: {}", deviations.join("; "))]
    Unsafe {
        /// The stream.
        stream: String,
        /// Each setting that is not as it must be.
        deviations: Vec<String>,
    },
    /// A stream cannot be set up.
    #[error("the stream `{stream}` cannot be set up: {words}")]
    Stream {
        /// The stream.
        stream: String,
        /// Why.
        words: String,
    },
    /// Something is sealed with a key that we do not have.
    #[error("this platform is encrypted: {words}")]
    Keys {
        /// Which, and why.
        words: String,
    },
    /// The settings record is of another build, or damaged.
    #[error("the settings record cannot be read: {words}")]
    Settings {
        /// Why.
        words: String,
    },
    /// The server does not answer.
    #[error("JetStream does not answer: {words}")]
    Silent {
        /// Why.
        words: String,
    },
}

/// Sets the platform up if that has not been done, or only opens it if no number of partitions is
/// given. Several engines may do so at once.
///
/// # Errors
/// See [`PlatformError`].
pub async fn open_platform(
    connection: &Connection,
    wanted: PlatformSettings,
) -> Result<Platform, PlatformError> {
    let record = match wanted.partitions {
        None => settings::read(&connection.js).await?.ok_or(PlatformError::NotSetUp)?,
        Some(partitions) => settings::agree(&connection.js, partitions, wanted.replicas).await?,
    };
    let platform = Platform {
        connection: connection.clone(),
        partitions: record.partitions,
        epoch: record.epoch,
        replicas: wanted.replicas.max(1),
    };
    if wanted.partitions.is_some() {
        set_up(&platform).await?;
    }
    Ok(platform)
}

async fn set_up(platform: &Platform) -> Result<(), PlatformError> {
    let js = &platform.connection.js;
    streams::ensure_archive(js, platform.replicas).await?;
    streams::check_shelf(platform).await?;
    seal::agree(platform).await.map_err(|words| PlatformError::Keys { words })?;
    stream::iter(platform.all_partitions())
        .map(|partition| streams::ensure_log(js, platform, partition))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    ensure_inbox(platform).await?;
    ensure_refusals(platform).await?;
    ensure_leases(platform).await
}
