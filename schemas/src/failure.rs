//! How things go wrong, in the words that everything downstream uses.

use alloc::string::String;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a vendor's answer means. A worker's client decides this once for each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing happened; ask again.
    Retry,
    /// It may have happened; look before asking again.
    Ambiguous,
    /// Busy or locked; it will pass.
    Wait,
    /// The vendor as a whole does not answer, or answers nobody.
    VendorDown,
    /// Something is in the way that is not ours.
    Conflict,
    /// Our request is wrong and will stay so.
    Permanent,
    /// We are not let in, or not allowed.
    Auth,
    /// The time allowed for the step is over.
    TimedOut,
    /// Somebody asked to stop.
    Cancelled,
    /// The entity that was asked refused the command.
    Refused,
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ask again later.
    Passing,
    /// Asking again changes nothing.
    Lasting,
    /// The effect may be there: look, then go on.
    Unknown,
}

impl Class {
    /// The word for it, as it stands in metrics and traces.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Ambiguous => "ambiguous",
            Self::Wait => "wait",
            Self::VendorDown => "vendor-down",
            Self::Conflict => "conflict",
            Self::Permanent => "permanent",
            Self::Auth => "auth",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }

    /// Whether asking again can help.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Retry | Self::Wait | Self::VendorDown => Kind::Passing,
            Self::Ambiguous => Kind::Unknown,
            Self::Conflict
            | Self::Permanent
            | Self::Auth
            | Self::TimedOut
            | Self::Cancelled
            | Self::Refused => Kind::Lasting,
        }
    }
}

/// Why something did not come about. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind of trouble it was.
    pub class: Class,
    /// The step that failed, `proxmox.clone-vm`, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What happened, in plain words.
    pub words: String,
    /// What the vendor itself said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
}

impl Failure {
    /// A failure of this class, in these words.
    #[must_use]
    pub fn new(class: Class, words: impl Into<String>) -> Self {
        Self { class, step: None, words: words.into(), vendor: None }
    }

    /// The same failure, with the vendor's own words beneath.
    #[must_use]
    pub fn vendor(mut self, words: impl Into<String>) -> Self {
        self.vendor = Some(words.into());
        self
    }

    /// The same failure, naming the step that met it.
    #[must_use]
    pub fn at(mut self, step: &str) -> Self {
        self.step.get_or_insert_with(|| step.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(out, "{step}: ")?;
        }
        out.write_str(&self.words)?;
        // Where our words are the vendor's own, they are not said twice.
        match self.vendor.as_ref().filter(|vendor| !self.words.contains(vendor.as_str())) {
            Some(vendor) => write!(out, " (the vendor said: {vendor})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{Class, Failure};

    fn check(vendor: &str, told: &str) {
        let failure = Failure::new(Class::Wait, "Vault is sealed; unseal it").vendor(vendor);
        assert_eq!(failure.at("vault.pin-secrets").to_string(), told);
    }

    #[test]
    fn the_vendor_s_words_are_not_said_twice() {
        check("Vault is sealed", "vault.pin-secrets: Vault is sealed; unseal it");
        check("503", "vault.pin-secrets: Vault is sealed; unseal it (the vendor said: 503)");
    }
}
