//! SIGHUP: the configuration is read again, and what may change while a process runs is taken
//! over. Where anything else has changed all of it is refused, in words, and the process goes on
//! with what it had.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use toml::Table;

use crate::config::{Config, read_text, text_of};
use crate::exit::Ended;
use crate::output;

/// What a process does, which decides what it may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Decides for runs.
    Engine,
    /// Carries out steps.
    Worker,
    /// Both, and the door for webhooks.
    Both,
    /// Opens the door for webhooks, and does nothing else.
    Webhook,
}

impl Duty {
    /// The sections that are read when it starts, and never again.
    const fn fixed(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &["nats", "audit", "encryption", "engine", "traces"],
            Self::Worker => &["nats", "encryption", "vault", "guest", "traces", "workers"],
            Self::Webhook => &["nats", "encryption", "vault", "forgejo"],
            Self::Both => {
                &["nats", "audit", "encryption", "engine", "vault", "guest", "traces", "workers"]
            }
        }
    }

    /// The sections that it takes over; the others do not concern it.
    const fn taken(self) -> &'static [&'static str] {
        match self {
            Self::Engine | Self::Both => &[
                "allowance",
                "allowances",
                "authentik",
                "backups",
                "coder",
                "deployments",
                "forgejo",
                "kubernetes",
                "limits",
                "logging",
                "mail",
                "mcp_servers",
                "nas",
                "notify",
                "pool",
                "proxmox",
                "s3",
                "template",
                "truenas",
            ],
            Self::Worker => &[
                "authentik",
                "coder",
                "forgejo",
                "kubernetes",
                "logging",
                "mail",
                "nas",
                "proxmox",
                "s3",
                "truenas",
            ],
            Self::Webhook => &["deployments", "logging"],
        }
    }
}

/// The configuration of a running process, and the signal to read it again.
pub struct Reload {
    file: PathBuf,
    duty: Duty,
    had: Table,
    /// What the file says that is being taken over.
    next: Table,
    hangup: Signal,
}

impl Reload {
    /// Listens from now on.
    pub fn listen(file: &Path, duty: Duty) -> Result<Self, Ended> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Ended::Failed(format!("cannot listen for signals: {error}")))?;
        // What it means was read before, with every fault.
        let had = text_of(file).map(|text| table(&text)).unwrap_or_default();
        Ok(Self { file: file.to_owned(), duty, had, next: Table::new(), hangup })
    }

    /// Waits until the configuration was changed so that it can be taken over.
    pub async fn next(&mut self) -> Config {
        loop {
            if self.hangup.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            match self.read() {
                Ok(config) => return config,
                Err(words) => output::complain(&format!(
                    "goes on with the configuration that it had: {words}"
                )),
            }
        }
    }

    fn read(&mut self) -> Result<Config, String> {
        let text = text_of(&self.file).map_err(|error| error.to_string())?;
        let config = read_text(&self.file, &text).map_err(|error| error.to_string())?;
        self.next = table(&text);
        let refused = refused(&changed(&self.had, &self.next), self.duty);
        if !refused.is_empty() {
            return Err(refused.join("; "));
        }
        Ok(config)
    }

    /// What was read last is in force.
    pub fn took_over(&mut self) {
        let changed = changed(&self.had, &self.next);
        self.had = std::mem::take(&mut self.next);
        let file = self.file.display();
        let taken = of_sections(&changed, self.duty.taken());
        output::note(&match taken.is_empty() {
            true => format!("read {file} again; nothing has changed for this process"),
            false => format!("read {file} again and took over {}", taken.join(", ")),
        });
    }
}

/// What a text says that has been read as a configuration.
fn table(text: &str) -> Table {
    text.parse().unwrap_or_default()
}

/// Which keys differ: `engine.partitions`, or a whole section: `template`, `s3`.
fn changed(had: &Table, has: &Table) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    let sections: BTreeSet<&String> = had.keys().chain(has.keys()).collect();
    for name in sections {
        match (had.get(name), has.get(name)) {
            (Some(toml::Value::Table(before)), Some(toml::Value::Table(after))) => {
                let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                let other = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
                changed.extend(other.map(|key| format!("{name}.{key}")));
            }
            (before, after) if before != after => drop(changed.insert(name.clone())),
            _ => {}
        }
    }
    changed
}

/// Those of the keys that are in one of these sections.
fn of_sections<'a>(changed: &'a BTreeSet<String>, sections: &[&str]) -> Vec<&'a str> {
    let is_there = |key: &&str| key.split('.').next().is_some_and(|name| sections.contains(&name));
    changed.iter().map(String::as_str).filter(is_there).collect()
}

/// What cannot be taken over, in words.
fn refused(changed: &BTreeSet<String>, duty: Duty) -> Vec<String> {
    let mut fixed = of_sections(changed, duty.fixed());
    // Whoever does nothing for buckets or tokens cannot begin to, nor the other way round.
    let optional = ["s3", "forgejo", "authentik", "kubernetes"]
        .into_iter()
        .filter(|section| changed.contains(*section));
    fixed.extend(optional.filter(|_| matches!(duty, Duty::Worker | Duty::Both)));
    let door = ["forgejo.webhook_listen", "forgejo.webhook_secret"];
    let door = door.into_iter().filter(|key| changed.contains(*key));
    fixed.extend(door.filter(|_| duty == Duty::Both));
    let words = |key: &str| match key {
        "engine.partitions" => {
            "engine.partitions is fixed for ever by the engine that came first".to_owned()
        }
        key => format!("{key} cannot change while it runs; stop it and start it anew"),
    };
    fixed.into_iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::{Duty, Table, changed, refused};

    const HAD: &str = "[engine]\npartitions = 8\n[proxmox]\naddress = \"a\"\n[limits]\nworkspaces = 1\n\
                       [[template]]\nname = \"t\"\n";

    fn check(duty: Duty, has: &str, changes: &[&str], words: &[&str]) {
        let table = |text: &str| text.parse().expect("TOML");
        let changed = changed(&table(HAD), &table(has));
        assert_eq!(changed.iter().map(String::as_str).collect::<Vec<_>>(), changes);
        let refused = refused(&changed, duty);
        assert_eq!(refused.len(), words.len(), "{refused:?}");
        for (refused, words) in refused.iter().zip(words) {
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn what_cannot_change_is_refused_by_whom_it_concerns() {
        check(Duty::Engine, HAD, &[], &[]);
        let templates = HAD.replace("\"t\"", "\"u\"").replace("= 1", "= 2");
        check(Duty::Engine, &templates, &["limits.workspaces", "template"], &[]);
        let partitions = HAD.replace('8', "16");
        check(Duty::Both, &partitions, &["engine.partitions"], &["fixed for ever"]);
        check(Duty::Worker, &partitions, &["engine.partitions"], &[]);
        let s3 = format!("{HAD}[s3]\naddress = \"b\"\n");
        check(Duty::Worker, &s3, &["s3"], &["stop it and start it anew"]);
        check(Duty::Engine, &s3, &["s3"], &[]);
        let forgejo = "[forgejo]\naddress = \"b\"\n";
        let had: Table = format!("{HAD}{forgejo}").parse().expect("TOML");
        let door: Table = format!("{HAD}{forgejo}webhook_listen = \"c\"\n").parse().expect("TOML");
        let changed = changed(&had, &door);
        assert_eq!(refused(&changed, Duty::Both).len(), 1, "{changed:?}");
        assert!(refused(&changed, Duty::Worker).is_empty(), "it opens no door");
        assert_eq!(refused(&changed, Duty::Webhook).len(), 1, "{changed:?}");
        let pushes = format!("{HAD}[[deployments]]\ntemplate = \"t\"\n");
        check(Duty::Webhook, &pushes, &["deployments"], &[]);
        check(Duty::Webhook, &s3, &["s3"], &[]);
        let nas = format!("{HAD}[[nas]]\nname = \"nas04\"\n");
        check(Duty::Worker, &nas, &["nas"], &[]);
        let guest = format!("{HAD}[guest]\nlisten = \"b\"\n");
        check(Duty::Worker, &guest, &["guest"], &["guest cannot change"]);
    }

    /// What a process takes over it also says.
    #[test]
    fn whatever_is_taken_over_is_said() {
        for (duty, section, is_said) in [
            (Duty::Worker, "nas", true),
            (Duty::Engine, "nas", true),
            (Duty::Webhook, "deployments", true),
            (Duty::Webhook, "nas", false),
        ] {
            assert_eq!(duty.taken().contains(&section), is_said, "{duty:?} {section}");
        }
    }
}
