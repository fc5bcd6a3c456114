//! `stead pool`: gives commands to pools, and says how they stand.

use stead_schemas::command::pool::{PoolView, SpareView};
use stead_schemas::public::RunView;
use stead_schemas::step::pool::KIND;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;

use super::entities::{show, tabulate};
use super::give::{Ending, Order, Told, give};
use super::run::find;
use crate::cli::Global;
use crate::cli::pool::{Pool, Verb};
use crate::exit::Ended;
use crate::output;
use crate::story::table::{sheet, table};
use crate::story::words::span;

/// The columns of a list.
const HEAD: [&str; 5] = ["POOL", "READY", "MAKING", "GIVEN", "TROUBLE"];

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Pool) -> Result<(), Ended> {
    let owner = find::owner(Some(PLATFORM))?;
    let (command, verb, fields) = match &options.verb {
        Verb::List => {
            let none = "there is no pool; write a [[pool]] into the configuration";
            return tabulate(global, KIND, none, (HEAD, |view, _| row(view))).await;
        }
        Verb::Show { name } => {
            return show(global, (KIND, &owner), name, |run, pool, now, _| {
                shown(&run.summary.name, pool, now)
            })
            .await;
        }
        Verb::Resize { command, ready } => {
            (command, "resize", command.fields().number("ready", ready.as_ref()))
        }
        Verb::Drain(command) => (command, "drain", command.fields()),
    };
    let told = Told::Shown(told);
    give(global, &Order { owner: &owner, kind: KIND, verb, command, fields, told }).await
}

fn told(ending: &Ending<'_>) -> String {
    let view = ending.view.as_ref().and_then(pool_of);
    view.map_or_else(|| "done".to_owned(), |pool| standing(ending.name, &pool))
}

fn pool_of(view: &RunView) -> Option<PoolView> {
    serde_json::from_value(view.view.clone()).ok()
}

fn standing(name: &str, pool: &PoolView) -> String {
    let PoolView { wanted, ready, making, .. } = pool;
    let hand = if pool.by_hand { ", as somebody has said by hand" } else { "" };
    format!("{name} keeps {wanted} ready{hand}: {ready} are, and {making} are being made")
}

fn row(view: &RunView) -> [String; 5] {
    let name = view.summary.name.clone();
    match pool_of(view) {
        Some(pool) => [
            name,
            format!("{} of {}", pool.ready, pool.wanted),
            pool.making.to_string(),
            pool.given.to_string(),
            pool.trouble.unwrap_or_default(),
        ],
        None => [name, String::new(), String::new(), String::new(), view.summary.phase.clone()],
    }
}

fn shown(name: &str, pool: &PoolView, now: Timestamp) -> String {
    let mut text = standing(name, pool);
    let mut more = vec![("given away", pool.given.to_string())];
    more.extend(pool.trouble.clone().map(|trouble| ("trouble", trouble)));
    more.extend(pool.again_at.map(|at| ("tried again", format!("in {}", span(at.since(now))))));
    text.push_str(&format!("\n{}", sheet(&more)));
    if !pool.spares.is_empty() {
        let row = |spare: &SpareView| {
            let vmid = spare.vmid.map_or_else(String::new, |vmid| vmid.to_string());
            let node = spare.node.clone().unwrap_or_default();
            [spare.name.clone(), spare.phase.clone(), vmid, node]
        };
        let rows: Vec<_> = pool.spares.iter().map(row).collect();
        let spares = table(["SPARE", "PHASE", "VMID", "NODE"], &rows, output::width());
        text.push_str(&format!("\n\n{spares}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use stead_schemas::command::pool::{PoolView, SpareView};
    use stead_schemas::time::Timestamp;

    use super::shown;

    #[test]
    fn a_pool_says_what_it_has_and_why_it_has_no_more() {
        let spare = SpareView {
            name: "debian-1".to_owned(),
            phase: "ready".to_owned(),
            vmid: Some(10_000),
            node: Some("pve1".to_owned()),
        };
        let pool = PoolView {
            wanted: 2,
            by_hand: true,
            ready: 1,
            making: 0,
            given: 7,
            spares: vec![spare],
            trouble: Some("no node has room".to_owned()),
            again_at: Some(Timestamp::from_millis(60_000)),
        };
        let told = shown("debian", &pool, Timestamp::from_millis(0));
        let lines: Vec<_> = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "debian keeps 2 ready, as somebody has said by hand: 1 are, and 0 are being made",
                "given away 7",
                "trouble no node has room",
                "tried again in 1 min 0 s",
                "",
                "SPARE PHASE VMID NODE",
                "debian-1 ready 10000 pve1",
            ]
        );
    }
}
