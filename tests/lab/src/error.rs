//! What can go wrong with the lab itself, as opposed to what it simulates.

use thiserror::Error;

/// Why the lab, or a client of it, could not do as asked.
#[derive(Debug, Error)]
pub enum LabError {
    /// A port could not be bound.
    #[error("could not listen on 127.0.0.1:{port}")]
    Listen {
        /// The port, 0 for any.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client could not be built.
    #[error("could not build an HTTP client")]
    Client {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// No such vendor or fault.
    #[error("there is no fault {vendor}/{fault}; known: {known}")]
    UnknownFault {
        /// The vendor asked for.
        vendor: String,
        /// The fault asked for.
        fault: String,
        /// All that could have been asked for.
        known: String,
    },
    /// It is no policy of Vault's.
    #[error("it is no policy: {0}")]
    Policy(String),
    /// The control port did not answer.
    #[error("the lab at {url} does not answer")]
    Unreachable {
        /// The control address.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The control port answered with an error.
    #[error("the lab refused ({status}): {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the lab said.
        reason: String,
    },
}
