//! Whether the login of this configuration may do what its role needs.

use std::collections::BTreeSet;

use stead_nats::access;
use stead_nats::inspect::{Permissions, UserSeen};
use stead_workers::SYSTEMS;

use super::finding::Finding;
use crate::cli::doctor::Role;

/// The users that a login is to be as good as, and what they are called. A worker's is that of each
/// system whose steps it may hear.
fn users(role: Role, permissions: &Permissions) -> (String, Vec<access::Role>) {
    match role {
        Role::Operator => ("operator".to_owned(), vec![access::Role::Operator]),
        Role::Engine => ("engine".to_owned(), vec![access::Role::Engine]),
        Role::Worker => {
            let hears =
                |system: &&str| permissions.may_subscribe(&format!("stead.step.{system}.*"));
            let systems: Vec<&str> = SYSTEMS.into_iter().filter(hears).collect();
            let whose = match systems.len() {
                0 => String::new(),
                all if all == SYSTEMS.len() => " of every system".to_owned(),
                _ => format!(" of {}", systems.join(", ")),
            };
            let users = systems.iter().map(|system| access::Role::Worker((*system).to_owned()));
            (format!("worker{whose}"), users.collect())
        }
    }
}

/// Compares what the login may with what its role needs.
pub fn look(user: Result<UserSeen, String>, role: Role, js_prefix: &str) -> Finding {
    const CHECK: &str = "permissions";
    let user = match user {
        Ok(user) => user,
        Err(words) => {
            let words = format!("the server does not say what this login may: {words}");
            let mend = "allow it to publish to `$SYS.REQ.USER.INFO`";
            return Finding::unseen(CHECK, words, mend);
        }
    };
    let name = if user.user.is_empty() { "whoever connects without a login" } else { &user.user };
    let whom = format!("{name} (account {})", user.account);
    let Some(permissions) = &user.permissions else {
        let words = format!("{whom} may do everything");
        let mend = "give each role a user of its own before others reach this server: \
                    ops/deploy/nats";
        return Finding::warning(CHECK, words, mend);
    };
    const MEND: &str = "compare this user with the one in ops/deploy/nats";
    let (called, users) = users(role, permissions);
    if users.is_empty() {
        let words = format!("{whom} may hear the steps of no system, and so is no {called}");
        return Finding::failed(CHECK, words, MEND);
    }
    let missing: BTreeSet<String> =
        users.iter().flat_map(|user| missing(permissions, user, js_prefix)).collect();
    if missing.is_empty() {
        return Finding::ok(CHECK, format!("{whom} may do all that the role `{called}` needs"));
    }
    let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
    let words = format!("{whom} lacks what the role `{called}` needs: {missing}");
    Finding::failed(CHECK, words, MEND)
}

fn missing(permissions: &Permissions, role: &access::Role, js_prefix: &str) -> Vec<String> {
    let (publish, subscribe) = access::needs(role, js_prefix);
    let publish = publish.iter().filter(|subject| !permissions.may_publish(subject));
    let subscribe = subscribe.iter().filter(|subject| !permissions.may_subscribe(subject));
    let publish = publish.map(|subject| format!("publish to {subject}"));
    publish.chain(subscribe.map(|subject| format!("subscribe to {subject}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_nats::inspect::UserSeen;

    use super::super::finding::Verdict;
    use super::look;
    use crate::cli::doctor::Role;

    fn user(permissions: Value) -> Result<UserSeen, String> {
        let user = json!({ "user": "pve", "account": "STEAD", "permissions": permissions });
        serde_json::from_value::<UserSeen>(user).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_role_lacks_is_named() {
        let look = |user, role| look(user, role, "$JS.API");
        let good = json!({
            "publish": { "allow": ["stead.part.>", "$JS.API.STREAM.MSG.GET.*"] },
            "subscribe": { "deny": ["stead.log.>"] },
        });
        assert_eq!(look(user(good.clone()), Role::Worker).verdict, Verdict::Ok);
        let lacks = look(user(good), Role::Engine);
        assert_eq!(lacks.verdict, Verdict::Failed);
        assert!(lacks.words.contains("publish to stead.log.>"), "{}", lacks.words);
        assert_eq!(look(user(json!(null)), Role::Engine).verdict, Verdict::Warning);
        assert_eq!(look(Err("denied".to_owned()), Role::Engine).verdict, Verdict::Unseen);
    }

    #[test]
    fn a_worker_needs_what_its_systems_need_and_no_more() {
        let steps = ["stead.step.vault.* workers", "stead.step-cancel", "stead.lease"];
        let with = |more: &str, publish: &str| {
            let subscribe = [&steps[..], &[more]].concat();
            let allow = json!({ "allow": subscribe });
            let user = user(json!({ "publish": { "allow": [publish] }, "subscribe": allow }));
            look(user, Role::Worker, "$JS.API")
        };
        let checkups = "stead.checkup.vault workers";
        let good = with(checkups, "stead.part.*.answer.>");
        assert_eq!(good.verdict, Verdict::Ok, "{}", good.words);
        assert!(good.words.contains("`worker of vault`"), "{}", good.words);
        let lacks = with(checkups, "stead.part.0.query");
        assert!(lacks.words.contains("publish to stead.part.*.answer.>"), "{}", lacks.words);
        // That of the guests' asks for more.
        let lacks = with("stead.step.guest.* workers", "stead.part.*.answer.>");
        assert!(lacks.words.contains("publish to stead.part.*.query"), "{}", lacks.words);
        let none = json!({ "publish": { "allow": [] }, "subscribe": { "allow": ["stead.evt.>"] } });
        let none = look(user(none), Role::Worker, "$JS.API");
        assert!(none.verdict == Verdict::Failed && none.words.contains("no system"), "{none:?}");
    }

    #[test]
    fn an_operator_outside_the_account_of_the_streams_has_the_subjects_there() {
        let allow =
            ["stead.js.>", "stead.api.>", "stead.checkup.*", "stead.cmd.>", "stead.part.*.*"];
        let user = || {
            user(json!({
                "publish": { "allow": allow }, "subscribe": { "allow": ["stead.evt.>"] },
            }))
        };
        assert_eq!(look(user(), Role::Operator, "stead.js").verdict, Verdict::Ok);
        let lacks = look(user(), Role::Operator, "$JS.API");
        assert!(lacks.words.contains("publish to $JS.API.INFO"), "{}", lacks.words);
    }
}
