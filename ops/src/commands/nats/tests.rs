//! What a file of users may say, and that the shipped configuration is what is printed for the
//! shipped file.

use std::os::unix::fs::PermissionsExt;

use stead_nats::access::{Role, accounts, new_seed, public_key, server};
use stead_workers::SYSTEMS;

use super::keys::{self, Made};
use super::{EXAMPLE, read};

const COMPOSE: &str = include_str!("../../../deploy/compose/compose.yaml");
const WORKERS: &str = include_str!("../../../deploy/kubernetes/workers.yaml");
const SHIPPED: &str = include_str!("../../../deploy/nats/nats.conf");

fn check(text: &str, words: &str) {
    let error = read(text).expect_err("a fault");
    assert!(error.contains(words), "{error}");
}

#[test]
fn the_shipped_configuration_is_the_one_for_the_example() {
    let (settings, users) = read(EXAMPLE).expect("a file of users");
    let printed = server(&settings, &users);
    if std::env::var_os("STEAD_UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nats/nats.conf");
        std::fs::write(path, &printed).expect("a file");
    }
    assert!(printed == SHIPPED, "STEAD_UPDATE=1 writes ops/deploy/nats/nats.conf anew");
}

#[test]
fn every_system_has_its_workers_in_what_is_shipped() {
    let (_, users) = read(EXAMPLE).expect("a file of users");
    for system in SYSTEMS {
        let role = Role::Worker(system.to_owned());
        assert!(users.iter().any(|user| user.role == role), "{system}");
        let words = format!(": [worker, --systems, {system}]");
        for (file, text) in [("kubernetes/workers.yaml", WORKERS), ("compose.yaml", COMPOSE)] {
            assert!(text.contains(&words), "{file} has no {system}");
        }
    }
}

#[test]
fn every_kind_of_user_can_be_named() {
    let (_, users) = read(EXAMPLE).expect("a file of users");
    let of = |role: &Role| users.iter().filter(|user| user.role == *role).count();
    assert_eq!((of(&Role::Engine), of(&Role::Operator), of(&Role::Dashboard)), (2, 2, 1));
    assert_eq!((of(&Role::Webhook), of(&Role::Provisioner)), (1, 1));
    assert_eq!((of(&Role::Backup), of(&Role::Restorer)), (1, 1));
    assert_eq!(of(&Role::Worker("proxmox".to_owned())), 1);
    let jane = stead_schemas::owner::Owner::new("jane.doe").expect("a name");
    assert_eq!(of(&Role::Owner(jane)), 2);
}

#[test]
fn a_new_deployment_has_a_key_for_everybody_that_only_its_owner_can_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("keys");
    let made = keys::make(&folder).expect("it is made");
    let read_text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let (_, users) = read(&read_text("users.toml")).expect("a file of users");
    assert_eq!(read_text("accounts.conf"), accounts(&users));
    assert_eq!((made.len(), users.len()), (SYSTEMS.len() + 7, SYSTEMS.len() + 7));
    for Made { who, public } in &made {
        let seed = folder.join(who).join("nats.nk");
        let mode = std::fs::metadata(&seed).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{who}");
        let seed = std::fs::read_to_string(seed).expect("a seed");
        assert_eq!(public_key(&seed).ok().as_ref(), Some(public), "{who}");
        assert!(users.iter().any(|user| user.key == *public), "{who}");
    }
    let others = [Role::Operator, Role::Dashboard, Role::Webhook, Role::Provisioner];
    for role in [Role::Engine, Role::Backup, Role::Restorer].into_iter().chain(others) {
        assert!(users.iter().any(|user| user.role == role), "{role:?}");
    }
    // A second time would lock everybody out who has one already.
    assert!(keys::make(&folder).is_err());
    assert_eq!(read(&read_text("users.toml")).expect("a file of users").1, users);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let key = public_key(&new_seed().expect("a seed")).expect("a key");
    let seed = new_seed().expect("a seed");
    check("[engines", "not TOML");
    check("", "no user in [engines]");
    check(&format!("[kings]\na = \"{key}\""), "no such section");
    check(&format!("[workers]\nmars = \"{key}\""), "there are workers for authentik, coder");
    check("[engines]\na = 7", "wants a text");
    check("[engines]\na = \"UABC\"", "public half");
    check(&format!("[engines]\na = \"{key}\"\nb = \"{key}\""), "have the same key");
    check(&format!("[owners]\n\"a\\nb\" = \"{key}\""), "control characters");
    check("[server]\nport = \"1\"", "no such key");
    check("[server]\nname = \"a\\\"b\"", "without quotation marks");
    check("[server]\ntls_key = \"k\"", "belong together");
    let secret = read(&format!("[engines]\na = \"{seed}\"")).expect_err("a fault");
    assert!(!secret.contains(&seed), "{secret}");
}
