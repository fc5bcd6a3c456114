//! `stead limits`: what the site limits, who has a place, and who waits for one, in order.

use std::time::Duration;

use stead_schemas::limit::{KeyView, Limit, LimitView, PER_OWNER, PlaceView};

use super::run::client;
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;
use crate::story::words::{hanging, span};

/// Carries the verb out.
pub async fn carry_out(global: &Global) -> Result<(), Ended> {
    let limits = client(global).await?.limits().await?;
    if global.json {
        output::json(&limits);
    } else if limits.is_empty() {
        output::line("no limits are configured: a [[limits]] in the site's configuration sets one");
    } else {
        output::line(&told(&limits, output::width()));
    }
    Ok(())
}

fn told(limits: &[LimitView], width: usize) -> String {
    let told = limits.iter().map(|view| {
        let mut lines = vec![hanging("", &rule(&view.limit), width, 2)];
        match view.keys.is_empty() {
            true => lines.push("  nobody is at it".to_owned()),
            false => lines.extend(view.keys.iter().map(|key| places(&view.limit, key, width))),
        }
        lines.join("\n")
    });
    told.collect::<Vec<_>>().join("\n\n")
}

/// A limit in one sentence.
fn rule(limit: &Limit) -> String {
    let numbers = [
        limit.at_once.map(|most| format!("{most} at once")),
        limit.per_minute.map(|most| format!("{most} a minute")),
    ];
    let numbers: Vec<String> = numbers.into_iter().flatten().collect();
    let per = limit.per.as_ref().map_or_else(String::new, |per| format!(" for each {per}"));
    format!("{}: {}{per}, of {}", limit.name, numbers.join(", "), limit.steps.join(", "))
}

fn places(limit: &Limit, view: &KeyView, width: usize) -> String {
    let on = match (limit.per.as_deref(), view.key.as_str()) {
        (_, "") => "all together".to_owned(),
        (Some(PER_OWNER), key) => format!("for {key}"),
        (_, key) => format!("on {key}"),
    };
    let settling = match view.settling {
        true => "; a new keeper hears first who is at work, and gives no place before",
        false => "",
    };
    let (held, waiting) = (view.at_work.len(), view.waiting.len());
    let head = format!("{on}: {held} at work, {waiting} waiting{settling}");
    let at_work = view.at_work.iter().map(|place| row("at work", place));
    let waiting = view.waiting.iter().enumerate();
    let waiting = waiting.map(|(number, place)| row(&(number + 1).to_string(), place));
    let rows: Vec<[String; 4]> = at_work.chain(waiting).collect();
    let table = table(["PLACE", "NAME", "FOR", "STEP"], &rows, width.saturating_sub(4));
    let table: Vec<String> = table.lines().map(|line| format!("    {line}")).collect();
    format!("{}\n{}", hanging("  ", &head, width, 4), table.join("\n"))
}

fn row(place: &str, view: &PlaceView) -> [String; 4] {
    let how = match (view.undo, view.priority.is_usual()) {
        (true, _) => ", takes back".to_owned(),
        (false, false) => format!(", {} priority", view.priority.word()),
        (false, true) => String::new(),
    };
    [
        place.to_owned(),
        format!("{}/{}", view.owner, view.name),
        span(Duration::from_millis(view.for_ms)),
        format!("{}{how} [{}]", view.what, view.step.run),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stead_schemas::limit::LimitView;

    use super::told;

    fn place(name: &str, undo: bool) -> Value {
        json!({
            "step": { "run": "workspace-27ytv97dprxd6njw-1", "seq": 7 }, "what": "proxmox.clone-vm",
            "owner": "john", "name": name, "undo": undo, "for_ms": 12_000,
        })
    }

    #[test]
    fn who_is_at_work_and_who_waits_is_told_in_order() {
        let limits: Vec<LimitView> = serde_json::from_value(json!([{
            "limit": {
                "name": "clones per node", "steps": ["proxmox.clone-vm"], "per": "node", "at_once": 1,
            },
            "keys": [{
                "key": "pve1", "at_work": [place("dev", false)],
                "waiting": [place("gone", true), place("x", false)],
            }],
        }]))
        .expect("a view");
        let lines = [
            "clones per node: 1 at once for each node, of proxmox.clone-vm",
            "  on pve1: 1 at work, 2 waiting",
            "    PLACE    NAME       FOR     STEP",
            "    at work  john/dev   12.0 s  proxmox.clone-vm [workspace-27ytv97dprxd6njw-1]",
            "    1        john/gone  12.0 s  proxmox.clone-vm, takes back [workspace-27ytv97dprxd6njw-1]",
            "    2        john/x     12.0 s  proxmox.clone-vm [workspace-27ytv97dprxd6njw-1]",
        ];
        assert_eq!(told(&limits, 120), lines.join("\n"));
        assert!(told(&limits, 60).lines().all(|line| line.chars().count() <= 60));
    }
}
