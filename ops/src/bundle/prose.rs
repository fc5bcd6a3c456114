//! Hosts and mail addresses in text that people or other systems wrote: in logs, and in the words
//! of failures. What cannot be told from any other word, such as a person's first name, is not
//! found.

use stead_schemas::command::run::ORDERS;
use stead_schemas::command::{COMMANDS, Described};
use stead_schemas::step::known::STEPS;

/// How names of files end, which look like hosts otherwise.
const FILE_ENDINGS: [&str; 14] = [
    "conf", "gz", "img", "iso", "json", "jsonl", "lock", "log", "rs", "sock", "toml", "txt",
    "yaml", "yml",
];
/// How our own subjects go on: `stead.evt.…`.
const SUBJECTS: [&str; 10] =
    ["api", "archive", "checkup", "cmd", "evt", "lease", "log", "part", "shelf", "step"];

/// Everything in a text that is called like a host or a mail address.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_+@".contains(c);
    let words = text.split(move |c| !is_part(c)).map(|word| word.trim_matches(['.', '-', '@']));
    words.filter(|word| is_mail(word) || is_host(word))
}

fn is_mail(word: &str) -> bool {
    word.split_once('@').is_some_and(|(who, host)| !who.is_empty() && is_host(host))
}

fn is_host(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let labels: Vec<&str> = word.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let [first, second, ..] = labels[..] else { return false };
    let last = labels[labels.len() - 1];
    labels.iter().all(is_label)
        && last.len() > 1
        && last.bytes().all(|b| b.is_ascii_alphabetic())
        && !(first == "stead" && SUBJECTS.contains(&second))
        && !FILE_ENDINGS.contains(&last)
        && !is_our_verb(&word)
}

/// Whether a word is a step or a command: `proxmox.clone-vm`, `workspace.create`.
fn is_our_verb(word: &str) -> bool {
    let is_said =
        |described: &Described| word.split_once('.') == Some((described.kind, described.verb));
    STEPS.iter().any(|(step, _)| *step == word) || COMMANDS.iter().chain(ORDERS).any(is_said)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn hosts_and_mail_addresses_are_told_from_our_own_words() {
        let text = "at 12:00:05.250 proxmox.clone-vm: cannot reach https://coder.corp.example:443/x \
            (10.10.30.2), told ann.lee@mail.example.org. See stead.evt.ann, site.json, v0.1.0, 1.5, \
            a.b, stead_runtime::owner; vault.lan, Forge.Corp, stead.corp.example; workspace.create";
        let found: Vec<&str> = names(text).collect();
        let hosts = ["coder.corp.example", "ann.lee@mail.example.org", "vault.lan"];
        assert_eq!(found, [&hosts[..], &["Forge.Corp", "stead.corp.example"]].concat());
    }
}
