//! Why a verb ends, and the exit code for it.

use std::process::ExitCode;

use serde_json::{Value, json};
use stead_nats::client::ClientError;
use stead_nats::{ConnectError, PlatformError};
use stead_runtime::ports::LogError;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;

use crate::config::ConfigError;

/// The table of exit codes, as `--help` shows it.
pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    carried out, and it failed (or a replay differs, or a check found something)
  2    the command line is wrong
  3    refused: the words say what to change
  4    nobody answers: NATS, an engine, or the lab is not there
  5    the configuration has faults
  130  interrupted";

/// What to do if none answers.
const START_AN_ENGINE: &str = "start one with `stead engine` or `stead up`";

/// Why a verb ends other than well.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// What was asked was carried out and failed.
    #[error("{0}")]
    Failed(String),
    /// What was asked was refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Somebody who is needed does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Ended {
    /// The exit code; see [`EXIT_CODES`].
    #[must_use]
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.kind().0)
    }

    /// The exit code, and the word for it.
    const fn kind(&self) -> (u8, &'static str) {
        match self {
            Self::Failed(_) => (1, "failed"),
            Self::Usage(_) => (2, "usage"),
            Self::Refused(_) => (3, "refused"),
            Self::Unavailable(_) => (4, "unavailable"),
            Self::Config(_) => (5, "invalid"),
            Self::Interrupted => (130, "interrupted"),
        }
    }

    /// The same for machines. Every verb that is given `--json` ends with this on standard error.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let (exit, kind) = self.kind();
        let mut error = json!({ "kind": kind, "exit": exit, "words": self.to_string() });
        match self {
            Self::Refused(Refusal { code, field, words }) => {
                error["code"] = json!(code);
                error["words"] = json!(words);
                if let Some(field) = field {
                    error["field"] = json!(field);
                }
            }
            Self::Config(ConfigError::Faulty { faults, .. }) => error["faults"] = json!(faults),
            _ => {}
        }
        json!({ "error": error })
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

impl From<ConnectError> for Ended {
    fn from(error: ConnectError) -> Self {
        Self::Unavailable(match &error {
            ConnectError::Silent { url, source } => format!(
                "cannot reach NATS at {url} ({source}): start it, or name another one with --config \
                 or STEAD_NATS_URL"
            ),
            ConnectError::Login { .. } => {
                format!(
                    "{error}; set [nats] in --config, or STEAD_NATS_NKEY, or STEAD_NATS_USER and \
                     STEAD_NATS_PASSWORD"
                )
            }
            _ => with_causes(&error),
        })
    }
}

impl From<PlatformError> for Ended {
    fn from(error: PlatformError) -> Self {
        Self::Unavailable(match &error {
            PlatformError::NotSetUp => {
                format!("no engine has set this platform up yet; {START_AN_ENGINE}")
            }
            PlatformError::Silent { .. } => {
                format!("{error}; is the server started with JetStream (`nats-server -js`)?")
            }
            _ => with_causes(&error),
        })
    }
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Self::Unavailable(match &error {
            ClientError::NoEngine { .. } => format!("no engine answers; {START_AN_ENGINE}"),
            ClientError::NoOwner { partition, .. } => {
                format!("no engine answers for partition {partition}; {START_AN_ENGINE}")
            }
            _ => with_causes(&error),
        })
    }
}

impl From<LogError> for Ended {
    fn from(error: LogError) -> Self {
        Self::Unavailable(format!("cannot read the log: {}", with_causes(&error)))
    }
}

/// An error and what caused it, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_schemas::refusal::Refusal;

    use super::Ended;
    use crate::config::read;

    fn check(ended: &Ended, expected: &Value) {
        assert_eq!(ended.as_json()["error"], *expected);
    }

    #[test]
    fn a_machine_is_told_what_a_person_is_told() {
        let refusal = Refusal::new("workspace.exists", "there is one").field("name");
        check(
            &Ended::Refused(refusal),
            &json!({
                "kind": "refused", "exit": 3, "code": "workspace.exists", "field": "name",
                "words": "there is one",
            }),
        );
        check(
            &Ended::Unavailable("nobody".to_owned()),
            &json!({ "kind": "unavailable", "exit": 4, "words": "nobody" }),
        );
    }

    #[test]
    fn each_fault_of_a_configuration_has_its_place() {
        let read = read("[nats]\nurl = 7\n", "site.toml", &|_| None).map(drop);
        let error = Ended::from(read.expect_err("it has faults")).as_json();
        assert_eq!(error["error"]["kind"], "invalid");
        let faults = error["error"]["faults"].as_array().expect("faults");
        let fault = faults.iter().find(|fault| fault["place"] == "nats.url").expect("this one");
        assert_eq!(fault["line"], 2);
        assert!(faults.iter().all(|fault| fault["words"].is_string()), "{faults:?}");
    }
}
