//! What cloud-init makes of user-data, and leaves on the disk.
//!
//! User-data is `#cloud-config` and a document. The lab reads the document as JSON, which is
//! valid YAML; a guest whose document it cannot read stays unconfigured. Or it is a script for
//! cloudbase-init: then a guest of the lab is Windows, and carries it out at each boot.

use serde_json::Value;

/// Where the developer's home belongs.
const HOME: &str = "/home/coder";
const UNIT: &str = "/etc/systemd/system/coder-agent.service";
const ENVIRONMENT: &str = "/etc/coder-agent/env";
const VERIFIER: &str = "/usr/local/sbin/stead-verify-home";
/// The line of the verifier that names the address it reports to.
const REPORT: &str = "# stead-report: ";
const VOLUME: &str = "/usr/local/sbin/stead-volume";
/// The line of the volume's script that names portal, target and initiator.
const LOGIN: &str = "# stead-volume: ";

/// The parts of a configured system that the lab plays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) instance: String,
    /// The agent's token, if the environment file has one.
    pub(super) token: Option<String>,
    /// What is mounted on the home, if anything: `127.0.0.1:/mnt/tank/coder-home/x`.
    pub(super) source: Option<String>,
    /// The address of the card that is plugged in for storage.
    pub(super) storage_card: Option<String>,
    /// Where the verifier reports to.
    pub(super) report: Option<String>,
    /// Whether there is an agent to start at all.
    pub(super) has_agent: bool,
    /// The agent's unit waits for the home's mount.
    pub(super) waits_for_home: bool,
    /// The agent's unit verifies the home before it starts.
    pub(super) verifies_home: bool,
    /// The target that is logged in at before the agent starts, and as whom.
    pub(super) volume: Option<(String, String)>,
    /// Some unit keeps the agent up when the home appears late.
    pub(super) heals: bool,
}

/// The user-data of one boot.
pub(super) struct UserData {
    document: Value,
    /// What cloudbase-init carries out instead.
    script: Option<String>,
}

impl UserData {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        match first.trim_end() {
            "#cloud-config" => {
                let document: Value = serde_json::from_str(rest).ok()?;
                document.is_object().then_some(Self { document, script: None })
            }
            "#ps1_sysnative" => Some(Self { document: Value::Null, script: Some(rest.to_owned()) }),
            _ => None,
        }
    }

    /// Whether files are written on every boot, not only once per instance. A script asks for that
    /// with how it ends.
    pub(super) fn always_writes(&self) -> bool {
        if let Some(script) = &self.script {
            return assigned(script, "$again").is_some_and(|code| code == "1002")
                && script.trim_end().ends_with("exit $again");
        }
        let modules = self.document["cloud_init_modules"].as_array();
        modules.into_iter().flatten().any(|module| {
            let name = module[0].as_str().unwrap_or_default().replace('_', "-");
            name == "write-files" && module[1] == "always"
        })
    }

    /// Where the reporting webhooks want their events.
    pub(super) fn webhooks(&self) -> Vec<Webhook> {
        let handlers = self.document["reporting"].as_object();
        let webhook = |handler: &Value| {
            let endpoint = handler["endpoint"].as_str().filter(|_| handler["type"] == "webhook")?;
            let retries = handler["retries"].as_u64().unwrap_or(0).min(5);
            Some(Webhook { endpoint: endpoint.to_owned(), retries })
        };
        handlers.into_iter().flatten().filter_map(|(_, handler)| webhook(handler)).collect()
    }

    /// The system it describes.
    pub(super) fn install(&self, instance: &str) -> Installed {
        match &self.script {
            Some(script) => scripted(script, instance),
            None => self.configured(instance),
        }
    }

    fn configured(&self, instance: &str) -> Installed {
        let unit = self.file(UNIT);
        let setting = |name: &str| unit.as_deref().and_then(|unit| unit_value(unit, name));
        let waits = setting("RequiresMountsFor").is_some_and(|paths| {
            paths.split_whitespace().any(|path| path.trim_end_matches('/') == HOME)
        });
        Installed {
            instance: instance.to_owned(),
            token: self.file(ENVIRONMENT).as_deref().and_then(token),
            source: self.home(),
            storage_card: self.storage_card(),
            report: self.file(VERIFIER).as_deref().and_then(report),
            has_agent: unit.is_some(),
            waits_for_home: waits,
            verifies_home: setting("ExecStartPre").is_some(),
            volume: setting("Requires")
                .filter(|units| units.split_whitespace().any(|unit| unit == "stead-volume.service"))
                .and_then(|_| login(&self.file(VOLUME)?)),
            heals: self.keeps_up(),
        }
    }

    fn files(&self) -> impl Iterator<Item = &Value> {
        self.document["write_files"].as_array().into_iter().flatten()
    }

    fn file(&self, path: &str) -> Option<String> {
        let file = self.files().find(|file| file["path"] == path)?;
        file["content"].as_str().map(str::to_owned)
    }

    fn home(&self) -> Option<String> {
        let mounts = self.document["mounts"].as_array()?;
        let home = mounts
            .iter()
            .find(|mount| mount[1].as_str().is_some_and(|at| at.trim_end_matches('/') == HOME))?;
        home[0].as_str().map(str::to_owned)
    }

    /// The last word of the command that has networkd address it.
    fn storage_card(&self) -> Option<String> {
        let commands = self.document["bootcmd"].as_array()?;
        let says = |command: &&Value| {
            let text = command[2].as_str().unwrap_or_default();
            text.contains("MACAddress=$1") && text.contains("DHCP=ipv4")
        };
        let words = commands.iter().find(says)?.as_array()?;
        words.last()?.as_str().map(str::to_owned)
    }

    fn keeps_up(&self) -> bool {
        let content = |file: &Value| file["content"].as_str().unwrap_or_default().to_owned();
        self.files().any(|file| {
            let upheld = unit_value(&content(file), "Upholds").unwrap_or_default();
            upheld.split_whitespace().any(|unit| unit == "coder-agent.service")
        })
    }
}

/// The system that a script makes. Its agent starts after what is called before it, and tries again.
fn scripted(script: &str, instance: &str) -> Installed {
    let place = |words: &str| script.find(words);
    let (verified, agent) = (place("Send-Report 'home-verified'"), place("& coder agent"));
    Installed {
        instance: instance.to_owned(),
        token: assigned(script, "'CODER_AGENT_TOKEN'"),
        source: assigned(script, "$homeSource"),
        // It addresses every card.
        storage_card: Some(String::new()),
        report: report(script),
        has_agent: agent.is_some(),
        waits_for_home: place("mount.exe").is_some_and(|mount| Some(mount) < agent),
        verifies_home: verified.is_some() && verified < agent,
        volume: None,
        heals: place("while ($true)").is_some_and(|again| Some(again) < agent),
    }
}

/// What a script's line gives a name.
fn assigned(script: &str, name: &str) -> Option<String> {
    let mut lines = script.lines();
    let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "))?;
    Some(value.trim_matches('\'').replace("''", "'"))
}

/// A reporter's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Webhook {
    pub(super) endpoint: String,
    pub(super) retries: u64,
}

/// The value of a setting of a unit file that is not commented out.
fn unit_value(unit: &str, name: &str) -> Option<String> {
    unit.lines()
        .find_map(|line| Some(line.trim().strip_prefix(name)?.strip_prefix('=')?.trim().to_owned()))
}

fn token(environment: &str) -> Option<String> {
    let line =
        environment.lines().find_map(|line| line.trim().strip_prefix("CODER_AGENT_TOKEN="))?;
    Some(line.trim_matches(['"', '\'']).to_owned()).filter(|token| !token.is_empty())
}

fn login(script: &str) -> Option<(String, String)> {
    let line = script.lines().find_map(|line| line.strip_prefix(LOGIN))?;
    let mut words = line.split_whitespace().skip(1).map(str::to_owned);
    Some((words.next()?, words.next()?))
}

fn report(script: &str) -> Option<String> {
    script.lines().find_map(|line| Some(line.trim().strip_prefix(REPORT)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::UserData;

    #[test]
    fn the_parts_that_matter_are_found() {
        let document = json!({
            "mounts": [["127.0.0.1:/mnt/tank/coder-home/a", "/home/coder", "nfs4", "noauto"]],
            "write_files": [
                { "path": "/etc/coder-agent/env", "content": "A=b\nCODER_AGENT_TOKEN=secret\n" },
                { "path": "/usr/local/sbin/stead-verify-home", "content": "#!/bin/sh\n# stead-report: http://127.0.0.1:1/x\n" },
                { "path": "/etc/systemd/system/coder-agent.service",
                  "content": "[Unit]\nRequiresMountsFor=/home/coder\n[Service]\nExecStartPre=/usr/local/sbin/stead-verify-home\n" },
                { "path": "/etc/systemd/system/coder.target", "content": "[Unit]\nUpholds=coder-agent.service\n" },
            ],
            "reporting": { "stead": { "type": "webhook", "endpoint": "http://127.0.0.1:1/e", "retries": 1 } },
        });
        let data = UserData::parse(&format!("#cloud-config\n{document}")).expect("readable");
        let installed = data.install("i-1");
        assert_eq!(installed.token.as_deref(), Some("secret"));
        assert_eq!(installed.report.as_deref(), Some("http://127.0.0.1:1/x"));
        assert!(installed.waits_for_home && installed.verifies_home && installed.heals);
        assert_eq!(data.webhooks().len(), 1);
        assert!(!data.always_writes());
    }

    #[test]
    fn a_script_of_cloudbase_init_is_carried_out_at_each_boot_if_it_asks_for_that() {
        let script = "#ps1_sysnative\n# stead-report: http://127.0.0.1:1/x\n\
            $homeSource = '127.0.0.1:/mnt/o''neil'\n'CODER_AGENT_TOKEN' = 'secret'\n\
            $again = 1002\nwhile ($true) {\nmount.exe\nSend-Report 'home-verified'\n& coder agent\n}\n";
        let asks = UserData::parse(&format!("{script}exit $again\n")).expect("a script");
        let installed = asks.install("i-1");
        assert_eq!(installed.token.as_deref(), Some("secret"));
        assert_eq!(installed.source.as_deref(), Some("127.0.0.1:/mnt/o'neil"));
        assert!(installed.waits_for_home && installed.verifies_home && installed.heals);
        assert!(asks.always_writes());
        assert!(!UserData::parse(&format!("{script}exit 0\n")).expect("a script").always_writes());
    }

    #[test]
    fn what_is_no_cloud_config_configures_nothing() {
        assert!(UserData::parse("#!/bin/sh\n{}").is_none());
        assert!(UserData::parse("#cloud-config\nusers: [a]").is_none());
    }
}
