//! Templates of Coder's that are made of a repository.

use super::{FORGEJO, GOOD, check, env};
use crate::config::read;

pub(super) const DEPLOYMENT: &str = "[[deployments]]\ntemplate = \"stead-machine\"\n\
                          repository = \"platform/templates\"\npath = \"machine\"\n";

#[test]
fn what_is_deployed_is_said_so_that_it_can_be_found() {
    let deployed = |change: &dyn Fn(String) -> String, faults: &[&str]| {
        check(|text| format!("{FORGEJO}{text}{}", change(DEPLOYMENT.to_owned())), faults);
    };
    deployed(&|text| text, &[]);
    deployed(&|text| text.replace("path = \"machine\"\n", "branch = \"next\"\n"), &[]);
    deployed(
        &|text| text.replace("platform/", "").replace("\"machine\"", "\"../machine\""),
        &[
            "line 29: deployments.repository: is an owner and a name, such as platform/templates",
            "line 29: deployments.path: is a folder of the repository, without a slash at its ends",
        ],
    );
    let polled = |poll: &str| format!("{DEPLOYMENT}poll = \"{poll}\"\n");
    deployed(
        &|_| polled("often"),
        &[
            "line 29: deployments.poll: it has five fields, minute, hour, day of month, month and day \
           of week, such as `30 2 * * mon-fri`; this has 1",
        ],
    );
    for (text, poll) in [
        (DEPLOYMENT.to_owned(), Some("*/5 * * * *")),
        (polled("@hourly"), Some("@hourly")),
        (polled("never"), None),
    ] {
        let site = read(&format!("{FORGEJO}{GOOD}{text}"), "stead.toml", &env).unwrap().site;
        assert_eq!(site.deployments[0].poll.as_deref(), poll);
    }
    let variables = |said: &str| format!("{DEPLOYMENT}variables = {{ {said} }}\n");
    deployed(&|_| variables("region_token = \"vault:secret/data/coder/template\""), &[]);
    deployed(
        &|_| variables("\"1x\" = \"vault:secret/data/coder/template\", token = \"abc\""),
        &[
            "line 29: deployments.variables: 1x is no name of a variable of Terraform's",
            "line 29: deployments.variables: token names a secret in Vault, such as \
             vault:secret/data/coder/template",
        ],
    );
    deployed(
        &|text| format!("{text}{text}"),
        &["line 33: deployments.template: stead-machine is deployed twice"],
    );
    check(
        |text| text + DEPLOYMENT,
        &["deployments: needs a [forgejo] section: there the repositories are"],
    );
}
