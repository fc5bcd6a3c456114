//! People, addresses and hosts by other names, the same everywhere in a bundle.
//!
//! Runs are called by digests of their owners and names, so they get the ids that the new names
//! make: whoever guesses an owner cannot look whether he is in it. Each history's chain is made
//! anew over the changed text; that it was whole before stands in the manifest.
//!
//! What things are called by their owners themselves (workspaces, buckets) stays as it is. In text
//! that others wrote, hosts and mail addresses are found by their shape, and owners by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};
use stead_schemas::command::workspace::host_name;
use stead_schemas::event::Event;
use stead_schemas::ids::{EntityKey, RunId, Tag};
use stead_schemas::owner::Owner;
use stead_schemas::step::home::dataset_name;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::transition::{Transition, link};

use super::Bundle;
use super::found::{Found, GROUPS, is_map, is_no_field, is_ours};

/// The names that are given, by those they stand for.
struct Names {
    /// By the first letter, a small one, longest first.
    words: BTreeMap<u8, Vec<(String, String)>>,
    /// Those of people by all of their letters: two may be called alike but for a capital.
    people: BTreeMap<String, String>,
    /// Groups may be called like any word, so they are known by where they stand alone.
    groups: BTreeMap<String, String>,
    addresses: BTreeMap<String, String>,
    runs: BTreeMap<String, String>,
    /// Makes ids of runs of which nothing but the id is known.
    salt: String,
}

/// The bundle under other names. `salt` is nobody else's: nothing can be looked up in a table.
///
/// # Errors
/// In words, if a history in it cannot be read.
pub fn redacted(bundle: &Bundle, salt: &str) -> Result<Bundle, String> {
    let histories: Result<BTreeMap<RunId, Vec<Value>>, serde_json::Error> =
        bundle.histories.iter().map(|(run, lines)| Ok((run.clone(), values(lines)?))).collect();
    let histories = histories.map_err(|error| format!("a history cannot be read: {error}"))?;
    let mut names = Names::of(bundle, &histories, salt);
    let mut other = Bundle {
        manifest: bundle.manifest.clone(),
        histories: BTreeMap::new(),
        views: BTreeMap::new(),
        texts: BTreeMap::new(),
    };
    for (run, values) in histories {
        other.histories.insert(names.run(&run), chained(&mut names, values)?);
    }
    for (run, view) in &bundle.views {
        let value = serde_json::to_value(view).map_err(|error| error.to_string())?;
        let view = serde_json::from_value(names.value(value)).map_err(|error| error.to_string())?;
        other.views.insert(names.run(run), view);
    }
    for (name, text) in &bundle.texts {
        other.texts.insert(names.text(name), names.file(name, text));
    }
    let manifest = &mut other.manifest;
    manifest.redacted = true;
    manifest.about = names.text(&manifest.about);
    manifest.run = manifest.run.as_ref().map(|run| names.run(run));
    manifest.missing = manifest.missing.iter().map(|words| names.text(words)).collect();
    for listed in &mut manifest.runs {
        (listed.run, listed.name) = (names.run(&listed.run), names.text(&listed.name));
        listed.broken = listed.broken.as_ref().map(|words| names.text(words));
        listed.diverges = listed.diverges.as_ref().map(|words| names.text(words));
    }
    Ok(other)
}

fn as_json(name: &str, text: &str) -> Option<Value> {
    if !name.ends_with(".json") {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn values(lines: &[Vec<u8>]) -> serde_json::Result<Vec<Value>> {
    lines.iter().map(|line| serde_json::from_slice(line)).collect()
}

/// The transitions under their new names, each with the digest of the one before it.
fn chained(names: &mut Names, values: Vec<Value>) -> Result<Vec<Vec<u8>>, String> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for value in values {
        let mut transition: Transition =
            serde_json::from_value(names.value(value)).map_err(|error| error.to_string())?;
        transition.prev = lines.last().map_or(String::new(), |line| link(line));
        lines.push(transition.encode());
    }
    Ok(lines)
}

impl Names {
    fn of(bundle: &Bundle, histories: &BTreeMap<RunId, Vec<Value>>, salt: &str) -> Self {
        let mut found = Found::default();
        histories.values().flatten().for_each(|value| found.take(value, ""));
        for view in bundle.views.values().filter_map(|view| serde_json::to_value(view).ok()) {
            found.take(&view, "");
        }
        for (name, text) in &bundle.texts {
            match as_json(name, text) {
                Some(value) => found.take(&value, ""),
                None => found.take_prose(text),
            }
        }
        let Found { mut owners, subjects, groups, mut hosts, parents, ours } = found;
        hosts.retain(|host| !ours.contains(host));
        owners.remove(PLATFORM);
        let (mails, hosts): (BTreeSet<String>, BTreeSet<String>) =
            hosts.into_iter().partition(|host| host.contains('@'));
        let mut words: BTreeMap<String, String> = BTreeMap::new();
        for (all, kind) in [(&hosts, "host"), (&mails, "mail"), (&subjects, "subject")] {
            words.extend(numbered(all, kind));
        }
        let people: BTreeMap<String, String> = numbered(&owners, "owner").collect();
        for (owner, other) in &people {
            words.extend(spellings(owner, &parents).into_iter().map(|one| (one, other.clone())));
        }
        let mut names = Self {
            words: by_letter(words),
            people,
            groups: numbered(&groups, "group").collect(),
            addresses: BTreeMap::new(),
            runs: BTreeMap::new(),
            salt: salt.to_owned(),
        };
        names.runs = keys(histories, &mut names);
        names
    }

    fn run(&mut self, run: &RunId) -> RunId {
        let other = self.key(run.key().as_str());
        format!("{other}-{}", run.life()).parse().unwrap_or_else(|_| run.clone())
    }

    /// Another key for an entity's.
    fn key(&mut self, key: &str) -> String {
        if let Some(other) = self.runs.get(key) {
            return other.clone();
        }
        let kind = key.rsplit_once('-').map_or(key, |(kind, _)| kind);
        let tag = Tag::of(&[&self.salt, key]).bytes();
        let digest: String = tag[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let other = format!("{kind}-{digest}");
        self.runs.insert(key.to_owned(), other.clone());
        other
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(field, value)| {
                    let value = match value {
                        ours if is_ours(&field, &ours) => ours,
                        Value::Object(of) if is_map(&field) => self.map(of),
                        Value::Array(all) if field == GROUPS => self.group_names(all),
                        value => self.value(value),
                    };
                    // Some maps are by runs, or by what was never a field's name.
                    let key = match is_no_field(&field) {
                        true => self.text(&field),
                        false => self.keys_in(&field),
                    };
                    (key, value)
                });
                Value::Object(fields.collect())
            }
            other => other,
        }
    }

    /// What is kept by names.
    fn map(&mut self, of: Map<String, Value>) -> Value {
        let pairs = of.into_iter().map(|(key, value)| (self.text(&key), self.value(value)));
        Value::Object(pairs.collect())
    }

    fn file(&mut self, name: &str, text: &str) -> String {
        match as_json(name, text) {
            Some(value) => format!("{:#}", self.value(value)),
            None => self.text(text),
        }
    }

    fn group_names(&self, all: Vec<Value>) -> Value {
        let other = |name: &str| self.groups.get(name).cloned().unwrap_or_default();
        all.into_iter()
            .map(|one| one.as_str().map_or(Value::Null, |one| other(one).into()))
            .collect()
    }

    fn text(&mut self, text: &str) -> String {
        if let Some(other) = self.people.get(text) {
            return other.clone();
        }
        let text = self.keys_in(text);
        let text = self.addresses_in(&text);
        self.words_in(&text)
    }

    /// Gives runs other ids: `<kind>-<16 characters>`, with or without a life behind.
    fn keys_in(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        self.pieces(text, is_part, |names, piece| {
            let parts: Vec<&str> = piece.split('-').collect();
            let place = parts.windows(2).position(|pair| is_kind(pair[0]) && is_digest(pair[1]))?;
            let other = names.key(&format!("{}-{}", parts[place], parts[place + 1]));
            let mut pieces = parts[..place].to_vec();
            pieces.push(&other);
            pieces.extend(&parts[place + 2..]);
            Some(pieces.join("-"))
        })
    }

    fn addresses_in(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
        self.pieces(text, is_part, |names, piece| {
            let bare = piece.trim_matches(':').trim_end_matches('.');
            let (address, behind) = match bare.parse::<Ipv6Addr>() {
                Ok(_) => (bare, ""),
                // `10.10.30.2:/mnt` and `10.10.30.2:8006` name an address, too.
                Err(_) => bare
                    .split_once(':')
                    .map_or((bare, ""), |(address, _)| (address, &bare[address.len()..])),
            };
            let other = names.address(address)?;
            let (before, _) = piece.split_once(bare)?;
            let after = &piece[before.len() + bare.len()..];
            Some(format!("{before}{other}{behind}{after}"))
        })
    }

    /// Another address, of those that are for examples; nothing if this is none.
    fn address(&mut self, text: &str) -> Option<String> {
        let is_loopback = match (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>()) {
            (Ok(address), _) => address.is_loopback() || address.is_unspecified(),
            (_, Ok(address)) => address.is_loopback() || address.is_unspecified(),
            _ => return None,
        };
        if is_loopback {
            return None;
        }
        let n = self.addresses.len() + 1;
        let other = match text.contains(':') {
            true => format!("2001:db8::{n:x}"),
            // 198.18.0.0/15 is nobody's, and has room for as many as a bundle may hold.
            false => format!("198.{}.{}.{}", 18 + n / 65_536 % 2, n / 256 % 256, n % 256),
        };
        Some(self.addresses.entry(text.to_owned()).or_insert(other).clone())
    }

    fn words_in(&self, text: &str) -> String {
        let mut other = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let begins = other.chars().next_back().is_none_or(|before| !before.is_alphanumeric());
            let found = if begins { self.word_at(rest) } else { None };
            match found {
                Some((word, stands_for)) => {
                    other.push_str(stands_for);
                    rest = &rest[word.len()..];
                }
                None => {
                    other.push(letter);
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        other
    }

    fn word_at(&self, rest: &str) -> Option<(&str, &str)> {
        let words = self.words.get(&rest.as_bytes().first()?.to_ascii_lowercase())?;
        let found = words.iter().find(|(word, _)| {
            let is_it = rest.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
            is_it && !rest[word.len()..].starts_with(char::is_alphanumeric)
        })?;
        Some((&found.0, &found.1))
    }

    /// Exchanges the pieces of a text that consist of such letters, where there is another one.
    fn pieces(
        &mut self,
        text: &str,
        is_part: impl Fn(char) -> bool,
        other: impl Fn(&mut Self, &str) -> Option<String>,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            out.push_str(&other(self, piece).unwrap_or_else(|| piece.to_owned()));
            let skip = after.find(&is_part).unwrap_or(after.len());
            out.push_str(&after[..skip]);
            rest = &after[skip..];
        }
        out
    }
}

/// A kind of entity, as ids have it.
fn is_kind(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_digest(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// All of these by other names, which sort as they do: what is kept in order stays in order.
fn numbered<'a>(
    all: &'a BTreeSet<String>,
    kind: &'a str,
) -> impl Iterator<Item = (String, String)> + 'a {
    let width = all.len().to_string().len();
    all.iter().zip(1..).map(move |(one, n)| (one.clone(), format!("{kind}-{n:0width$}")))
}

fn by_letter(words: BTreeMap<String, String>) -> BTreeMap<u8, Vec<(String, String)>> {
    let mut by_letter: BTreeMap<u8, Vec<(String, String)>> = BTreeMap::new();
    for (word, other) in words.into_iter().filter(|(word, _)| !word.is_empty()) {
        let letter = word.as_bytes()[0].to_ascii_lowercase();
        by_letter.entry(letter).or_default().push((word, other));
    }
    for list in by_letter.values_mut() {
        list.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    }
    by_letter
}

/// Every spelling under which an owner may stand somewhere.
fn spellings(owner: &str, parents: &BTreeSet<String>) -> Vec<String> {
    let mut all = vec![owner.to_owned(), host_name(owner, "")];
    // As people write themselves.
    let parts = owner.split(['.', '-', '_']).map(capitalized);
    all.extend([capitalized(owner), owner.to_uppercase(), parts.collect::<Vec<_>>().join(" ")]);
    if let Ok(owner) = Owner::new(owner) {
        all.push(owner.token());
        let homes = parents.iter().map(|parent| dataset_name(parent, &owner));
        all.extend(homes.filter_map(|home| home.rsplit_once('/').map(|(_, name)| name.to_owned())));
    }
    all
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Other keys for the entities whose owners and names stand in the histories.
fn keys(histories: &BTreeMap<RunId, Vec<Value>>, names: &mut Names) -> BTreeMap<String, String> {
    let mut runs = BTreeMap::new();
    for (run, values) in histories {
        let first = values.first().and_then(|value| {
            serde_json::from_value::<Transition>(value.clone()).ok()?.events.into_iter().next()
        });
        let Some(Event::RunStarted(started)) = first else { continue };
        let owner = names.people.get(started.owner.as_str());
        let owner = owner.and_then(|other| Owner::new(other.as_str()).ok());
        let (owner, name) = (owner.unwrap_or(started.owner), names.text(&started.name));
        let key = run.key();
        let other = EntityKey::of(key.kind(), &owner, &name);
        runs.insert(key.as_str().to_owned(), other.to_string());
    }
    runs
}
