//! What Authentik shows of users, groups and pages.

use serde_json::{Value, json};

use super::state::{Group, State, User};
use crate::net::{Answer, Call};

/// One page of a list. The numbers of pages before and after it are 0 where there is none.
pub(super) fn page(
    call: &Call,
    count: usize,
    first: usize,
    size: usize,
    results: Vec<Value>,
) -> Answer {
    let current: usize = call.query("page").and_then(|text| text.parse().ok()).unwrap_or(1);
    let total = count.div_ceil(size).max(1);
    let next = if current < total { current + 1 } else { 0 };
    let (start, end) = if results.is_empty() { (0, 0) } else { (first + 1, first + results.len()) };
    let pagination = json!({
        "next": next, "previous": current - 1, "count": count, "current": current,
        "total_pages": total, "start_index": start, "end_index": end,
    });
    let body = json!({ "pagination": pagination, "results": results, "autocomplete": {} });
    Answer::json(200, body)
}

pub(super) fn user(directory: &State, user: &User, shows_groups: bool) -> Value {
    let groups: Vec<&Group> =
        directory.groups.iter().filter(|group| user.groups.contains(&group.pk)).collect();
    let objects: Vec<Value> = groups.iter().map(|group| partial_group(group)).collect();
    let joined = user.joined.to_rfc3339();
    json!({
        "pk": user.pk, "username": user.username, "name": user.username, "is_active": user.is_active,
        "last_login": null, "date_joined": joined, "is_superuser": groups.iter().any(|g| g.rules),
        "groups": user.groups, "groups_obj": shows_groups.then_some(objects), "roles": [],
        "roles_obj": null, "email": user.email(), "avatar": "", "attributes": {}, "uid": user.uid,
        "path": "users", "type": user.kind, "uuid": user.uuid, "password_change_date": joined,
        "last_updated": joined,
    })
}

/// What somebody sees of himself.
pub(super) fn session(user: &User) -> Value {
    let user = json!({
        "pk": user.pk, "username": user.username, "name": user.username, "is_active": user.is_active,
        "is_superuser": false, "groups": [], "roles": [], "email": user.email(), "avatar": "",
        "uid": user.uid, "settings": {}, "type": user.kind, "system_permissions": [],
    });
    json!({ "user": user })
}

pub(super) fn group(directory: &State, group: &Group, shows_users: bool) -> Value {
    let members: Vec<&User> =
        directory.users.iter().filter(|user| user.groups.contains(&group.pk)).collect();
    let pks: Vec<i64> = members.iter().map(|user| user.pk).collect();
    let objects: Vec<Value> = members.iter().map(|user| partial_user(user)).collect();
    json!({
        "pk": group.pk, "num_pk": group.num_pk, "name": group.name, "is_superuser": group.rules,
        "parents": [], "parents_obj": null, "users": pks,
        "users_obj": shows_users.then_some(objects), "attributes": {}, "roles": [], "roles_obj": [],
        "inherited_roles_obj": null, "children": [], "children_obj": null,
    })
}

fn partial_group(group: &Group) -> Value {
    json!({
        "pk": group.pk, "num_pk": group.num_pk, "name": group.name, "is_superuser": group.rules,
        "attributes": {},
    })
}

fn partial_user(user: &User) -> Value {
    json!({
        "pk": user.pk, "username": user.username, "name": user.username, "is_active": user.is_active,
        "last_login": null, "email": user.email(), "attributes": {}, "uid": user.uid,
    })
}
