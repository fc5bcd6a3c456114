//! `stead nats keys`: a folder with all that a new deployment's NATS server and its users need to
//! know each other by. Whoever is to have a key gets a folder in it, so that one can be handed out
//! without the others.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use stead_nats::access;
use stead_workers::SYSTEMS;

use super::{make_key, read};
use crate::exit::Ended;

/// Those whom every deployment has, by section. Owners come and go; they are written in by hand.
const OTHERS: [(&str, &str); 6] = [
    ("backups", "backup"),
    ("restorers", "restorer"),
    ("operators", "operator"),
    ("dashboards", "dashboard"),
    ("webhooks", "webhook"),
    ("provisioners", "provisioner"),
];

/// Somebody who has got a key.
pub struct Made {
    /// The folder in which the key is: `worker-vault`.
    pub who: String,
    /// Its public half.
    pub public: String,
}

/// Makes the folder, which must not be there yet, and says whom it has made a key for.
pub fn make(folder: &Path) -> Result<Vec<Made>, Ended> {
    create(folder)?;
    let mut made = Vec::new();
    let mut text = HEAD.to_owned();
    for (section, names) in sections() {
        text += &format!("\n[{section}]\n");
        for name in names {
            let who = if section == "workers" { format!("worker-{name}") } else { name.to_owned() };
            let place = folder.join(&who);
            create(&place)?;
            let public = make_key(&place.join("nats.nk"))?;
            text += &format!("{name} = \"{public}\"\n");
            made.push(Made { who, public });
        }
    }
    write(&folder.join("users.toml"), &text)?;
    let (_, users) = read(&text).map_err(Ended::Failed)?;
    write(&folder.join("accounts.conf"), &access::accounts(&users))?;
    Ok(made)
}

/// What the file of users begins with.
const HEAD: &str = "\
# Who may connect, each by the public half of the key in the folder of that name; `stead nats\n\
# example` says more. After a change:\n\
#\n\
#   stead nats config users.toml --accounts > accounts.conf\n";

fn sections() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut sections = vec![("engines", vec!["engine"]), ("workers", SYSTEMS.to_vec())];
    sections.extend(OTHERS.map(|(section, name)| (section, vec![name])));
    sections
}

/// Makes a folder that only its owner can look into.
fn create(folder: &Path) -> Result<(), Ended> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| Ended::Failed(format!("{}: {error}", folder.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Ended> {
    let written = std::fs::write(file, text);
    written.map_err(|error| Ended::Failed(format!("{}: {error}", file.display())))
}
