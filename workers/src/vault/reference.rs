//! `vault:secret/data/proxmox/api#7`: the name of a secret, which may travel where the secret
//! itself may not.

use std::fmt;
use std::str::FromStr;

use stead_schemas::failure::{Class, Failure};

/// Where a secret lies: mount, path, and the version if it is pinned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub(super) mount: String,
    pub(super) path: String,
    pub(super) version: Option<u64>,
}

impl Reference {
    /// The same secret, pinned to a version.
    #[must_use]
    pub fn pinned(&self, version: u64) -> Self {
        Self { version: Some(version), ..self.clone() }
    }

    /// The version, if it is pinned.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.version
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "vault:{}/data/{}", self.mount, self.path)?;
        match self.version {
            Some(version) => write!(out, "#{version}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = Failure;
    fn from_str(text: &str) -> Result<Self, Failure> {
        parse(text).ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            let words = format!(
                "`{shown}` is no reference; one looks like `vault:secret/data/proxmox/api#7`"
            );
            Failure::new(Class::Permanent, words)
        })
    }
}

fn parse(text: &str) -> Option<Reference> {
    let place = text.strip_prefix("vault:")?;
    let (place, version) = match place.split_once('#') {
        Some((place, version)) => (place, Some(version.parse().ok().filter(|v| *v > 0)?)),
        None => (place, None),
    };
    let (mount, path) = place.split_once("/data/")?;
    (is_plain(mount) && path.split('/').all(is_plain)).then(|| Reference {
        mount: mount.to_owned(),
        path: path.to_owned(),
        version,
    })
}

/// A segment that means only itself in a URL.
fn is_plain(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    !segment.is_empty() && segment.bytes().all(plain) && segment.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn a_reference_is_written_as_it_was_read() {
        for text in ["vault:secret/data/proxmox/api", "vault:secret/data/proxmox/api#7"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_path_cannot_climb() {
        for text in [
            "secret/data/x",
            "vault:secret/proxmox",
            "vault:secret/data/",
            "vault:secret/data/../sys",
            "vault:secret/data/a?version=1",
            "vault:secret/data/a#0",
            "vault:secret/data/a#x",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
