//! Which templates of Coder's are made of what is in a repository. Whoever may push there decides
//! what Coder's provisioner carries out; so it stands in the site's configuration and nowhere else.

use std::collections::BTreeSet;

use stead_schemas::command::workspace::{NEVER, check_name};
use stead_schemas::owner::Owner;
use stead_schemas::site::Deployment;

use stead_workflows::schedule::check_times;

use super::reader::{Reader, is_vault_reference};

/// When the branch is looked at, where nothing is said of it.
const POLL: &str = "*/5 * * * *";

pub(super) fn read(reader: &mut Reader<'_>) -> Vec<Deployment> {
    let (mut names, mut deployments) = (BTreeSet::new(), Vec::new());
    for (line, value) in reader.tables("deployments") {
        let mut deployment = match serde_json::from_value::<Deployment>(value) {
            Ok(deployment) => deployment,
            Err(error) => {
                reader.add(Some(line), "deployments".to_owned(), error.to_string());
                continue;
            }
        };
        for (key, words) in faults(&deployment) {
            reader.add(Some(line), format!("deployments.{key}"), words);
        }
        for (name, reference) in &deployment.variables {
            if let Some(words) = reader.elsewhere(reference) {
                let words = format!("{name} {words}");
                reader.add(Some(line), "deployments.variables".to_owned(), words);
            }
        }
        if !names.insert(deployment.template.clone()) {
            let words = format!("{} is deployed twice", deployment.template);
            reader.add(Some(line), "deployments.template".to_owned(), words);
        }
        let poll = deployment.poll.take().unwrap_or_else(|| POLL.to_owned());
        deployment.poll = Some(poll).filter(|cron| cron != NEVER);
        deployments.push(deployment);
    }
    if !deployments.is_empty() && !reader.has_section("forgejo", "address") {
        let words = "needs a [forgejo] section: there the repositories are";
        reader.add(None, "deployments".to_owned(), words.to_owned());
    }
    deployments
}

fn faults(deployment: &Deployment) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if let Err(refusal) = check_name(&deployment.template) {
        faults.push(("template", refusal.words));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let parts: Vec<&str> = deployment.repository.split('/').collect();
    let is_plain = |part: &&str| part.bytes().all(plain) && part.bytes().any(|b| b != b'.');
    if parts.len() != 2 || !parts.iter().all(is_plain) || Owner::new(parts[0]).is_err() {
        let words = "is an owner and a name, such as platform/templates".to_owned();
        faults.push(("repository", words));
    }
    let branch = &deployment.branch;
    if branch.is_empty() || branch.chars().any(|c| c.is_control() || c.is_whitespace()) {
        faults.push(("branch", "is no branch's name".to_owned()));
    }
    let path = &deployment.path;
    let is_folder = |part: &str| !["", ".", ".."].contains(&part);
    if !path.is_empty() && !path.split('/').all(is_folder) {
        let words = "is a folder of the repository, without a slash at its ends".to_owned();
        faults.push(("path", words));
    }
    let poll = deployment.poll.as_deref().filter(|cron| *cron != NEVER);
    if let Some(Err(refusal)) = poll.map(|cron| check_times(cron, "UTC")) {
        faults.push(("poll", refusal.words));
    }
    for (name, reference) in &deployment.variables {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            || !name.chars().all(plain)
        {
            faults.push(("variables", format!("{name} is no name of a variable of Terraform's")));
        }
        if !is_vault_reference(reference) {
            let words = "names a secret in Vault, such as vault:secret/data/coder/template";
            faults.push(("variables", format!("{name} {words}")));
        }
    }
    faults
}
