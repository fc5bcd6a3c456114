//! `stead lab`: runs the lab of simulated vendors, or breaks and mends a running one.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde_json::json;
use stead_lab::{
    FaultStatus, Guests, Inventory, Lab, LabClient, LabError, LabOptions, LabPorts, Latency,
    UserChange,
};

use from::Restored;

use crate::cli::Global;
use crate::cli::lab::{At, CONTROL_PORT, Guests as Living, Lab as Options, Latency as Pace, Verb};
use crate::exit::{Ended, with_causes};
use crate::output;
use crate::signals;
use crate::story::table::{sheet, table};
use crate::story::words::counted;

mod from;
mod press;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Options) -> Result<(), Ended> {
    match &options.verb {
        None => run(global, options).await,
        Some(Verb::Inventory(at)) => inventory(global, at).await,
        Some(Verb::Faults(at)) => faults(global, at).await,
        Some(Verb::Break { vendor, fault, times, at }) => {
            break_(at, vendor, fault, *times).await?;
            tell(global, &json!({ "vendor": vendor, "fault": fault, "times": times }));
            Ok(())
        }
        Some(Verb::Commit { file, path, repository, branch, at }) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Ended::Usage(format!("cannot read {}: {error}", file.display()))
            })?;
            let commit = client(at).commit(repository, branch, path, &text).await.map_err(ended)?;
            output::note(&format!("{path} of {repository} is committed to {branch}: {commit}"));
            tell(global, &json!({ "repository": repository, "branch": branch, "commit": commit }));
            Ok(())
        }
        Some(Verb::Press { what, workspace, parameters, template, at }) => {
            let order = press::Order { what: *what, workspace, parameters, template };
            press::carry_out(global, &client(at), &order).await
        }
        Some(Verb::User { user, change, at }) => {
            client(at).change_user(user, change.into()).await.map_err(ended)?;
            output::note(&format!("Authentik's account of {user}: {}", change.told()));
            tell(global, &json!({ "user": user, "change": UserChange::from(change) }));
            Ok(())
        }
        Some(Verb::Mend { vendor, fault, at }) => {
            mend(at, vendor.as_deref(), fault.as_deref()).await?;
            tell(global, &json!({ "mended": { "vendor": vendor, "fault": fault } }));
            Ok(())
        }
    }
}

/// What was done, for machines; people have been told.
fn tell(global: &Global, done: &serde_json::Value) {
    if global.json {
        output::json(done);
    }
}

async fn break_(at: &At, vendor: &str, fault: &str, times: Option<u32>) -> Result<(), Ended> {
    check_known(at, Some(vendor), Some(fault)).await?;
    client(at).break_(vendor, fault, times).await.map_err(ended)?;
    let until = match times {
        Some(times) => format!("until it has struck {}", counted(u64::from(times), "time")),
        None => format!("until `stead lab mend {vendor} {fault}`"),
    };
    output::note(&format!("{vendor} {fault} is in force, {until}"));
    Ok(())
}

async fn mend(at: &At, vendor: Option<&str>, fault: Option<&str>) -> Result<(), Ended> {
    check_known(at, vendor, fault).await?;
    client(at).mend(vendor, fault).await.map_err(ended)?;
    let what = [vendor, fault].into_iter().flatten().collect::<Vec<_>>().join(" ");
    output::note(&format!("{} is mended", if what.is_empty() { "everything" } else { &what }));
    Ok(())
}

/// A name that is mistyped would otherwise do nothing, unnoticed.
async fn check_known(at: &At, vendor: Option<&str>, fault: Option<&str>) -> Result<(), Ended> {
    let Some(vendor) = vendor else { return Ok(()) };
    let faults = client(at).faults().await.map_err(ended)?;
    let vendors: BTreeSet<&str> = faults.iter().map(|known| known.vendor.as_str()).collect();
    let vendors: Vec<&str> = vendors.into_iter().collect();
    let of_vendor = faults.iter().filter(|known| known.vendor == vendor);
    let names: Vec<&str> = of_vendor.map(|known| known.name.as_str()).collect();
    match fault {
        _ if names.is_empty() => {
            Err(Ended::Usage(format!("there is no {vendor}; there are {}", vendors.join(", "))))
        }
        Some(fault) if !names.contains(&fault) => {
            let words = format!("{vendor} has no fault {fault}; it has {}", names.join(", "));
            Err(Ended::Usage(words))
        }
        _ => Ok(()),
    }
}

fn client(at: &At) -> LabClient {
    LabClient::new(&at.lab)
}

async fn run(global: &Global, options: &Options) -> Result<(), Ended> {
    let mut stop = signals::stop()
        .map_err(|error| Ended::Failed(format!("cannot listen for signals: {error}")))?;
    let control = control_port(&options.control)?;
    let lab = Lab::start(LabOptions {
        latency: match options.latency {
            Pace::Zero => Latency::Zero,
            Pace::Realistic => Latency::Realistic,
        },
        guests: match options.guests {
            Living::Played => Guests::Played,
            Living::Elsewhere => Guests::Elsewhere,
        },
        bind: LabPorts { control, ..LabPorts::default() },
        ..LabOptions::default()
    });
    let lab = lab.await.map_err(|error| cannot_start(error, control))?;
    if let Some(file) = &options.write_site {
        write_site(&lab, file)?;
    }
    let restored = match &options.from {
        Some(file) => Some(from::restore(&lab, file, options.at.as_deref()).await?),
        None => None,
    };
    introduce(global, options, &lab, restored.as_ref());
    signals::stopped(&mut stop).await;
    lab.shutdown().await;
    Ok(())
}

/// The lab is for this machine alone: its vendors trust whoever reaches them.
fn control_port(text: &str) -> Result<u16, Ended> {
    let parsed = match (text.parse::<u16>(), text.parse::<SocketAddr>()) {
        (Ok(port), _) => Some(port),
        (_, Ok(address)) if address.ip() == IpAddr::from([127, 0, 0, 1]) => Some(address.port()),
        _ => None,
    };
    parsed.ok_or_else(|| {
        let words = format!(
            "`{text}` cannot be the lab's control address; write a port of 127.0.0.1, such as \
             --control {CONTROL_PORT}"
        );
        Ended::Usage(words)
    })
}

fn cannot_start(error: LabError, control: u16) -> Ended {
    match error {
        LabError::Listen { port, .. } if port != 0 && port == control => {
            let words = format!(
                "{}; is a lab running already? Choose another port, such as --control {}, or any \
                 free one by --control 0",
                with_causes(&error),
                control.checked_add(1).unwrap_or(CONTROL_PORT)
            );
            Ended::Unavailable(words)
        }
        error => Ended::Failed(format!("cannot start the lab: {}", with_causes(&error))),
    }
}

fn write_site(lab: &Lab, file: &Path) -> Result<(), Ended> {
    std::fs::write(file, lab.site_toml())
        .map_err(|error| Ended::Failed(format!("cannot write {}: {error}", file.display())))
}

fn introduce(global: &Global, options: &Options, lab: &Lab, restored: Option<&Restored>) {
    let (at, login) = (lab.addresses(), lab.credentials());
    if global.json {
        let environment = json!({
            "STEAD_VAULT_ROLE_ID": login.vault_role_id,
            "STEAD_VAULT_SECRET_ID": login.vault_secret_id,
        });
        let site = &options.write_site;
        return output::json_line(&json!({
            "addresses": at, "environment": environment, "site": site, "restored": restored,
        }));
    }
    output::line("the lab is open, until Ctrl-C");
    if let Some(restored) = restored {
        output::line(&restored.told(&things(&lab.inventory(), output::width())));
    }
    output::line(&sheet(&[
        ("  control", at.control_url.clone()),
        ("  vault", at.vault_url.clone()),
        ("  proxmox", at.proxmox_url.clone()),
        ("  truenas", at.truenas_url.clone()),
        ("  coder", at.coder_url.clone()),
        ("  forgejo", at.forgejo_url.clone()),
        ("  kubernetes", at.kubernetes_url.clone()),
        ("  s3", at.s3_url.clone()),
        ("  authentik", at.authentik_url.clone()),
    ]));
    match &options.write_site {
        Some(file) => {
            output::line(&format!("its site file is {}; to work with it:", file.display()))
        }
        None => output::line("--write-site FILE writes a site file; to work with it:"),
    }
    output::line(&format!("  export STEAD_VAULT_ROLE_ID={}", login.vault_role_id));
    output::line(&format!("  export STEAD_VAULT_SECRET_ID={}", login.vault_secret_id));
    if let Some(file) = &options.write_site {
        output::line(&format!("  stead up --config {}", file.display()));
    }
}

async fn inventory(global: &Global, at: &At) -> Result<(), Ended> {
    let inventory = client(at).inventory().await.map_err(ended)?;
    if global.json {
        output::json(&inventory);
        return Ok(());
    }
    if inventory.is_empty() {
        output::line(
            "there is nothing: no machine, no dataset, no share, no Coder workspace, no bucket",
        );
        return Ok(());
    }
    output::line(&things(&inventory, output::width()));
    Ok(())
}

/// Everything that was made, a line each.
pub fn things(inventory: &Inventory, width: usize) -> String {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for vm in &inventory.vms {
        let size =
            format!("{} cores, {} GiB, disk {} GiB", vm.cores, vm.memory_mib / 1024, vm.disk_gib);
        let stage = Some(vm.guest_stage.as_str()).filter(|stage| !stage.is_empty());
        let words =
            [Some(size.as_str()), stage].into_iter().flatten().collect::<Vec<_>>().join(", ");
        rows.push([
            "machine".to_owned(),
            format!("{} {}", vm.vmid, vm.name),
            vm.status.clone(),
            words,
        ]);
    }
    for dataset in &inventory.datasets {
        let quota = format!("limit {} GiB", dataset.refquota_bytes >> 30);
        let state = if dataset.mounted { "mounted" } else { "not mounted" };
        rows.push(["dataset".to_owned(), dataset.id.clone(), state.to_owned(), quota]);
    }
    for share in &inventory.shares {
        rows.push([
            "share".to_owned(),
            share.path.clone(),
            "exported".to_owned(),
            share.comment.clone(),
        ]);
    }
    for entry in &inventory.coder_workspaces {
        let agent = entry.agent.as_ref();
        let agent = agent.map_or(String::new(), |a| format!("agent {}, {}", a.status, a.lifecycle));
        let name = format!("{}/{}", entry.owner, entry.name);
        rows.push(["coder".to_owned(), name, entry.status.clone(), agent]);
    }
    for bucket in &inventory.buckets {
        let quota = format!("limit {} GiB", bucket.quota_bytes >> 30);
        let state = counted(bucket.objects, "object");
        rows.push(["bucket".to_owned(), bucket.name.clone(), state, quota]);
    }
    for key in &inventory.bucket_keys {
        rows.push(["key".to_owned(), key.clone(), "valid".to_owned(), "opens buckets".to_owned()]);
    }
    for token in &inventory.coder_tokens {
        rows.push(["token".to_owned(), token.clone(), "made".to_owned(), "of Coder's".to_owned()]);
    }
    for secret in &inventory.forgejo_secrets {
        rows.push(["secret".to_owned(), secret.clone(), "set".to_owned(), "in Forgejo".to_owned()]);
    }
    for (version, message) in &inventory.template_versions {
        let what = ["version".to_owned(), version.clone(), "made".to_owned(), message.clone()];
        rows.push(what);
    }
    for object in &inventory.kubernetes {
        let is_run = object.kind == "deployment";
        let state = if is_run { counted(object.available, "pod") } else { "made".to_owned() };
        rows.push([object.kind.clone(), object.name.clone(), state, object.image.clone()]);
    }
    for image in &inventory.images {
        rows.push(["image".to_owned(), image.clone(), "laid".to_owned(), "at Proxmox".to_owned()]);
    }
    table(["WHAT", "WHICH", "STATE", "MORE"], &rows, width)
}

async fn faults(global: &Global, at: &At) -> Result<(), Ended> {
    let faults = client(at).faults().await.map_err(ended)?;
    if global.json {
        output::json(&faults);
        return Ok(());
    }
    let rows: Vec<[String; 4]> = faults.iter().map(fault).collect();
    output::line(&table(["VENDOR", "FAULT", "NOW", "WHAT IT DOES"], &rows, output::width()));
    Ok(())
}

fn fault(status: &FaultStatus) -> [String; 4] {
    let now = match (status.active, status.fired) {
        (true, 0) => "in force".to_owned(),
        (true, fired) => format!("in force, struck {fired}"),
        (false, 0) => "-".to_owned(),
        (false, fired) => format!("over, struck {fired}"),
    };
    [status.vendor.clone(), status.name.clone(), now, status.description.clone()]
}

fn ended(error: LabError) -> Ended {
    match &error {
        LabError::Unreachable { url, .. } => Ended::Unavailable(format!(
            "no lab answers at {url}; start one with `stead lab`, or say where it is with --lab \
             or STEAD_LAB"
        )),
        LabError::Refused { reason, .. } => {
            let words = format!("the lab refuses: {reason}");
            Ended::Usage(words)
        }
        _ => Ended::Failed(with_causes(&error)),
    }
}
