//! What is done for each step.

use std::collections::BTreeSet;

use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::authentik::{
    FindUser, FoundUser, ListUsers, ListedUsers, SUBJECTS_MAX, User,
};

use super::client::{Account, Authentik, Client};

/// How many users stand on a page; Authentik shows no more.
const PAGE: &str = "100";
/// How many pages are read before everybody who is missing still is asked for by himself.
const PAGES_MAX: u32 = 50;

/// Somebody by his subject, or by his name as it is written. Nobody is found only by a token that
/// may see somebody.
pub(super) async fn find_user(
    client: Client,
    _: StepContext,
    ask: FindUser,
) -> Result<FoundUser, Failure> {
    let authentik = client.open(&ask.login).await?;
    let shows_groups = if ask.groups.is_empty() { "false" } else { "true" };
    let user = match &ask.subject {
        Some(subject) => by_subject(&authentik, subject, shows_groups).await?,
        None => by_name(&authentik, &ask.username, shows_groups).await?,
    };
    if user.is_none() {
        must_see_somebody(&authentik).await?;
    }
    Ok(FoundUser { user: user.map(|user| of_groups(user, &ask.groups)) })
}

/// The user, with those of these groups that he is in: what else he belongs to is nobody's business here.
fn of_groups(user: User, asked: &[String]) -> User {
    let groups = user.groups.into_iter().filter(|group| asked.contains(group)).collect();
    User { groups, ..user }
}

/// Everybody who is asked for, by pages. Pages shift while they are read, so that somebody may be on
/// none of them: whoever is missing is asked for by himself before that is an answer.
pub(super) async fn list_users(
    client: Client,
    cx: StepContext,
    ask: ListUsers,
) -> Result<ListedUsers, Failure> {
    if ask.subjects.len() > SUBJECTS_MAX {
        let words = format!("{SUBJECTS_MAX} users may be asked for at once");
        return Err(Failure::new(Class::Permanent, words));
    }
    let authentik = client.open(&ask.login).await?;
    let mut missing: BTreeSet<String> = ask.subjects.into_iter().collect();
    must_see_somebody(&authentik).await?;
    let mut users = by_pages(&authentik, &cx, &mut missing).await?;
    for subject in missing {
        cx.still_wanted()?;
        users.extend(by_subject(&authentik, &subject, "false").await?);
    }
    users.sort_by(|one, other| one.subject.cmp(&other.subject));
    Ok(ListedUsers { users })
}

async fn by_pages(
    authentik: &Authentik,
    cx: &StepContext,
    missing: &mut BTreeSet<String>,
) -> Result<Vec<User>, Failure> {
    let mut users = Vec::new();
    let mut number = 1;
    while number != 0 && number <= PAGES_MAX && !missing.is_empty() {
        cx.still_wanted()?;
        let page = number.to_string();
        // Whoever joins comes last, so that nobody before him moves.
        let query = [
            ("ordering", "date_joined"),
            ("include_groups", "false"),
            ("page_size", PAGE),
            ("page", &page),
        ];
        let Some(page) = authentik.users(&query).await? else { break };
        let wanted = page.results.into_iter().filter(|account| missing.remove(&account.uuid));
        users.extend(wanted.map(user));
        number = if page.pagination.next > number { page.pagination.next } else { 0 };
    }
    Ok(users)
}

async fn by_subject(
    authentik: &Authentik,
    subject: &str,
    shows_groups: &str,
) -> Result<Option<User>, Failure> {
    let page = authentik.users(&[("uuid", subject), ("include_groups", shows_groups)]).await?;
    let found = page.into_iter().flat_map(|page| page.results);
    Ok(found.into_iter().find(|account| account.uuid == subject).map(user))
}

async fn by_name(
    authentik: &Authentik,
    name: &str,
    shows_groups: &str,
) -> Result<Option<User>, Failure> {
    let query = [("username", name), ("include_groups", shows_groups), ("page_size", PAGE)];
    let page = authentik.users(&query).await?;
    let found = page.into_iter().flat_map(|page| page.results);
    Ok(found.into_iter().find(|account| account.username == name).map(user))
}

/// A token without the permission to see users is shown an empty list and not a refusal. That nobody
/// is there at all cannot be: the token is somebody's.
async fn must_see_somebody(authentik: &Authentik) -> Result<(), Failure> {
    let page = authentik.users(&[("include_groups", "false"), ("page_size", "1")]).await?;
    if page.is_some_and(|page| page.pagination.count > 0) {
        return Ok(());
    }
    let words = "Authentik shows us no users at all; our token needs the permission to view them";
    Err(Failure::new(Class::Auth, words))
}

fn user(account: Account) -> User {
    let groups = account.groups_obj.into_iter().flatten();
    User {
        subject: account.uuid,
        username: account.username,
        is_active: account.is_active,
        groups: groups.map(|group| group.name).collect(),
    }
}
