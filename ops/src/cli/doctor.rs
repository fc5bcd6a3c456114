//! The options of `stead doctor`.

use clap::{Args, ValueEnum};

/// Look at everything that Stead needs, and say of each fault how to mend it.
#[derive(Debug, Args)]
#[command(after_help = "It only looks. The exit code is 1 if something has to be mended; what \
    cannot be seen from here is said, and is no failure.\n\n\
    Example:\n  stead doctor --config /etc/stead/stead.toml --role engine")]
pub struct Doctor {
    /// Whose permissions the login of this configuration is to have.
    #[arg(long, value_enum, default_value_t = Role::Operator, value_name = "ROLE")]
    pub role: Role,
    /// How far the clocks of this machine and of the server may be apart.
    #[arg(long, default_value_t = 1_000, value_name = "MILLISECONDS")]
    pub skew_max_ms: u32,
    /// Pretend that this machine's clock is ahead by so much, to see what is said then.
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS", hide = true)]
    pub clock_ahead_ms: i32,
}

/// Who logs in to NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// A person who looks after the platform, and sees all of it.
    Operator,
    /// An engine, which does not ask workers how they are.
    Engine,
    /// A worker, which sees the server and what it may do there itself.
    Worker,
}
