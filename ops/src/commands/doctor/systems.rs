//! The outside systems, by the eyes of their workers: nobody else can log in to them.

use futures_util::future::join_all;
use stead_nats::Connection;
use stead_nats::checkup::{Examined, examine};
use stead_schemas::checkup::{Ask, CheckupReply, CheckupRequest, Seen};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::{Deployment, Site};
use stead_schemas::step::authentik::FindUser;
use stead_schemas::step::coder::FindTemplate;
use stead_schemas::step::forgejo::{LookUpHead, Repository};
use stead_schemas::step::kubernetes::{ListServers, ResolveImage};
use stead_schemas::step::probe::Noop;
use stead_schemas::step::proxmox::{CheckTemplate, Survey};
use stead_schemas::step::s3::ListBuckets;
use stead_schemas::step::truenas::SurveyPool;
use stead_schemas::step::vault::PinSecrets;
use stead_schemas::time::Timestamp;
use stead_workers::SYSTEMS;

use super::finding::Finding;

/// Has a worker of each system look at it, all at once.
pub async fn look(connection: &Connection, site: Option<&Site>) -> Vec<Finding> {
    // A site need not have each of these, and then nobody works for it.
    let is_wanted = |system: &&str| {
        site.is_none_or(|site| match *system {
            "authentik" => site.authentik.is_some(),
            "s3" => site.s3.is_some(),
            "forgejo" => site.forgejo.is_some(),
            "kubernetes" => site.kubernetes.is_some(),
            _ => true,
        })
    };
    let looks = SYSTEMS.into_iter().filter(is_wanted).map(|system| async move {
        let asks = site.map(|site| asks(system, site)).unwrap_or_default();
        let examined = examine(connection, system, &CheckupRequest { asks }).await;
        told(system, &examined, site.is_some())
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// By which steps a system is looked at.
fn asks(system: &str, site: &Site) -> Vec<Ask> {
    match system {
        "authentik" => {
            let login = site.authentik.iter().map(|authentik| authentik.secret.clone());
            // He need not be there: what is looked at is whether users can be seen.
            let look = |login| FindUser {
                login,
                username: "stead-doctor".into(),
                subject: None,
                groups: Vec::new(),
            };
            login.map(|login| Ask::by(&look(login))).collect()
        }
        "coder" => templates(site),
        "forgejo" => branches(site),
        "kubernetes" => servers(site),
        "probe" => vec![Ask::by(&Noop { number: 1 })],
        "proxmox" => machines(site),
        "s3" => {
            let login = site.s3.iter().map(|s3| s3.secret.clone());
            login.map(|login| Ask::by(&ListBuckets { login })).collect()
        }
        "truenas" => {
            let (parent, login) = (site.truenas.parent.clone(), site.truenas.secret.clone());
            // It need not be there: what is looked at is the pool.
            let dataset = format!("{parent}/stead-doctor");
            vec![Ask::by(&SurveyPool { login, parent, dataset })]
        }
        "vault" => vec![Ask::by(&PinSecrets { secrets: secrets(site) })],
        _ => Vec::new(),
    }
}

fn secrets(site: &Site) -> Vec<String> {
    let mut secrets =
        vec![site.proxmox.secret.clone(), site.truenas.secret.clone(), site.coder.secret.clone()];
    secrets.extend(site.s3.iter().map(|s3| s3.secret.clone()));
    secrets.extend(site.authentik.iter().map(|authentik| authentik.secret.clone()));
    secrets.extend(site.kubernetes.iter().map(|kubernetes| kubernetes.secret.clone()));
    secrets.extend(site.forgejo.iter().map(|forgejo| forgejo.secret.clone()));
    secrets
}

fn templates(site: &Site) -> Vec<Ask> {
    let look = |template: &str| {
        Ask::by(&FindTemplate {
            login: site.coder.secret.clone(),
            organization: site.coder.organization.clone(),
            template: template.to_owned(),
        })
    };
    let mut names: Vec<&str> =
        site.templates.iter().map(|template| template.coder_template.as_str()).collect();
    names.extend(site.deployments.iter().map(|deployment| deployment.template.as_str()));
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(look).collect()
}

/// What templates are made of.
fn branches(site: &Site) -> Vec<Ask> {
    let login = site.forgejo.as_ref().map(|forgejo| forgejo.secret.clone()).unwrap_or_default();
    let look = |deployment: &Deployment| {
        let (login, repository) = (login.clone(), deployment.repository.clone());
        let (place, branch) = (Repository { login, repository }, deployment.branch.clone());
        Ask::by(&LookUpHead { place, branch })
    };
    site.deployments.iter().map(look).collect()
}

/// The namespace, and the images that servers are made of.
fn servers(site: &Site) -> Vec<Ask> {
    let Some(kubernetes) = &site.kubernetes else { return Vec::new() };
    let (login, namespace) = (kubernetes.secret.clone(), kubernetes.namespace.clone());
    let resolve = |server: &stead_schemas::site::McpServer| {
        let (login, image) = (kubernetes.registry_secret.clone(), server.image.clone());
        Ask::by(&ResolveImage { login, image })
    };
    let looks = [Ask::by(&ListServers { login, namespace })].into_iter();
    looks.chain(site.mcp_servers.iter().map(resolve)).collect()
}

fn machines(site: &Site) -> Vec<Ask> {
    let proxmox = &site.proxmox;
    let look = |template: &stead_schemas::site::Template| {
        let storage = template.storage_backend.first().copied()?;
        Some(Ask::by(&Survey {
            login: proxmox.secret.clone(),
            nodes: proxmox.nodes.clone(),
            template: template.vmid,
            storage,
            vmid_first: proxmox.vmid_first,
            vmid_last: proxmox.vmid_last,
            machine: None,
        }))
    };
    let special = |template: &stead_schemas::site::Template| {
        let check = CheckTemplate {
            login: proxmox.secret.clone(),
            nodes: proxmox.nodes.clone(),
            template: template.vmid,
            storage: template.storage_backend.first().copied()?,
            clone_kind: template.clone_kind,
            network: template.network.clone(),
            seed_storage: proxmox.seed_storage.clone(),
            storage_network: proxmox.storage_network.clone(),
            rights_at: Some(proxmox.vmid_first),
        };
        Some(Ask::by(&check))
    };
    let looks = site.templates.iter().filter_map(look);
    looks.chain(site.templates.iter().filter_map(special)).collect()
}

fn told(system: &str, examined: &Examined, site_is_known: bool) -> Vec<Finding> {
    match examined {
        Examined::NoWorker => {
            let words = format!("no worker of {system} listens; its steps wait");
            let mend = format!("start one: `stead worker --systems {system}`");
            vec![Finding::failed(system, words, mend)]
        }
        Examined::Unanswered(words) => {
            let words = format!("a worker of {system} listens, and does not answer: {words}");
            vec![Finding::failed(
                system,
                words,
                "look into the worker's log; it may be of an older build",
            )]
        }
        Examined::Answered(reply) => answered(system, reply, site_is_known),
    }
}

fn answered(system: &str, reply: &CheckupReply, site_is_known: bool) -> Vec<Finding> {
    let failed: Vec<Finding> = reply.seen.iter().filter_map(|seen| failure(system, seen)).collect();
    if !failed.is_empty() {
        return failed;
    }
    let build = &reply.build;
    let ends = reply.seen.iter().filter_map(|seen| seen.login_ends).min();
    if let Some(finding) = ends.and_then(|ends| login(system, ends, now())) {
        return vec![finding];
    }
    // Nothing of the site is needed to look at these two.
    if !site_is_known && !["guest", "probe"].contains(&system) {
        let words = format!("a worker ({build}) listens; {system} itself was not tried");
        let mend = "give the site's configuration with --config";
        return vec![Finding::unseen(system, words, mend)];
    }
    let words = match reply.seen.len() {
        0 => format!("a worker ({build}) listens"),
        _ => format!("a worker ({build}) reaches it, and may read what it needs"),
    };
    vec![Finding::ok(system, words)]
}

/// What a login that ends soon is: a failure on its last day, when nothing is made with it any more.
fn login(system: &str, ends: Timestamp, now: Timestamp) -> Option<Finding> {
    let left = ends.since(now).as_secs() / 3600;
    let mend = format!("make another login at {system}, and lay it where [{system}] says in Vault");
    match left {
        0..24 => {
            let words = format!("its login ends in {left} h; nothing is made with it any more");
            Some(Finding::failed(system, words, mend))
        }
        24..168 => {
            Some(Finding::warning(system, format!("its login ends in {} d", left / 24), mend))
        }
        _ => None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(chrono::Utc::now().timestamp_millis())
}

fn failure(system: &str, seen: &Seen) -> Option<Finding> {
    let failure = seen.failure.as_ref()?;
    Some(Finding::failed(system, failure.to_string(), mend(system, failure)))
}

fn mend(system: &str, failure: &Failure) -> String {
    match failure.class {
        Class::Auth if system == "vault" => {
            "renew what the workers log in with at Vault, and their policy on these paths"
                .to_owned()
        }
        Class::Auth => format!("renew the login of {system} in Vault, and its rights there"),
        Class::VendorDown | Class::Retry | Class::Ambiguous | Class::TimedOut => {
            format!("see that {system} runs, is unsealed, and that the worker's host reaches it")
        }
        Class::Wait | Class::Conflict | Class::Cancelled => {
            format!("wait until {system} is less busy, and look again")
        }
        Class::Permanent | Class::Refused => {
            format!("compare [{system}] and the templates of the configuration with what is there")
        }
    }
}
