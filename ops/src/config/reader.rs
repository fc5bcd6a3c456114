//! Reads single values of the configuration and collects every fault with its place.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;

use serde::Serialize;
use stead_workers::SecretText;
use toml::de::{DeTable, DeValue};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line in the file, where it is one.
    pub line: Option<usize>,
    /// `proxmox.node`, or the variable of the environment.
    pub place: String,
    /// What is wrong and what to do.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(out, "line {line}: ")?;
        }
        write!(out, "{}: {}", self.place, self.words)
    }
}

/// Reads a configuration.
pub(super) struct Reader<'a> {
    text: &'a str,
    table: DeTable<'a>,
    env: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
    known: BTreeSet<(String, &'static str)>,
    is_toml: bool,
}

/// A value and where it stands.
struct Found {
    text: String,
    kind: &'static str,
    line: Option<usize>,
    place: String,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        let (mut faults, mut is_toml) = (Vec::new(), true);
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let words = format!("this is not TOML: {}", error.message());
                faults.push(Fault { line, place: "the file".to_owned(), words });
                is_toml = false;
                DeTable::new()
            }
        };
        Self { text, table, env, faults, known: BTreeSet::new(), is_toml }
    }

    /// Whether the file or the environment has anything in this section.
    pub fn has_section(&self, name: &str, key: &str) -> bool {
        let variable = format!("STEAD_{}_{}", name.to_uppercase(), key.to_uppercase());
        self.table.get(name).is_some() || (self.env)(&variable).is_some()
    }

    pub fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        Section { reader: self, name }
    }

    pub fn faults_so_far(self) -> Vec<Fault> {
        self.faults
    }

    pub fn has_faults_in(&self, section: &str) -> bool {
        let prefix = format!("{section}.");
        let of_section = |fault: &&Fault| {
            fault.place.starts_with(&prefix) || fault.place.contains(&section.to_uppercase())
        };
        self.faults.iter().any(|fault| of_section(&fault))
    }

    /// Nothing that a file lacks is told where it could not be read at all.
    pub fn add(&mut self, line: Option<usize>, place: String, words: String) {
        if !self.is_toml {
            return;
        }
        self.faults.push(Fault { line, place, words });
    }

    /// The tables `[[name]]`, each with the line on which it begins.
    pub fn tables(&mut self, name: &'static str) -> Vec<(usize, serde_json::Value)> {
        self.known.insert((name.to_owned(), ""));
        let Some(value) = self.table.get(name) else { return Vec::new() };
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            _ => {
                let line = line_of(self.text, value.span().start);
                let other = match name {
                    "limits" => "; what an owner may have stands in [allowance]",
                    _ => "",
                };
                let words = format!("write each one as [[{name}]]{other}");
                self.add(Some(line), name.to_owned(), words);
                return Vec::new();
            }
        };
        let text = self.text;
        let each = items.iter();
        each.map(|item| (line_of(text, item.span().start), as_json(item.get_ref()))).collect()
    }

    /// All faults, those of keys that nobody knows included.
    pub fn finish(mut self) -> Vec<Fault> {
        let mut strangers = Vec::new();
        for (section, value) in self.table.iter() {
            let name = section.get_ref().to_string();
            let line = line_of(self.text, section.span().start);
            let keys: Vec<_> = self.known.iter().filter(|(known, _)| *known == name).collect();
            if keys.is_empty() {
                strangers.push((line, name, "there is no such section".to_owned()));
                continue;
            }
            // What should be a list of tables was found at fault as a whole.
            if keys.iter().all(|(_, key)| key.is_empty()) {
                continue;
            }
            let DeValue::Table(table) = value.get_ref() else { continue };
            for key in table.keys() {
                let key_name = key.get_ref();
                if !keys.iter().any(|(_, known)| known == key_name) {
                    let line = line_of(self.text, key.span().start);
                    let known: Vec<&str> = keys.iter().map(|(_, known)| *known).collect();
                    let words = format!("there is no such key; there are {}", known.join(", "));
                    strangers.push((line, format!("{name}.{key_name}"), words));
                }
            }
        }
        for (line, place, words) in strangers {
            self.add(Some(line), place, words);
        }
        self.faults.sort_by_key(|fault| fault.line);
        self.faults
    }

    /// What is wrong with a reference that leads to another mount than the one that is read.
    pub fn elsewhere(&mut self, reference: &str) -> Option<String> {
        let place = reference.strip_prefix("vault:")?;
        let mount = self.find("vault", "mount").map_or_else(|| "secret".to_owned(), |it| it.text);
        let is_there = place.strip_prefix(&mount).is_some_and(|rest| rest.starts_with('/'));
        (!is_there).then(|| {
            format!("is not in the mount `{mount}` (vault.mount), the only one that is read")
        })
    }

    fn find(&mut self, section: &'static str, key: &'static str) -> Option<Found> {
        self.known.insert((section.to_owned(), key));
        let variable = format!("STEAD_{}_{}", section.to_uppercase(), key.to_uppercase());
        if let Some(text) = (self.env)(&variable) {
            return Some(Found { text, kind: "text", line: None, place: variable });
        }
        let DeValue::Table(table) = self.table.get(section)?.get_ref() else { return None };
        let value = table.get(key)?;
        let line = Some(line_of(self.text, value.span().start));
        let place = format!("{section}.{key}");
        let (text, kind) = match value.get_ref() {
            DeValue::String(text) => (text.to_string(), "text"),
            DeValue::Integer(number) => (number.to_string(), "number"),
            other => (other.type_str().to_owned(), "other"),
        };
        Some(Found { text, kind, line, place })
    }
}

/// One section of the configuration.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
}

impl Section<'_, '_> {
    pub fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let found = self.reader.find(self.name, key)?;
        match found.kind {
            "text" if !found.text.trim().is_empty() => Some(found.text),
            "text" => self.wrong(found, "is empty"),
            kind => {
                let words = format!("a text is wanted here, not a {kind}");
                self.wrong(found, &words)
            }
        }
    }

    /// Whether the file or the environment says anything of it.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.reader.find(self.name, key).is_some()
    }

    pub fn text_or(&mut self, key: &'static str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    pub fn text(&mut self, key: &'static str) -> String {
        let faults = self.reader.faults.len();
        match self.optional_text(key) {
            Some(text) => text,
            None => {
                if self.reader.faults.len() == faults {
                    self.fault(key, "is missing");
                }
                String::new()
            }
        }
    }

    pub fn number_or(
        &mut self,
        key: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let Some(found) = self.reader.find(self.name, key) else { return default };
        match found.text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let words = format!(
                    "`{}` is not a whole number from {} to {}",
                    found.text,
                    range.start(),
                    range.end()
                );
                self.wrong::<u32>(found, &words).unwrap_or(default)
            }
        }
    }

    pub fn optional_address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let found = self.reader.find(self.name, key)?;
        match found.text.parse() {
            Ok(address) => Some(address),
            Err(_) => self.wrong(found, "is not an address and a port, such as 127.0.0.1:9100"),
        }
    }

    /// The name of a secret in Vault: a reference, which may be written down anywhere.
    pub fn vault_reference(&mut self, key: &'static str) -> String {
        let text = self.text(key);
        if text.is_empty() || is_vault_reference(&text) {
            if let Some(words) = self.reader.elsewhere(&text) {
                self.fault(key, &words);
            }
            return text;
        }
        self.fault(key, "names a secret in Vault, such as vault:secret/data/proxmox/api");
        String::new()
    }

    /// The same, where there need not be one.
    pub fn optional_vault_reference(&mut self, key: &'static str) -> Option<String> {
        self.reader.find(self.name, key)?;
        Some(self.vault_reference(key)).filter(|text| !text.is_empty())
    }

    /// A secret that is needed before Vault can be asked: `env:NAME` or `file:/path`.
    pub fn secret(&mut self, key: &'static str) -> Option<SecretText> {
        let faults = self.reader.faults.len();
        let secret = self.optional_secret(key);
        if secret.is_none() && self.reader.faults.len() == faults {
            self.fault(key, "is missing; write env:NAME or file:/path");
        }
        secret
    }

    /// The same for one that opens everything at once: a file that holds it is not for all to read.
    pub fn optional_guarded_secret(&mut self, key: &'static str) -> Option<SecretText> {
        let found = self.reader.find(self.name, key)?;
        match found.text.strip_prefix("file:").and_then(too_open) {
            Some(words) => self.wrong(found, &words),
            None => self.optional_secret(key),
        }
    }

    pub fn optional_secret(&mut self, key: &'static str) -> Option<SecretText> {
        let found = self.reader.find(self.name, key)?;
        // The environment may hold the secret itself; a file may not.
        if found.line.is_none() && !is_reference(&found.text) && !found.text.is_empty() {
            return Some(SecretText::from(found.text));
        }
        match self.resolve(&found.text) {
            Ok(secret) => Some(SecretText::from(secret)),
            Err(words) => self.wrong(found, &words),
        }
    }

    fn resolve(&self, reference: &str) -> Result<String, String> {
        if let Some(name) = reference.strip_prefix("env:") {
            let value = (self.reader.env)(name).filter(|value| !value.is_empty());
            return value.ok_or_else(|| format!("the environment variable {name} is not set"));
        }
        if let Some(path) = reference.strip_prefix("file:") {
            let text = std::fs::read_to_string(path);
            return text
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| format!("cannot read {path}: {error}"));
        }
        Err("is a secret and may not be written here; write env:NAME or file:/path".to_owned())
    }

    pub fn fault(&mut self, key: &str, words: &str) {
        let place = format!("{}.{key}", self.name);
        let line =
            self.reader.table.get(self.name).map(|v| line_of(self.reader.text, v.span().start));
        self.reader.add(line, place, words.to_owned());
    }

    fn wrong<T>(&mut self, found: Found, words: &str) -> Option<T> {
        self.reader.add(found.line, found.place, words.to_owned());
        None
    }
}

/// What is wrong with who may read or write a file; nothing, too, if that cannot be seen.
fn too_open(path: &str) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let words =
        format!("{path} has the mode {mode:03o}; let its owner, or its group, alone read it");
    (mode & 0o027 != 0).then_some(words)
}

pub(super) fn is_vault_reference(text: &str) -> bool {
    text.starts_with("vault:") && text.contains("/data/")
}

fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

fn as_json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => {
            number.to_string().parse::<i64>().map_or_else(|_| number.to_string().into(), Into::into)
        }
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Array(items) => items.iter().map(|item| as_json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), as_json(value.get_ref())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        DeValue::Float(number) => number.to_string().into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
    }
}
