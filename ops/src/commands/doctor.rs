//! `stead doctor`: looks at everything that Stead needs, and says how to mend what is wrong.
//!
//! It only looks. What cannot be seen from where it runs is said to be unseen, never to be good.

mod encryption;
mod finding;
mod login;
mod monitor;
mod place;
mod platform;
mod systems;

use std::path::Path;

use stead_nats::inspect;

use self::finding::{Finding, Verdict};
pub use self::place::size;
use crate::assemble::connection;
use crate::cli::Global;
use crate::cli::doctor::{Doctor, Role};
use crate::config::{DEFAULT_FILE, Encryption, Seen, read_to_look};
use crate::exit::Ended;
use crate::output;
use crate::story::words::counted;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Doctor) -> Result<(), Ended> {
    let findings = look(global, options).await;
    if global.json {
        output::json(&findings);
    } else {
        let said = finding::grouped(&findings);
        output::line(&finding::table(&said, output::width_or(usize::MAX)));
    }
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    match failed {
        0 => Ok(()),
        failed => {
            let many = counted(failed as u64, "thing");
            let has = if failed == 1 { "has" } else { "have" };
            Err(Ended::Failed(format!("{many} {has} to be mended")))
        }
    }
}

async fn look(global: &Global, options: &Doctor) -> Vec<Finding> {
    let (seen, mut findings) = configuration(&global.config);
    let Some(mut seen) = seen else { return findings };
    match encryption::opened(&seen.nats.keys).await {
        Ok(keys) => seen.nats.keys = Encryption::Open(keys),
        Err(finding) => {
            findings.push(finding);
            return findings;
        }
    }
    let connection = match connection(&seen.nats, "stead-doctor").await {
        Ok(connection) => connection,
        Err(ended) => {
            let mend =
                "nats-server 2.15.1 or newer with JetStream: `ops/lib/nats-server.sh` fetches it";
            findings.push(Finding::failed("server", ended.to_string(), mend));
            return findings;
        }
    };
    let server = inspect::server(&connection);
    let words = format!("{}, nats-server {}", server.name, server.version);
    findings.push(Finding::ok("server", words));
    let user = inspect::user(&connection).await;
    findings.push(login::look(user, options.role, inspect::js_prefix(&connection)));
    if options.role == Role::Worker {
        // It works without seeing anything else.
        return findings;
    }
    findings.push(jetstream(inspect::account(&connection).await));
    findings.extend(monitor::look(&seen.nats.monitors).await);
    findings.push(platform::clock(&connection, options.skew_max_ms, options.clock_ahead_ms).await);
    let is_given = seen.site.is_some();
    findings.extend(platform::look(&connection, &seen, is_given, options.skew_max_ms).await);
    if is_given {
        findings.extend(place::index(&seen.engine.index));
    }
    if options.role == Role::Operator {
        findings.extend(systems::look(&connection, seen.site.as_ref()).await);
    }
    findings
}

/// Reads the configuration; nothing if it does not even say where NATS is.
fn configuration(file: &Path) -> (Option<Seen>, Vec<Finding>) {
    const CHECK: &str = "configuration";
    match read_to_look(file) {
        Ok(seen) if seen.site.is_some() => {
            (Some(seen), vec![Finding::ok(CHECK, format!("{} describes the site", file.display()))])
        }
        Ok(seen) if file == Path::new(DEFAULT_FILE) && !file.exists() => {
            let words = "there is none here, so that replicas, partitions and vendors are unknown";
            (Some(seen), vec![Finding::unseen(CHECK, words, "name one with --config")])
        }
        Ok(seen) => {
            let words = format!("{} has faults, and is not looked at further", file.display());
            let mend = format!("`stead config check {}` names each", file.display());
            (Some(seen), vec![Finding::failed(CHECK, words, mend)])
        }
        Err(error) => {
            let mend = "`stead config check` names each fault";
            (None, vec![Finding::failed(CHECK, error.to_string(), mend)])
        }
    }
}

fn jetstream(account: Result<inspect::AccountSeen, String>) -> Finding {
    const CHECK: &str = "jetstream";
    match account {
        Ok(account) => {
            let most = match account.limits.max_storage {
                most if most > 0 => format!(", of {}", place::size(most.unsigned_abs())),
                _ => String::new(),
            };
            let words = format!("on; the account uses {}{most}", place::size(account.storage));
            Finding::ok(CHECK, words)
        }
        Err(words) => {
            let mend = "start nats-server with a `jetstream` block, and enable it for this account";
            Finding::failed(CHECK, words, mend)
        }
    }
}
