//! Bundles, packed and unpacked, damaged, and under other names.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;
use stead_core::run::Run;
use stead_schemas::event::Event;
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, link};
use stead_workflows::WORKFLOWS;

use super::pack::{UnpackError, is_packed, pack, unpack};
use super::redact::redacted;
use super::{Bundle, Listed, Manifest, VERSION};

/// A workspace's life, its home's and what was known of people, as the golden files have them.
fn bundle() -> Bundle {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/tests/golden");
    let mut histories = BTreeMap::new();
    for name in ["workspace-life", "home-life", "people-life"] {
        let text = std::fs::read(format!("{golden}/{name}.jsonl")).expect("a golden file");
        let lines = super::pack::lines(&text);
        histories.insert(first(&lines).run, lines);
    }
    let runs = histories.iter().map(|(run, lines)| listed(run, lines)).collect();
    let run = histories.keys().find(|run| run.kind() == "workspace").cloned();
    let manifest = Manifest {
        v: VERSION,
        build: "stead 0.1.0".to_owned(),
        at: Timestamp::from_millis(1_800_000_000_000),
        about: "alice/dev".to_owned(),
        run,
        runs,
        redacted: false,
        missing: vec!["metrics: none".to_owned()],
    };
    let log = "warn: 10.10.30.2:2049 is slow for alice on pve1, http://nas.lan/x".to_owned();
    let texts = BTreeMap::from([
        ("logs/worker.log".to_owned(), log),
        (
            "site.json".to_owned(),
            json!({ "nfs_server": "10.10.30.2", "at": "http://nas.lan" }).to_string(),
        ),
    ]);
    Bundle { manifest, histories, views: BTreeMap::new(), texts }
}

fn first(lines: &[Vec<u8>]) -> Transition {
    Transition::decode(&lines[0]).expect("a transition")
}

fn listed(run: &RunId, lines: &[Vec<u8>]) -> Listed {
    let Event::RunStarted(started) = &first(lines).events[0] else { panic!("it begins otherwise") };
    Listed {
        run: run.clone(),
        name: format!("{}/{}", started.owner, started.name),
        build: started.build.clone(),
        transitions: lines.len() as u64,
        broken: None,
        diverges: None,
    }
}

/// This build decides as the history says, and its chain is whole.
fn check_replays(run: &RunId, lines: &[Vec<u8>]) {
    let key = run.key();
    let workflow =
        WORKFLOWS.iter().find(|known| known.kind == key.kind()).expect("a known workflow");
    let mut replayed = Run::new(*workflow, run.clone());
    let mut before = String::new();
    for line in lines {
        let transition = Transition::decode(line).expect("a transition");
        assert_eq!(transition.prev, before, "{run}, transition {}", transition.n);
        replayed.replay(&transition).unwrap_or_else(|divergence| panic!("{run}: {divergence}"));
        before = link(line);
    }
}

#[test]
fn what_is_packed_is_unpacked_to_the_byte() {
    let bundle = bundle();
    let packed = pack(&bundle).expect("it is packed");
    assert!(is_packed(&packed));
    assert_eq!(unpack(&packed).expect("it is unpacked"), bundle);
    assert_eq!(pack(&bundle).expect("again"), packed, "the same bundle has the same bytes");
}

#[test]
fn a_damaged_bundle_is_named_and_never_half_read() {
    let packed = pack(&bundle()).expect("it is packed");
    for cut in [2, packed.len() / 2, packed.len() - 9] {
        assert!(unpack(&packed[..cut]).is_err(), "cut at {cut}");
    }
    let mut altered = packed.clone();
    altered[packed.len() / 2] ^= 0x40;
    assert!(unpack(&altered).is_err());
    assert!(matches!(unpack(b"no archive"), Err(UnpackError::Archive(_))));
}

/// A small dose of what `ops/fuzz` does at length.
#[test]
fn an_altered_archive_is_refused_or_is_another_bundle() {
    let mut small = bundle();
    small.histories.retain(|run, _| run.kind() == "people");
    small.manifest.runs.retain(|listed| small.histories.contains_key(&listed.run));
    let mut plain = Vec::new();
    let packed = pack(&small).expect("it is packed");
    GzDecoder::new(&*packed).read_to_end(&mut plain).expect("it is ours");
    for at in (0..plain.len()).step_by(13) {
        let mut altered = plain.clone();
        altered[at] ^= 1 << (at % 8);
        let mut squeezed = GzEncoder::new(Vec::new(), Compression::none());
        squeezed.write_all(&altered).expect("memory takes it");
        let Ok(mut found) = unpack(&squeezed.finish().expect("memory takes it")) else { continue };
        // Their names are a stranger's, and need not be what we would write.
        found.texts.clear();
        let again = unpack(&pack(&found).expect("names that fit")).expect("what we have packed");
        assert_eq!(again, found, "altered at {at}");
    }
}

#[test]
fn a_bundle_without_a_history_that_it_lists_or_of_a_newer_shape_is_refused() {
    let mut lacking = bundle();
    let run = lacking.histories.pop_first().expect("a history").0;
    let told = unpack(&pack(&lacking).expect("packed")).expect_err("it lacks one").to_string();
    assert_eq!(told, format!("{run} in it cannot be read: its history is missing"));
    let mut newer = bundle();
    newer.manifest.v = VERSION + 1;
    assert!(matches!(unpack(&pack(&newer).expect("packed")), Err(UnpackError::Newer(_))));
}

#[test]
fn a_run_of_a_bundle_is_found_by_its_id_and_its_name() {
    let mut bundle = bundle();
    let dev = bundle.manifest.run.clone().expect("a run");
    let name = bundle.manifest.runs.iter().find(|one| one.run == dev).expect("it").name.clone();
    assert_eq!(bundle.which(None), Ok(dev.clone()));
    assert_eq!(bundle.which(Some(dev.as_str())), Ok(dev.clone()));
    assert_eq!(bundle.which(Some(&name)), Ok(dev));
    assert!(bundle.which(Some("jane/dev")).expect_err("unknown").contains("there is no run"));
    bundle.manifest.run = None;
    assert!(bundle.which(None).expect_err("two").contains("FILE#RUN"));
}

#[test]
fn other_names_stand_everywhere_and_the_histories_still_replay() {
    let mut bundle = bundle();
    let run = bundle.manifest.run.clone().expect("a run");
    for listed in &mut bundle.manifest.runs {
        let words = format!("transition 2 belongs to {run}, of alice on pve1");
        (listed.broken, listed.diverges) = (Some(words.clone()), Some(words));
    }
    let other = redacted(&bundle, "salt").expect("it is redacted");
    assert!(other.manifest.redacted);
    assert!(other.manifest.runs.iter().all(|listed| listed.broken == listed.diverges));
    let text = {
        let lines = other.histories.values().flatten();
        let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned());
        let texts = other.texts.values().cloned();
        let about = serde_json::to_string(&other.manifest).expect("JSON");
        lines.chain(texts).chain([about]).collect::<Vec<_>>().join("\n")
    };
    for secret in ["alice", "john", "10.10.30.2", "pve1", "nas.lan"] {
        assert!(!text.contains(secret), "{secret} is still in it");
    }
    // What a platform has of its own is called the same everywhere.
    let of_people = bundle.histories.keys().filter(|run| run.kind() != "people");
    for run in of_people {
        assert!(!text.contains(run.as_str()), "{run} is still in it");
    }
    for (run, lines) in &other.histories {
        assert_eq!(first(lines).run, *run);
        check_replays(run, lines);
        let mut before = String::new();
        for line in lines {
            assert_eq!(Transition::decode(line).expect("a transition").prev, before);
            before = link(line);
        }
    }
    let workspace = other.manifest.run.as_ref().expect("a run");
    let asks = String::from_utf8_lossy(&other.histories[workspace].concat()).into_owned();
    assert!(asks.contains("owner-1") && asks.contains("host-"), "{asks}");
}

#[test]
fn the_same_name_is_the_same_everywhere_and_words_are_left_alone() {
    let mut bundle = bundle();
    let log = "alice aliceny 10.10.30.2 10.10.30.2:111 127.0.0.1 proxmox.clone-vm 12:00:05 fe80::7";
    bundle.texts.insert("logs/a.log".to_owned(), log.to_owned());
    let other = redacted(&bundle, "salt").expect("it is redacted");
    let log = &other.texts["logs/a.log"];
    let words: Vec<&str> = log.split(' ').collect();
    assert_eq!(words[0], "owner-1", "{log}");
    assert_eq!(words[1], "aliceny", "{log}");
    assert!(words[2].starts_with("198.18.0."), "{log}");
    assert_eq!(words[3], format!("{}:111", words[2]), "{log}");
    assert_eq!(words[4..7], ["127.0.0.1", "proxmox.clone-vm", "12:00:05"], "{log}");
    assert!(words[7].starts_with("2001:db8::"), "{log}");
}

#[test]
fn a_line_of_a_log_names_no_person_and_no_host() {
    let mut bundle = bundle();
    let log = "proxmox.clone-vm of Alice: build7.corp.example and coder.corp.example:443 refuse \
               alice@example.org (ALICE, git@forge.example.org); home.attach is done\n";
    bundle.texts.insert("logs/a.log".to_owned(), log.to_owned());
    let other = redacted(&bundle, "salt").expect("it is redacted");
    let told = &other.texts["logs/a.log"];
    for name in ["lice", "LICE", "build7", "corp", "example", "forge"] {
        assert!(!told.contains(name), "`{name}` is still in it: {told}");
    }
    for word in ["proxmox.clone-vm of owner-1", ":443 refuse mail-", "home.attach is done"] {
        assert!(told.contains(word), "`{word}` is not in it: {told}");
    }
}

/// People as the entity carries them on, and a site that tells some of them by mail.
fn crowd() -> Bundle {
    let mut bundle = bundle();
    let person = |n: usize, subject: &str, username: &str| {
        let groups = ["team-roe", "users"];
        json!({ "n": n, "workspaces": { "dev": false },
            "user": { "subject": subject, "username": username, "groups": groups } })
    };
    // In the order of their names.
    let zoes = ["zoe0", "zoe1", "zoe10", "zoe2", "zoe3", "zoe4", "zoe5", "zoe6", "zoe7", "zoe8"];
    let mut owners =
        json!({ "Carol": person(0, "ak-9d1", "Carol"), "carol": person(1, "ak-7f3", "c.roe") });
    for (zoe, n) in zoes.iter().zip(2..) {
        owners[zoe] = person(n, &format!("ak-{n}"), zoe);
    }
    let carried =
        json!({ "owners": owners, "doubted": ["carol"], "news": [["carol", "users left"]] });
    let site = json!({
        "notify": [{ "name": "ops", "by": { "mail":
            { "to": ["carol.roe@corp.example", "Help@Corp.Example"], "from": "stead@corp.example" } } }],
        "truenas": { "portal": "nas02.storage.lan:3260" },
        "proxmox": { "nodes": ["pve7"], "portal": "san9:3260" },
        "coder": { "url": "https://ops@CODER.corp.example/x", "other": "http://shorty:80" },
        "vault": { "pinned": { "vault:secret/data/vault.corp.example/api": "1" } },
    });
    bundle.texts.insert("carried.json".to_owned(), carried.to_string());
    let view = json!({ "owners": [{ "owner": "carol", "since": 1 }], "words": "ever since" });
    bundle.texts.insert("view.json".to_owned(), view.to_string());
    bundle.texts.insert("site.json".to_owned(), site.to_string());
    bundle
}

#[test]
fn neither_keys_nor_single_words_nor_capitals_name_a_person_or_a_host() {
    let other = redacted(&crowd(), "salt").expect("it is redacted");
    let texts = other.texts.values().cloned().collect::<Vec<_>>().join("\n").to_lowercase();
    let names = ["carol", "zoe", "roe", "ak-7f3", "team", "corp", "nas02", "storage.lan", "pve7"];
    for name in names.iter().chain(&["san9", "coder.", "shorty", "help@", "stead@"]) {
        assert!(!texts.contains(name), "`{name}` is still in it: {texts}");
    }
    let carried = read(&other.texts["carried.json"]);
    assert_eq!(read(&other.texts["view.json"])["words"], "ever since", "no field is an owner");
    // Those who are called alike but for a capital stay two, and all stay in their order.
    let owners = carried["owners"].as_object().expect("by owners");
    assert!(owners.keys().all(|owner| owner.starts_with("owner-")), "{carried:#}");
    let order: Vec<_> = owners.values().map(|person| person["n"].as_u64()).collect();
    assert_eq!(order, (0..12).map(Some).collect::<Vec<_>>(), "{carried:#}");
    let second = carried["doubted"][0].as_str().expect("a name");
    assert_eq!(owners[second]["n"], 1, "{carried:#}");
    assert_eq!(owners[second]["workspaces"]["dev"], false, "{carried:#}");
    // Words that are also the name of a group are words.
    assert_eq!(carried["news"][0], json!([second, "users left"]));
}

fn read(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}
