//! The template that is shipped: what it lets choose is what an order may say, and what a real
//! Terraform does with its module is what `stead` understands.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use stead_schemas::command::COMMANDS;
use stead_schemas::command::bucket::bucket_name;
use stead_schemas::command::workspace::{KIND, NAME_PATTERN};
use stead_schemas::owner::Owner;
use stead_schemas::site::{Range, StorageBackend, Template};
use stead_schemas::step::coder::versions::MARKER;

const MAIN: &str = include_str!("../../../deploy/coder/workspace/main.tf");
const MODULE: &str = include_str!("../../../deploy/coder/workspace/stead/main.tf");
const NUMBERS: [&str; 4] = ["cpu_cores", "memory_gb", "storage_quota_gb", "disk_gb"];

/// What stands in a block, as `terraform fmt` writes it: a field a line, blocks within it by name.
#[derive(Debug, Default)]
struct Block {
    fields: BTreeMap<String, String>,
    blocks: Vec<(String, Block)>,
}

impl Block {
    fn read<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Self {
        let mut block = Self::default();
        while let Some(line) = lines.next().map(str::trim).filter(|line| *line != "}") {
            if let Some(name) = line.strip_suffix(" {") {
                block.blocks.push((name.to_owned(), Self::read(lines)));
            } else if let Some((field, value)) = line.split_once(" = ") {
                let value = value.trim().trim_matches('"').to_owned();
                block.fields.insert(field.trim().to_owned(), value);
            }
        }
        block
    }

    fn number(&self, field: &str) -> u32 {
        self.fields[field].parse().unwrap_or_else(|_| panic!("{field} of {self:?}"))
    }
}

/// The parameters of the template, by name.
fn parameters() -> BTreeMap<String, Block> {
    let mut lines = MAIN.lines();
    let mut found = BTreeMap::new();
    while let Some(line) = lines.next() {
        if let Some(label) = line.strip_prefix("data \"coder_parameter\" \"") {
            let name = label.trim_end_matches("\" {");
            let block = Block::read(&mut lines);
            assert_eq!(block.fields["name"], name, "one name for one thing");
            found.insert(name.to_owned(), block);
        }
    }
    found
}

/// A site's template that says nothing of what may be chosen.
fn usual() -> Template {
    let said = json!({ "name": "t", "vmid": 1, "disk_gb": 40, "coder_template": "t" });
    serde_json::from_value(said).expect("a template")
}

#[test]
fn what_can_be_chosen_is_what_an_order_may_say() {
    let parameters = parameters();
    let usual = usual();
    let ranges = [usual.cpu_cores, usual.memory_gb, usual.storage_quota_gb, usual.disk_gb_range()];
    for (name, range) in NUMBERS.into_iter().zip(ranges) {
        let block = &parameters[name];
        let (_, valid) = block.blocks.iter().find(|(name, _)| name == "validation").expect(name);
        let default = block.number("default");
        assert_eq!(Range { min: valid.number("min"), max: valid.number("max"), default }, range);
        assert_eq!(
            (block.fields["type"].as_str(), block.fields["form_type"].as_str()),
            ("number", "slider")
        );
        assert_eq!(block.fields["mutable"], "true", "{name}");
    }
    // Offered where the site says how large it may be, and 0 is none.
    let volume = &parameters["volume_gb"];
    let valid = |block: &Block, field: &str| block.blocks[0].1.fields.get(field).cloned();
    assert_eq!(volume.fields["count"], "var.volume_gb_max > 0 ? 1 : 0");
    assert_eq!((volume.number("default"), valid(volume, "min")), (0, Some("0".to_owned())));
    assert_eq!(valid(volume, "max").as_deref(), Some("var.volume_gb_max"));
    for (name, block) in &parameters {
        let grows = ["disk_gb", "volume_gb"].contains(&name.as_str());
        let only = block.blocks.first().and_then(|_| valid(block, "monotonic"));
        assert_eq!(only.as_deref(), grows.then_some("increasing"), "{name}");
    }
    let backend = &parameters["storage_backend"];
    let options = backend.blocks.iter().filter(|(name, _)| name == "option");
    let words: Vec<&str> = options.map(|(_, option)| option.fields["value"].as_str()).collect();
    assert_eq!(words, StorageBackend::ALL.map(StorageBackend::word));
    assert_eq!(backend.fields["default"], usual.storage_backend[0].word());
    assert_eq!(backend.fields["mutable"], "false", "a disk does not move");
    let all: Vec<&str> = parameters.keys().map(String::as_str).collect();
    let numbers = ["cpu_cores", "disk_gb", "memory_gb"];
    let others = ["stead_run", "storage_backend", "storage_quota_gb", "volume_gb"];
    assert_eq!(all, [&numbers[..], &others].concat());
    // A field of the same name, or the mark.
    let create = COMMANDS.iter().find(|known| (known.kind, known.verb) == (KIND, "create"));
    let schema = json!((create.expect("a command").schema)());
    for name in all.into_iter().filter(|name| *name != MARKER) {
        assert!(schema["properties"][name].is_object(), "{name}");
    }
}

#[test]
fn every_parameter_says_what_it_is() {
    for (name, block) in parameters() {
        for field in ["display_name", "description", "default", "icon"] {
            assert!(block.fields.contains_key(field), "{name} has no {field}");
        }
        let options = block.blocks.iter().filter(|(name, _)| name == "option");
        for (_, option) in options {
            assert!(
                ["name", "description", "value"]
                    .iter()
                    .all(|field| option.fields.contains_key(*field))
            );
        }
    }
}

#[test]
fn the_token_lies_where_the_guests_door_reads_it_and_nowhere_else() {
    assert!(MAIN.contains("name      = \"stead/agents/${data.coder_workspace.me.id}\""));
    assert!(MAIN.contains("data_json = jsonencode({ token = coder_agent.main[0].token })"));
    assert_eq!(MAIN.matches(".token").count(), 1, "the token goes to Vault only");
    assert!(!MODULE.contains("token"), "what Terraform knows to be a secret hides the log");
    // The attribute of the older provider.
    assert!(!MAIN.contains("coder_workspace.me.owner"));
}

#[test]
fn a_workspaces_name_is_checked_as_its_order_is() {
    assert!(MODULE.contains(&format!("regex(\"{NAME_PATTERN}\", var.name)")));
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn skipped() {
    eprintln!("skipped: there is neither terraform nor tofu in the PATH");
}

/// The module, a real Terraform, and a `stead` that only writes down what it is told.
struct Bench {
    terraform: &'static str,
    dir: tempfile::TempDir,
}

impl Bench {
    fn open() -> Option<Self> {
        let is_there = |name: &&str| {
            let mut asked = Command::new(name);
            let asked = asked.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        };
        let terraform = ["terraform", "tofu"].into_iter().find(is_there)?;
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("main.tf"), MODULE).expect("a file");
        let stead = dir.path().join("stead");
        let script = "#!/bin/sh\necho \"$CODER_WORKSPACE_TRANSITION $*\" >>\"$CALLS\"\necho heard\n\
                      test ! -e \"$CALLS.fails\"\n";
        fs::write(&stead, script).expect("a file");
        fs::set_permissions(&stead, fs::Permissions::from_mode(0o755)).expect("its mode");
        let bench = Self { terraform, dir };
        assert!(bench.run("", &["init", "-input=false"]).0);
        Some(bench)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Whether it went well, and what was said.
    fn run(&self, transition: &str, words: &[&str]) -> (bool, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.terraform);
        command.args(words).current_dir(self.dir.path());
        command.env("PATH", format!("{}:{path}", self.dir.path().display()));
        command.env("CALLS", self.path("calls")).env("CHECKPOINT_DISABLE", "1");
        command.env("CODER_WORKSPACE_TRANSITION", transition).env_remove("TF_CLI_CONFIG_FILE");
        let done = command.output().expect("terraform runs");
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// A build as Coder carries it out, and what `stead` was told in it, in the order of words: what
    /// was resized before the rest.
    fn build(&self, transition: &str, variables: &Value) -> (bool, Vec<String>) {
        fs::remove_file(self.path("calls")).ok();
        let file = self.path("terraform.tfvars.json");
        fs::write(file, variables.to_string()).expect("a file");
        let verb = if transition == "destroy" { "destroy" } else { "apply" };
        let words = [verb, "-auto-approve", "-input=false", "-no-color"];
        let (well, said) = self.run(transition, &words);
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let mut calls: Vec<String> = calls.lines().map(str::to_owned).collect();
        assert!(calls.is_empty() || said.contains("(local-exec): heard"), "{said}");
        let resized = calls.iter().filter(|call| call.contains("--resize")).count();
        calls[..resized].sort();
        (well, calls)
    }
}

fn variables(cpu_cores: u32, name: &str) -> Value {
    json!({
        "name": name, "owner": "john.doe", "template": "it's", "storage_backend": "nvme",
        "sizes": { "cpu_cores": cpu_cores, "memory_gb": 8, "storage_quota_gb": 50 },
    })
}

#[test]
fn a_real_terraform_hands_each_build_over_and_a_moved_slider_destroys_nothing() {
    let Some(bench) = Bench::open() else { return skipped() };
    let whole = |transition: &str, cores: u32| {
        format!(
            "{transition} workspace from-coder --cpu-cores {cores} --memory-gb 8 \
             --storage-quota-gb 50 --storage-backend=nvme --template=it's"
        )
    };
    let resize = |words: &str| format!("start workspace from-coder --resize {words}");
    let first = [resize("--cpu-cores 4"), resize("--memory-gb 8"), resize("--storage-quota-gb 50")];
    let first: Vec<String> = first.into_iter().chain([whole("start", 4)]).collect();
    assert_eq!(bench.build("start", &variables(4, "dev")), (true, first));
    assert_eq!(bench.build("stop", &variables(4, "dev")), (true, vec![whole("stop", 4)]));
    let moved = vec![resize("--cpu-cores 8"), whole("start", 8)];
    assert_eq!(bench.build("start", &variables(8, "dev")), (true, moved.clone()));
    // What has failed is asked for once more.
    let refused = bench.path("calls.fails");
    fs::write(&refused, "").expect("a file");
    let (well, calls) = bench.build("start", &variables(4, "dev"));
    assert_eq!((well, calls), (false, vec![resize("--cpu-cores 4")]));
    fs::remove_file(&refused).expect("a file");
    let again = vec![resize("--cpu-cores 4"), whole("start", 4)];
    assert_eq!(bench.build("start", &variables(4, "dev")), (true, again));
    let gone = vec!["destroy workspace from-coder".to_owned()];
    assert_eq!(bench.build("destroy", &variables(4, "dev")), (true, gone));
}

#[test]
fn a_real_terraform_refuses_a_name_before_it_does_anything() {
    let Some(bench) = Bench::open() else { return skipped() };
    assert_eq!(bench.build("start", &variables(4, "Dev")), (false, Vec::new()));
}

#[test]
fn a_real_terraform_calls_the_bucket_as_stead_does() {
    let Some(bench) = Bench::open() else { return skipped() };
    for owner in ["john.doe", "max_x-1"] {
        let mut variables = variables(4, "dev");
        variables["owner"] = json!(owner);
        bench.build("start", &variables);
        let (_, said) = bench.run("", &["output", "-raw", "bucket"]);
        let bucket = bucket_name(&Owner::new(owner).expect("a name"), "dev");
        assert!(said.ends_with(&bucket.expect("a bucket")), "{said}");
    }
}

#[test]
fn a_real_terraform_finds_it_written_as_it_writes_it() {
    let Some(bench) = Bench::open() else { return skipped() };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/coder/workspace");
    let shipped = shipped.display().to_string();
    let (well, said) = bench.run("", &["fmt", "-check", "-diff", "-recursive", &shipped]);
    assert!(well, "{said}");
}

#[test]
fn no_link_leads_to_a_dashboard_that_is_not_shipped() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/dashboards");
    assert!(shipped.is_dir());
    let links = MAIN.split("/d/").skip(1);
    let named =
        links.map(|rest| rest.split(|c: char| "?\"$/".contains(c)).next().unwrap_or_default());
    let missing = named.filter(|uid| !shipped.join(format!("{uid}.json")).exists());
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(MAIN.contains("replace(var.grafana_url, \"{owner}\", local.owner)"));
}

#[test]
fn the_desktop_is_reached_on_loopback_by_its_owner_alone() {
    let app = MAIN.split("resource \"coder_app\" \"desktop\" {").nth(1).expect("an app");
    let mut lines = app.lines();
    lines.next();
    let app = Block::read(&mut lines);
    assert!(app.fields["url"].starts_with("http://localhost:6080/"), "{app:?}");
    assert_eq!((&*app.fields["share"], &*app.fields["subdomain"]), ("owner", "true"));
}

#[test]
fn a_real_terraform_makes_one_word_of_what_a_task_says() {
    let Some(bench) = Bench::open() else { return skipped() };
    let line = MAIN.lines().find(|line| line.trim_start().starts_with("command ")).expect("a task");
    let (_, value) = line.split_once(" = ").expect("a value");
    let value = value.replace("each.value.message", "var.message");
    let file = format!("variable \"message\" {{}}\noutput \"command\" {{\n  value = {value}\n}}\n");
    fs::write(bench.path("main.tf"), file).expect("a file");
    for message in ["Generate tests for the current module", "it's $(id); `id` \"x\" \\ && *"] {
        let variable = format!("message={message}");
        assert!(bench.run("", &["apply", "-auto-approve", "-var", &variable]).0);
        let (_, command) = bench.run("", &["output", "-raw", "command"]);
        let script = format!("aider() {{ printf '%s\\n' \"$@\"; }}; {command}");
        let done = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        let words = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(words, format!("--no-auto-commits\n--message\n{message}\n"));
    }
}
