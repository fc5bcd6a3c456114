//! The page `ops/runbooks/first-incident.md`, carried out: each command on it is given to the real
//! binary, and what that says is what the page shows, but for numbers, spans and where lines end.

use std::fmt::Write;
use std::path::Path;

use crate::metrics::{page, sum};
use crate::stage::{Setting, Stage, free_addresses, until};

/// What stands where the page leaves the rest out.
const REST: &str = "…";
/// The file that the page has written, which lies elsewhere here.
const BUNDLE: &str = "dev.stead.tar.gz";

/// A command on the page, and what it shows of the answer.
#[derive(Debug)]
struct Shown<'a> {
    command: &'a str,
    says: String,
}

/// A file of `ops`.
fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops").join(file);
    std::fs::read_to_string(path).expect("it is there")
}

fn walk() -> String {
    text("runbooks/first-incident.md")
}

fn shown(page: &str) -> Vec<Shown<'_>> {
    let mut all: Vec<Shown<'_>> = Vec::new();
    let consoles = page.split("```console\n").skip(1);
    for console in consoles.map(|rest| rest.split("```").next().unwrap_or_default()) {
        for line in console.lines() {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => all.push(Shown { command, says: String::new() }),
                (None, Some(last)) => writeln!(last.says, "{line}").expect("text takes it"),
                (None, None) => panic!("`{line}` is said before anything is asked"),
            }
        }
    }
    all
}

/// The words of a command, as a shell has them that knows no more than double quotes.
fn words(command: &str) -> Vec<String> {
    let pieces = command.split('"').enumerate();
    let words = pieces.flat_map(|(n, piece)| match n % 2 {
        0 => piece.split_whitespace().map(str::to_owned).collect(),
        _ => vec![piece.to_owned()],
    });
    words.collect()
}

/// What does not change from one day to the next.
fn lasting(text: &str) -> String {
    let mut masked = String::new();
    for letter in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match letter.is_ascii_digit() {
            true if masked.ends_with('#') => {}
            true => masked.push('#'),
            false => masked.push(letter),
        }
    }
    for span in ["# min # s", "#.# s", "# ms"] {
        masked = masked.replace(span, "# s");
    }
    masked
}

fn fits(said: &str, shown: &str) -> bool {
    let (said, shown) = (lasting(said), lasting(shown));
    match shown.strip_suffix(REST) {
        Some(first) => said.starts_with(first.trim_end()),
        None => said == shown,
    }
}

async fn carry_out(stage: &Stage, shown: &Shown<'_>) {
    let words = words(shown.command);
    let Some(("stead", words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest))
    else {
        panic!("`{}` is none of ours", shown.command)
    };
    if words == ["up", "--lab"] {
        // The stage is just that.
        return;
    }
    let bundle = stage.place(BUNDLE).display().to_string();
    let words: Vec<&str> =
        words.iter().map(|word| if word == BUNDLE { &*bundle } else { word.as_str() }).collect();
    let lab = [("STEAD_LAB", stage.lab.addresses().control_url.clone())];
    // What only looks may be asked again until it is so far.
    let looks = matches!(words[..], ["run" | "explain", ..] | ["incident", "explain", ..]);
    let asked = || async {
        let told = stage.verb_with(&words, &lab).await;
        let said = [told.stdout, told.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace(&bundle, BUNDLE);
        assert!(told.status.success(), "{}: {said}", shown.command);
        // A stage that fails keeps its folder.
        std::fs::write(stage.place("said.log"), &said).expect("it is written");
        let fits = fits(&said, &shown.says);
        assert!(
            looks || fits,
            "{}\n{said}\nis not what the page shows:\n{}",
            shown.command,
            shown.says
        );
        fits.then_some(())
    };
    until(&format!("`{}` says what the page shows", shown.command), asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walk_through_a_first_incident_is_what_happens() {
    let addresses = free_addresses();
    let stage = Stage::with(Setting { metrics: Some(addresses), ..Setting::default() }).await;
    stage.desk("john").await;
    let walk = walk();
    let all = shown(&walk);
    assert!(all.len() > 8, "{all:#?}");
    for shown in &all {
        carry_out(&stage, shown).await;
    }
    // What the alert counts.
    let (_, text) = page(addresses[2], "/metrics").await.expect("the worker shows itself");
    let down = [("system", "vault"), ("outcome", "vendor-down")];
    assert!(sum(&text, "stead_vendor_calls_total", &down) > 0.0, "{text}");
    stage.finish().await;
}

#[test]
fn the_walk_begins_with_an_alert_that_there_is() {
    let (walk, alerts) = (walk(), text("alerts/stead.yml"));
    let quoted = walk.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let quoted = quoted.expect("the alert is quoted");
    let (alert, _) = quoted.trim().split_once(':').expect("its name comes first");
    let rule = alerts.split(&format!("- alert: {alert}\n")).nth(1).expect("there is such an alert");
    let told = ["summary", "description", "runbook"].map(|key| {
        let line = rule.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: \"")));
        line.expect("it says so").trim_end_matches('"').replace("{{ $labels.system }}", "vault")
    });
    for words in told {
        let quoted = quoted.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(quoted.contains(&words), "the page does not say: {words}");
    }
    assert!(walk.lines().count() <= 150, "a page that is read at night is short");
}
