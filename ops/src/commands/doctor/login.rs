//! Whether the login of this configuration may do what its role needs.

use stead_nats::inspect::{Permissions, UserSeen};

use super::finding::Finding;
use crate::cli::doctor::Role;

/// What a role publishes and subscribes to, and does not work without.
struct Needs {
    name: &'static str,
    publish: &'static [&'static str],
    subscribe: &'static [&'static str],
}

const fn needs(role: Role) -> Needs {
    match role {
        Role::Operator => Needs {
            name: "operator",
            publish: &[
                "$JS.API.INFO",
                "$JS.API.STREAM.INFO.*",
                "$JS.API.STREAM.MSG.GET.*",
                "stead.api.operator.workspace.create",
                "stead.checkup.*",
                "stead.part.*.query",
                "stead.part.*.list",
            ],
            subscribe: &["stead.evt.>"],
        },
        Role::Engine => Needs {
            name: "engine",
            publish: &[
                "$JS.API.STREAM.CREATE.*",
                "$JS.API.STREAM.INFO.*",
                "$JS.API.STREAM.MSG.GET.*",
                "$JS.ACK.STEAD_INBOX.engines.>",
                "stead.log.>",
                "stead.archive.>",
                "stead.settings",
                "stead.lease",
                "stead.lease.p.*",
                "stead.lease.engine.*",
                "stead.step.>",
                "stead.step-cancel",
                "stead.evt.>",
            ],
            subscribe: &["stead.part.*.>", "stead.api.>"],
        },
        Role::Worker => Needs {
            name: "worker",
            publish: &["stead.part.*.answer.>"],
            subscribe: &["stead.step.*.*", "stead.step-cancel", "stead.lease", "stead.checkup.*"],
        },
    }
}

/// Compares what the login may with what its role needs.
pub fn look(user: Result<UserSeen, String>, role: Role, js_prefix: &str) -> Finding {
    const CHECK: &str = "permissions";
    let needs = needs(role);
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
    let missing = missing(permissions, &needs, js_prefix);
    if missing.is_empty() {
        return Finding::ok(
            CHECK,
            format!("{whom} may do all that the role `{}` needs", needs.name),
        );
    }
    let words =
        format!("{whom} lacks what the role `{}` needs: {}", needs.name, missing.join(", "));
    Finding::failed(CHECK, words, "compare this user with the one in ops/deploy/nats")
}

fn missing(permissions: &Permissions, needs: &Needs, js_prefix: &str) -> Vec<String> {
    let publish = needs.publish.iter().map(|subject| subject.replace("$JS.API", js_prefix));
    let publish = publish.filter(|subject| !permissions.may_publish(subject));
    let subscribe = needs.subscribe.iter().filter(|subject| !permissions.may_subscribe(subject));
    let publish = publish.map(|subject| format!("publish to {subject}"));
    publish.chain(subscribe.map(|subject| format!("subscribe to {subject}"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_nats::inspect::UserSeen;

    use super::super::finding::Verdict;
    use super::look;
    use crate::cli::doctor::Role;

    #[test]
    fn what_a_role_lacks_is_named() {
        let user = |permissions| {
            let user = json!({ "user": "pve", "account": "STEAD", "permissions": permissions });
            serde_json::from_value::<UserSeen>(user).map_err(|error| error.to_string())
        };
        let good = json!({
            "publish": { "allow": ["stead.part.*.answer.>"] }, "subscribe": { "deny": ["stead.log.>"] },
        });
        let look = |user, role| look(user, role, "$JS.API");
        assert_eq!(look(user(good.clone()), Role::Worker).verdict, Verdict::Ok);
        let lacks = look(user(good), Role::Engine);
        assert_eq!(lacks.verdict, Verdict::Failed);
        assert!(lacks.words.contains("publish to stead.log.>"), "{}", lacks.words);
        assert_eq!(look(user(json!(null)), Role::Engine).verdict, Verdict::Warning);
        assert_eq!(look(Err("denied".to_owned()), Role::Engine).verdict, Verdict::Unseen);
    }

    #[test]
    fn an_operator_outside_the_account_of_the_streams_has_the_subjects_there() {
        let allow = ["stead.js.>", "stead.api.>", "stead.checkup.*", "stead.part.*.*"];
        let user = json!({ "user": "alice", "account": "PEOPLE", "permissions": {
            "publish": { "allow": allow }, "subscribe": { "allow": ["stead.evt.>"] },
        } });
        let user = || serde_json::from_value::<UserSeen>(user.clone()).map_err(|e| e.to_string());
        assert_eq!(look(user(), Role::Operator, "stead.js").verdict, Verdict::Ok);
        let lacks = look(user(), Role::Operator, "$JS.API");
        assert!(lacks.words.contains("publish to $JS.API.INFO"), "{}", lacks.words);
    }
}
