//! Policies, in the words that Vault reads: paths, exact or with a `*` at their end, and what may be
//! done there. Of several that fit, an exact one holds, else the longest.

use std::collections::BTreeMap;

use crate::net::Call;

/// What whoever logs in with a role may do. What every token may do with itself stands in no policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    rules: BTreeMap<String, Vec<String>>,
}

impl Policy {
    /// Reads what stands in a policy's file.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut rules = BTreeMap::new();
        for block in text.split_inclusive('}') {
            if block.trim().is_empty() {
                continue;
            }
            let (path, capabilities) =
                rule(block).ok_or_else(|| format!("no rule of a policy: {}", block.trim()))?;
            if rules.insert(path.clone(), capabilities).is_some() {
                return Err(format!("two rules for {path}"));
            }
        }
        Ok(Self { rules })
    }

    /// Whether this call is among what may be done.
    pub(super) fn allows(&self, call: &Call, path: &str) -> bool {
        let lists = call.method == "LIST" || call.query("list").is_some_and(|list| list == "true");
        let wanted: &[&str] = match call.method.as_str() {
            _ if lists => &["list"],
            "GET" | "HEAD" => &["read"],
            "POST" | "PUT" => &["create", "update"],
            "DELETE" => &["delete"],
            _ => &[],
        };
        let fits = |rule: &&String| match rule.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => rule.trim_end_matches('/') == path.trim_end_matches('/'),
        };
        let fitting = self.rules.keys().filter(fits);
        let rule = fitting.max_by_key(|rule| (!rule.ends_with('*'), rule.len()));
        let allowed = rule.and_then(|rule| self.rules.get(rule));
        allowed.is_some_and(|allowed| allowed.iter().any(|one| wanted.contains(&one.as_str())))
    }
}

/// `path "secret/data/x/*" { capabilities = ["read"] }`
fn rule(block: &str) -> Option<(String, Vec<String>)> {
    let (path, rest) = block.trim().strip_prefix("path")?.split_once('{')?;
    let path = path.trim().strip_prefix('"')?.strip_suffix('"')?;
    let list = rest.trim_end().strip_suffix('}')?.trim().strip_prefix("capabilities")?;
    let list = list.trim().strip_prefix('=')?.trim().strip_prefix('[')?.strip_suffix(']')?;
    let words = list.split(',').map(|word| word.trim().strip_prefix('"')?.strip_suffix('"'));
    let words = words.map(|word| word.map(str::to_owned)).collect::<Option<_>>()?;
    Some((path.to_owned(), words))
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "path \"a\" {",
            "path a { capabilities = [\"read\"] }",
            "path \"a\" { capabilities = [read] }",
            "path \"a\" { capabilities = [\"read\"] }\npath \"a\" { capabilities = [\"list\"] }",
            "# nothing\nelse",
        ] {
            Policy::read(text).expect_err(text);
        }
        assert_eq!(Policy::read("# nothing\n"), Ok(Policy::default()));
    }
}
