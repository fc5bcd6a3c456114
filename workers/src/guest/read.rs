//! Reads what guests ask for and say, which anybody may have written: the machine is its owner's.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;
use stead_schemas::ids::RunId;
use stead_schemas::step::guest::HomeReport;

use crate::http::shortened;

/// How many bytes of the signature an address holds; 128 bits cannot be guessed.
pub const TOKEN_BYTES: usize = 16;
/// As many characters of what names a boot are kept; the kernel's have 36.
const BOOT_ID_MAX: usize = 64;

/// The run that an address names, and what signs it. Each has one spelling.
#[must_use]
pub fn place(run: &str, token: &str) -> Option<(RunId, [u8; TOKEN_BYTES])> {
    Some((run.parse().ok()?, from_hex(token)?))
}

fn from_hex(text: &str) -> Option<[u8; TOKEN_BYTES]> {
    let digits = text.as_bytes();
    let plain = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
    if digits.len() != TOKEN_BYTES * 2 || !digits.iter().all(plain) {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// An event of cloud-init's, each word of it short. What is none has no words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What it is about: `init-network`, or a part of that behind a slash.
    pub name: String,
    /// `start` or `finish`.
    pub kind: String,
    /// `SUCCESS`, `WARN` or `FAIL`.
    pub result: String,
}

/// Reads an event.
#[must_use]
pub fn event(body: &[u8]) -> Event {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| shortened(event[name].as_str().unwrap_or_default());
    Event { name: field("name"), kind: field("event_type"), result: field("result") }
}

impl Event {
    /// What of it is worth showing: each stage that begins, and whatever fails. The parts of a
    /// stage are many and short.
    #[must_use]
    pub fn progress(&self) -> Option<String> {
        let Self { name, kind, result } = self;
        match (&**kind, &**result) {
            ("finish", "FAIL") => Some(format!("cloud-init: {name} failed")),
            ("start", _) if !name.is_empty() && !name.contains('/') => {
                Some(format!("cloud-init: {name}"))
            }
            _ => None,
        }
    }
}

/// What a guest says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// How far it is: `home-verified`.
    pub stage: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The address that it has.
    #[serde(default)]
    pub address: String,
    /// Whatever else it says, for a person who reads the log.
    #[serde(default)]
    pub detail: Value,
}

/// Reads a report.
#[must_use]
pub fn report(body: &[u8]) -> Option<Report> {
    serde_json::from_slice(body).ok()
}

impl Report {
    /// What is handed to the engines of it. What is no address is not passed on.
    #[must_use]
    pub fn of_home(&self) -> HomeReport {
        let address = self.address.parse::<IpAddr>().ok().map(|address| address.to_string());
        let graphic = self.boot_id.chars().filter(char::is_ascii_graphic);
        HomeReport { boot_id: graphic.take(BOOT_ID_MAX).collect(), address }
    }
}

#[cfg(test)]
mod tests {
    use super::from_hex;

    #[test]
    fn a_token_has_one_spelling() {
        let token = "00ff10a0b1c2d3e4f5061728394a5b6c";
        let spelt = |bytes: [u8; 16]| bytes.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(from_hex(token).map(spelt).as_deref(), Some(token));
        for text in
            ["", "00", "00FF10a0b1c2d3e4f5061728394a5b6c", "+0ff10a0b1c2d3e4f5061728394a5b6c"]
        {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
