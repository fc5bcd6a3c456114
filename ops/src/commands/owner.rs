//! `stead owner`: who owns workspaces, and whether he still may.

use serde_json::{Map, Value, json};
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::people::{KIND, NAME, OwnedWorkspace, OwnerView, PeopleView, Standing};
use stead_schemas::command::workspace;
use stead_schemas::public::RunSummary;
use stead_schemas::step::vmids::PLATFORM;
use stead_schemas::time::Timestamp;

use super::give;
use super::run::{client, find};
use crate::cli::Global;
use crate::cli::owner::Owner;
use crate::exit::Ended;
use crate::output;
use crate::story::table::{sheet, table};
use crate::story::words::{counted, span};

/// How many workspaces one command can name.
const WORKSPACES_MAX: usize = 500;

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Owner) -> Result<(), Ended> {
    let client = client(global).await?;
    match verb {
        Owner::List => list(global, &client).await,
        Owner::Show { owner } => show(global, &client, owner).await,
        Owner::Look => look(global, &client).await,
        Owner::Confirm { why } => {
            order(global, &client, "confirm", json!({ "why": why })).await?;
            look(global, &client).await
        }
        Owner::Forget { owner, why, dry_run: true } => {
            let fields = json!({ "name": NAME, "owner": owner, "why": why });
            let fields = fields.as_object().cloned().unwrap_or_default();
            let platform = find::owner(Some(PLATFORM))?;
            let reply = client.rehearse(&platform, KIND, "forget", &fields).await?;
            give::tell_rehearsal(global, reply, &format!("to forget {owner}"))
        }
        Owner::Forget { owner, why, dry_run: false } => {
            // Machines that nobody looks after yet would be those of the next one of that name.
            ask_of_all(global, &client).await?;
            order(global, &client, "forget", json!({ "owner": owner, "why": why })).await?;
            if !global.json {
                output::line(&format!("it is forgotten who {owner} was"));
            }
            Ok(())
        }
    }
}

/// Gives a command and tells what came of it, for machines.
async fn order(
    global: &Global,
    client: &SteadClient,
    verb: &str,
    fields: Value,
) -> Result<Value, Ended> {
    let mut fields: Map<String, Value> = fields.as_object().cloned().unwrap_or_default();
    fields.insert("name".to_owned(), json!(NAME));
    let (_, result) = give::carry_out(global, client, (KIND, verb), &fields).await?;
    Ok(result)
}

/// Asks Authentik, and lists what it said.
async fn look(global: &Global, client: &SteadClient) -> Result<(), Ended> {
    ask_of_all(global, client).await?;
    list(global, client).await
}

/// Asks Authentik, and has workspaces looked after that are older than that is known.
async fn ask_of_all(global: &Global, client: &SteadClient) -> Result<(), Ended> {
    let lines = client.list_kind(workspace::KIND, None).await?;
    let known = seen(client).await?;
    let unknown = lines.iter().filter(|line| is_unwatched(line, &known)).take(WORKSPACES_MAX);
    let workspaces: Vec<OwnedWorkspace> = unknown
        .map(|line| OwnedWorkspace { owner: line.owner.clone(), workspace: line.name.clone() })
        .collect();
    let fields = match workspaces.is_empty() {
        true => json!({}),
        false => json!({ "workspaces": workspaces }),
    };
    order(global, client, "look", fields).await.map(drop)
}

/// Whether it is a workspace that nobody looks after yet.
fn is_unwatched(line: &RunSummary, known: &PeopleView) -> bool {
    let lives = line.state.lives();
    let is_known = |one: &OwnerView| one.owner == line.owner && one.workspaces.contains(&line.name);
    let goes = ["deleted", "deleting", "failed"].contains(&line.phase.as_str());
    lives && !goes && !known.owners.iter().any(is_known)
}

async fn seen(client: &SteadClient) -> Result<PeopleView, Ended> {
    let lines = client.list_kind(KIND, None).await?;
    let latest = lines.iter().max_by_key(|line| line.run.life());
    let view = match latest {
        Some(line) => find::view(client, &line.run).await?.view,
        None => Value::Null,
    };
    Ok(serde_json::from_value(view).unwrap_or_default())
}

async fn list(global: &Global, client: &SteadClient) -> Result<(), Ended> {
    let view = seen(client).await?;
    if global.json {
        output::json(&view);
        return Ok(());
    }
    let now = SystemClock.now();
    match view.owners.is_empty() {
        true => output::line(
            "no owner is known; each is when his first workspace is made, where the site has an \
             [authentik] section",
        ),
        false => output::line(&told(&view.owners, now, output::width())),
    }
    for words in remarks(&view, now) {
        output::note(&words);
    }
    Ok(())
}

/// What somebody should know of all of them.
fn remarks(view: &PeopleView, now: Timestamp) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(trouble) = &view.trouble {
        let when = view.looked_at.map(|at| format!("{} ago", span(now.since(at))));
        let when = when.unwrap_or_else(|| "never".to_owned());
        remarks.push(format!("{trouble}; Authentik last said something {when}"));
    }
    let renamed: Vec<String> = view
        .owners
        .iter()
        .filter_map(|one| Some(format!("{} ({})", one.owner, new_name(one)?)))
        .collect();
    if !renamed.is_empty() {
        remarks
            .push(format!("called otherwise at Authentik by now: {}. {STAYS}", renamed.join(", ")));
    }
    if !view.doubted.is_empty() {
        let names: Vec<&str> = view.doubted.iter().map(|owner| owner.as_str()).collect();
        let many = counted(names.len() as u64, "owner");
        remarks.push(format!(
            "Authentik says that {many} would be disabled at once: {}. Nothing is stopped until \
             `stead owner confirm`",
            names.join(", ")
        ));
    }
    remarks
}

/// What of an owner's does not follow when he is renamed.
const STAYS: &str = "What they own keeps the old name: workspaces, home, buckets, tokens, schedules, \
                     limits, keys in Vault, the user in Coder, and what may be asked for on the bus";

/// What he is called, where that is not what he owns things as.
fn new_name(one: &OwnerView) -> Option<&str> {
    one.username.as_deref().filter(|called| *called != one.owner.as_str())
}

fn told(owners: &[OwnerView], now: Timestamp, width: usize) -> String {
    let rows: Vec<[String; 5]> = owners
        .iter()
        .map(|one| {
            [
                one.owner.to_string(),
                one.standing.word().to_owned(),
                span(now.since(one.since)),
                one.username.clone().unwrap_or_else(|| "not seen yet".to_owned()),
                one.workspaces.join(", "),
            ]
        })
        .collect();
    table(["OWNER", "STANDING", "FOR", "CALLED", "WORKSPACES"], &rows, width)
}

async fn show(global: &Global, client: &SteadClient, owner: &str) -> Result<(), Ended> {
    let view = seen(client).await?;
    let found = view.owners.into_iter().find(|one| one.owner.as_str() == owner);
    let Some(one) = found else {
        return Err(Ended::Failed(format!(
            "no owner {owner} is known; `stead owner list` names all"
        )));
    };
    if global.json {
        output::json(&one);
        return Ok(());
    }
    let note = new_name(&one).map(|_| STAYS);
    let since = span(SystemClock.now().since(one.since));
    let may = match one.standing {
        Standing::Active => "his workspaces may run",
        Standing::Disabled | Standing::Unknown => "his workspaces are stopped, and kept",
    };
    output::line(&sheet(&[
        ("owner", one.owner.to_string()),
        ("standing", format!("{} for {since}: {may}", one.standing.word())),
        ("subject", one.subject.unwrap_or_else(|| "not seen yet".to_owned())),
        ("called", one.username.unwrap_or_else(|| "not seen yet".to_owned())),
        ("workspaces", one.workspaces.join(", ")),
    ]));
    note.into_iter().for_each(output::note);
    Ok(())
}

#[cfg(test)]
mod tests {
    use stead_schemas::command::people::{OwnerView, PeopleView, Standing};
    use stead_schemas::owner::Owner;
    use stead_schemas::time::Timestamp;

    use super::{remarks, told};

    fn owner(name: &str) -> Owner {
        Owner::new(name).expect("a name")
    }

    #[test]
    fn each_owner_shows_who_he_is_and_what_is_in_doubt_is_said() {
        let one = OwnerView {
            owner: owner("john"),
            subject: Some("s".to_owned()),
            username: Some("johnny".to_owned()),
            standing: Standing::Disabled,
            since: Timestamp::from_millis(0),
            workspaces: vec!["dev".to_owned(), "ml".to_owned()],
        };
        let now = Timestamp::from_millis(60_000);
        let line = told(std::slice::from_ref(&one), now, 100);
        for words in ["john ", "disabled", "johnny", "dev, ml"] {
            assert!(line.contains(words), "{line}");
        }
        let same = OwnerView { username: Some("john".to_owned()), ..one.clone() };
        let mut view = PeopleView { owners: vec![same], ..PeopleView::default() };
        assert!(remarks(&view, now).is_empty());
        view.owners = vec![one];
        let renamed = remarks(&view, now).remove(0);
        for words in ["by now: john (johnny). ", "keeps the old name", "the user in Coder"] {
            assert!(renamed.contains(words), "{renamed}");
        }
        view.owners.clear();
        view.doubted = ["a", "b", "c", "d"].map(owner).into();
        view.trouble = Some("it is not known who is disabled: it is away".to_owned());
        let said = remarks(&view, now);
        assert!(said[0].contains("it is away; Authentik last said something never"), "{said:?}");
        assert!(said[1].contains("4 owners would be disabled at once: a, b, c, d"), "{said:?}");
    }
}
