//! `[encryption]`: the keys to what is sealed on the servers' disks. They lie in a file as they are,
//! or wrapped with a key that Vault keeps to itself; then whoever has the file has nothing.

use std::time::Duration;

use stead_nats::Keys;
use stead_nats::seal::{KeysError, new_line};
use stead_schemas::failure::{Failure, Kind};
use stead_workers::vault::{self, Secrets, TransitKey};

use super::reader::Reader;
use super::{part, vault_of};
use crate::exit::{Ended, with_causes};
use crate::output;

/// How often Vault is asked again while it is sealed or away.
const AGAIN: Duration = Duration::from_secs(1);

/// The keys as the configuration has them.
#[derive(Clone, Debug)]
pub enum Encryption {
    /// As they are; none, where nothing is sealed.
    Open(Keys),
    /// As Vault can open them.
    Wrapped(Wrapped),
}

/// Keys that are wrapped.
#[derive(Clone, Debug)]
pub struct Wrapped {
    /// The name of each, and what Vault can open.
    lines: Vec<(String, String)>,
    with: Wrapping,
}

/// What keys are wrapped with: a key of Vault's, and our way to it.
#[derive(Clone, Debug)]
pub struct Wrapping {
    key: TransitKey,
    vault: vault::Config,
}

impl Default for Encryption {
    fn default() -> Self {
        Self::Open(Keys::default())
    }
}

impl Encryption {
    /// The names of all keys, that which seals first.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Open(keys) => keys.names().collect(),
            Self::Wrapped(wrapped) => wrapped.lines.iter().map(|(name, _)| &**name).collect(),
        }
    }

    /// The keys themselves. While Vault is sealed or away it is said so, and waited for.
    ///
    /// # Errors
    /// If Vault will not open them.
    pub async fn open(&self) -> Result<Keys, Ended> {
        let wrapped = match self {
            Self::Open(keys) => return Ok(keys.clone()),
            Self::Wrapped(wrapped) => wrapped,
        };
        let (secrets, mut told) = (wrapped.with.secrets()?, String::new());
        loop {
            let failure = match wrapped.open(&secrets).await {
                Ok(text) => return Keys::read(&text).map_err(|e| Ended::Usage(e.to_string())),
                Err(failure) => failure,
            };
            if failure.class.kind() == Kind::Lasting {
                let words = format!("the keys of [encryption] do not open: {failure}");
                return Err(Ended::Failed(words));
            }
            let words = format!("waits for Vault, which opens the keys of [encryption]: {failure}");
            if words != told {
                output::warn(&words);
                told = words;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Wrapping {
    /// A line with a new key of this name, which nobody has seen.
    ///
    /// # Errors
    /// If the name cannot be one, or Vault makes no key.
    pub async fn new_line(&self, name: &str) -> Result<String, Ended> {
        new_line(name).map_err(|error| Ended::Usage(error.to_string()))?;
        let made = self.secrets()?.new_wrapped(&self.key).await;
        let made = made.map_err(|failure| Ended::Failed(failure.to_string()))?;
        Ok(format!("{name} {made}"))
    }

    fn secrets(&self) -> Result<Secrets, Ended> {
        Secrets::new(self.vault.clone()).map_err(|error| Ended::Failed(with_causes(&error)))
    }
}

impl Wrapped {
    /// The text of a file of keys as they are.
    async fn open(&self, secrets: &Secrets) -> Result<String, Failure> {
        let mut text = String::new();
        for (name, wrapped) in &self.lines {
            let key = secrets.open_wrapped(&self.with.key, wrapped).await?;
            text.push_str(&format!("{name} {}\n", key.expose()));
        }
        Ok(text)
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Encryption {
    match wrapping(reader) {
        Some(with) => wrapped(reader, with),
        None => plain(reader),
    }
}

/// What keys are wrapped with, if they are.
pub(super) fn wrapping(reader: &mut Reader<'_>) -> Option<Wrapping> {
    let mut section = reader.section("encryption");
    let key = match section.optional_text("transit")?.parse::<TransitKey>() {
        Ok(key) => key,
        Err(error) => {
            section.fault("transit", &error.to_string());
            return None;
        }
    };
    let vault = vault_of(reader);
    part(reader, "vault", vault).map(|vault| Wrapping { key, vault })
}

fn plain(reader: &mut Reader<'_>) -> Encryption {
    let mut section = reader.section("encryption");
    let Some(text) = section.optional_guarded_secret("keys") else { return Encryption::default() };
    match Keys::read(text.expose()) {
        Ok(keys) => Encryption::Open(keys),
        Err(error) => {
            section.fault("keys", &error.to_string());
            Encryption::default()
        }
    }
}

/// Whoever reads what is wrapped has nothing, so that the file need not be guarded.
fn wrapped(reader: &mut Reader<'_>, with: Wrapping) -> Encryption {
    let mut section = reader.section("encryption");
    let text = section.optional_secret("keys");
    match lines(text.as_ref().map_or("", |text| text.expose())) {
        Ok(lines) => Encryption::Wrapped(Wrapped { lines, with }),
        Err(words) => {
            section.fault("keys", &words);
            Encryption::default()
        }
    }
}

/// The wrapped keys in a text.
fn lines(text: &str) -> Result<Vec<(String, String)>, String> {
    let each = text.lines().map(str::trim).zip(1..);
    let each = each.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let each = each.map(|(line, number)| {
        let (name, wrapped) = line.split_once(char::is_whitespace).unwrap_or_default();
        match wrapped.trim() {
            wrapped if wrapped.starts_with("vault:") => Ok((name.to_owned(), wrapped.to_owned())),
            _ => Err(format!(
                "line {number} is no key that Vault can open: `stead config key NAME` makes one"
            )),
        }
    });
    let lines: Vec<_> = each.collect::<Result<_, _>>()?;
    if lines.is_empty() { Err(KeysError::Empty.to_string()) } else { Ok(lines) }
}
