//! What was looked at, how it is, and what to do about it.

use serde::Serialize;

use crate::story::words::{counted, hanging};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It cannot be seen from here.
    Unseen,
    /// It works, and will not for ever.
    Warning,
    /// It has to be mended.
    Failed,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unseen => "unseen",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `fsync`.
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// The same in words.
    pub words: String,
    /// What to do, and by which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(check: &str, words: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, words.into(), None)
    }

    /// It cannot be seen from here; `mend` is how it can.
    pub fn unseen(check: &str, words: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Verdict::Unseen, words.into(), Some(mend.into()))
    }

    /// It works, and will not for ever.
    pub fn warning(check: &str, words: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, words.into(), Some(mend.into()))
    }

    /// It has to be mended.
    pub fn failed(check: &str, words: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Verdict::Failed, words.into(), Some(mend.into()))
    }

    fn new(check: &str, verdict: Verdict, words: String, mend: Option<String>) -> Self {
        Self { check: check.to_owned(), verdict, words, mend }
    }
}

/// For people: what is the same of several things is said once. A check of one of many is called
/// `stream LOG`.
pub fn grouped(findings: &[Finding]) -> Vec<Finding> {
    let mut groups: Vec<(Finding, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let like = of_any(finding);
        match groups.iter_mut().find(|(group, _)| like.as_ref() == Some(group)) {
            Some((_, members)) => members.push(finding),
            None => groups.push((like.unwrap_or_else(|| finding.clone()), vec![finding])),
        }
    }
    groups.into_iter().map(|(group, members)| together(group, &members)).collect()
}

/// The same without the name of the one that it is about.
fn of_any(finding: &Finding) -> Option<Finding> {
    let (kind, name) = finding.check.split_once(' ')?;
    let mend = finding.mend.as_ref().map(|mend| mend.replace(name, "NAME"));
    Some(Finding { check: kind.to_owned(), mend, ..finding.clone() })
}

fn together(group: Finding, members: &[&Finding]) -> Finding {
    if let [finding] = members {
        return (*finding).clone();
    }
    let names: Vec<&str> =
        members.iter().filter_map(|one| Some(one.check.split_once(' ')?.1)).collect();
    let check = counted(members.len() as u64, &group.check);
    Finding { check, words: format!("{}: {}", names.join(", "), group.words), ..group }
}

/// All findings as a table, in lines of at most `width` characters.
pub fn table(findings: &[Finding], width: usize) -> String {
    let names = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let head = format!("{:7}  {:names$}  ", finding.verdict.word(), finding.check);
        let indent = head.chars().count();
        let words = hanging(&head, &finding.words, width, indent);
        match &finding.mend {
            None => words,
            Some(mend) => {
                let head = format!("{:indent$}", "");
                format!("{words}\n{}", hanging(&head, &format!("→ {mend}"), width, indent + 2))
            }
        }
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Finding, grouped, table};

    #[test]
    fn what_is_the_same_of_several_is_said_once() {
        let stream = |name: &str, words: &str| {
            Finding::failed(&format!("stream {name}"), words, format!("edit {name} back"))
        };
        let findings = [
            Finding::ok("server", "nats-server 2.15.1"),
            stream("LOG_0", "it forgets"),
            stream("LOG_1", "it is away"),
            stream("LOG_2", "it forgets"),
            stream("LOG_10", "it forgets"),
        ];
        let said = grouped(&findings);
        let alike =
            Finding::failed("3 streams", "LOG_0, LOG_2, LOG_10: it forgets", "edit NAME back");
        assert_eq!(said, [findings[0].clone(), alike, findings[2].clone()]);
    }

    #[test]
    fn a_mend_stands_beneath_its_finding() {
        let findings = [
            Finding::ok("server", "nats-server 2.15.1"),
            Finding::failed("fsync", "it waits two minutes", "set sync_interval: always"),
        ];
        let drawn = "ok       server  nats-server 2.15.1\n\
                     failed   fsync   it waits two minutes\n\
                     \x20                → set sync_interval:\n\
                     \x20                  always";
        assert_eq!(table(&findings, 38), drawn);
    }
}
