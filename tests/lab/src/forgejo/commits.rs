//! Commits: what each holds, packed for whoever asks, and the webhooks that tell of it.
//!
//! A webhook is sent once. Whether it came is nobody's concern any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::answer;
use crate::net::Answer;
use crate::world::World;

/// Paths and what the files hold.
pub(super) type Tree = BTreeMap<String, String>;

/// Whom Forgejo tells of pushes.
#[derive(Clone)]
pub(super) struct Hook {
    pub(super) url: String,
    pub(super) secret: String,
}

/// What a repository `templates` holds on the first morning.
pub(super) fn pristine() -> Tree {
    let template = |name: &str| {
        let text = format!(
            "# {name}\ndata \"coder_parameter\" \"stead_run\" {{\n  name = \"stead_run\"\n}}\n"
        );
        (format!("{name}/main.tf"), text)
    };
    let readme = ("README.md".to_owned(), "The templates of this site.\n".to_owned());
    [template("stead-machine"), template("stead-desktop"), readme].into()
}

/// The hash of a commit.
pub(super) fn hash(seed: Uuid) -> String {
    hex(&Sha256::digest(seed.as_bytes()))[..40].to_owned()
}

/// `GET /archive/<commit>.tar.gz`: everything beneath a folder of the repository's name.
pub(super) fn archive(world: &World, repository: &str, file: &str) -> Result<Answer, Answer> {
    let commit = file.strip_suffix(".tar.gz").ok_or_else(answer::not_found)?;
    let tree = world.read(|state| {
        let held = state.forgejo.repository(repository)?;
        held.commits.get(commit).cloned().ok_or_else(answer::not_found)
    })?;
    let folder = repository.rsplit('/').next().unwrap_or_default();
    let packed = pack(folder, commit, &tree).map_err(|_| answer::error(500, ""))?;
    Ok(Answer::bytes("application/octet-stream", packed))
}

/// As `git archive` does it: a header that tells the commit, then folders and files.
fn pack(folder: &str, commit: &str, tree: &Tree) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let comment = format!("52 comment={commit}\n");
    let mut global = tar::Header::new_ustar();
    global.set_entry_type(tar::EntryType::XGlobalHeader);
    global.set_size(comment.len() as u64);
    tar.append_data(&mut global, "pax_global_header", comment.as_bytes())?;
    let mut top = tar::Header::new_ustar();
    top.set_entry_type(tar::EntryType::Directory);
    top.set_size(0);
    top.set_mode(0o775);
    tar.append_data(&mut top, format!("{folder}/"), std::io::empty())?;
    for (path, text) in tree {
        let mut header = tar::Header::new_ustar();
        match text.strip_prefix("-> ") {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, format!("{folder}/{path}"), target)?;
            }
            None => {
                header.set_size(text.len() as u64);
                header.set_mode(0o664);
                header.set_mtime(1_700_000_000);
                tar.append_data(&mut header, format!("{folder}/{path}"), text.as_bytes())?;
            }
        }
    }
    tar.into_inner()?.finish()
}

/// Commits files to a branch, whose other files stay, and tells whoever wants to hear of it.
/// Nothing if there is no such repository.
pub(crate) fn commit(
    world: &Arc<World>,
    repository: &str,
    branch: &str,
    files: &[(&str, &str)],
) -> Option<String> {
    let after = hash(world.pace.uuid());
    let (before, hooks) = world.change(|state| {
        let held = state.forgejo.repository_mut(repository).ok()?;
        let before = held.branches.get(branch).cloned();
        let before = before.or_else(|| held.branches.get("main").cloned()).unwrap_or_default();
        let mut tree = held.commits.get(&before).cloned().unwrap_or_default();
        tree.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        held.commits.insert(after.clone(), tree);
        held.branches.insert(branch.to_owned(), after.clone());
        Some((before, held.hooks.clone()))
    })?;
    let modified: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    let body = push(repository, branch, &before, &after, &modified).to_string();
    world.change(|state| {
        if let Ok(held) = state.forgejo.repository_mut(repository) {
            held.last_push.clone_from(&body);
        }
    });
    tell(world, &hooks, &body);
    Some(after)
}

/// Sends what was sent last once more, under another number, as somebody does who has seen it.
pub(crate) fn replay(world: &Arc<World>, repository: &str) {
    let last = world.read(|state| {
        let held = state.forgejo.repository(repository).ok()?;
        Some((held.hooks.clone(), held.last_push.clone()))
    });
    if let Some((hooks, body)) = last {
        tell(world, &hooks, &body);
    }
}

fn tell(world: &Arc<World>, hooks: &[Hook], body: &str) {
    let delivery = world.pace.uuid();
    for hook in hooks {
        let times = match () {
            () if world.faults.fires("forgejo", "hook-lost") => 0,
            () if world.faults.fires("forgejo", "hook-twice") => 2,
            () => 1,
        };
        let (background, hook, body) = (Arc::clone(world), hook.clone(), body.to_owned());
        world.spawn(async move {
            for _ in 0..times {
                send(&background, &hook, delivery, &body).await;
            }
        });
    }
}

fn push(repository: &str, branch: &str, before: &str, after: &str, modified: &[&str]) -> Value {
    let (owner, name) = repository.split_once('/').unwrap_or_default();
    let user = json!({ "id": 1, "login": owner, "username": owner });
    let commit = json!({
        "id": after, "message": "a change\n", "url": "", "added": [], "removed": [],
        "modified": modified, "author": { "name": owner, "email": "", "username": owner },
    });
    json!({
        "ref": format!("refs/heads/{branch}"), "before": before, "after": after, "compare_url": "",
        "commits": [commit], "total_commits": 1, "head_commit": commit,
        "repository": { "id": 1, "name": name, "full_name": repository, "owner": user },
        "pusher": user, "sender": user,
    })
}

/// Without a secret it is sent all the same, with a signature that is empty.
async fn send(world: &World, hook: &Hook, delivery: Uuid, body: &str) {
    let signature = match hook.secret.as_str() {
        "" => String::new(),
        secret => sign(secret, body.as_bytes()),
    };
    let request = world
        .http
        .post(&hook.url)
        .header("content-type", "application/json")
        .header("x-forgejo-event", "push")
        .header("x-forgejo-delivery", delivery.to_string())
        .header("x-forgejo-signature", &signature)
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body.to_owned());
    let answer = request.send().await;
    let status = answer.map_or(0, |answer| answer.status().as_u16());
    world.journal.effect("forgejo", "hook-sent", &hook.url, &status.to_string());
    world.wake();
}

fn sign(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
