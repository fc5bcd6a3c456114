//! Workspaces, builds, users and templates as the API shows them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::state::{Build, JobStatus, State, Template, Workspace};

/// The one organization.
pub(super) const ORGANIZATION: &str = "default";

pub(super) fn workspace(state: &State, workspace: &Workspace) -> Value {
    let latest = workspace.latest();
    let failing: Vec<Uuid> = latest
        .agent
        .iter()
        .filter(|agent| agent.status() == "disconnected")
        .map(|agent| agent.id)
        .collect();
    let mut shape = json!({
        "id": workspace.id, "name": workspace.name, "created_at": workspace.created,
        "updated_at": latest.created, "last_used_at": workspace.used.max(latest.created),
        "owner_id": workspace.owner_id, "owner_name": workspace.owner, "owner_avatar_url": "",
        "organization_id": state.organization, "organization_name": ORGANIZATION,
        "template_id": workspace.template.id, "template_name": workspace.template.name, "template_display_name": "Stead machine",
        "template_icon": "", "template_active_version_id": state.active_of(&workspace.template),
        "template_allow_user_cancel_workspace_jobs": true, "template_require_active_version": false,
        "template_use_classic_parameter_flow": false,
        "latest_build": build(state, workspace, latest), "latest_app_status": null,
        "outdated": latest.version != state.active_of(&workspace.template),
        "autostart_schedule": null, "ttl_ms": workspace.ttl_ms, "deleting_at": null, "dormant_at": null,
        "next_start_at": null, "health": { "healthy": failing.is_empty(), "failing_agents": failing },
        "automatic_updates": "never", "allow_renames": false, "favorite": false, "is_prebuild": false,
        "shared_with": [], "task_id": null,
    });
    omit_nulls(&mut shape, &["autostart_schedule", "ttl_ms"]);
    shape
}

pub(super) fn build(state: &State, workspace: &Workspace, build: &Build) -> Value {
    json!({
        "id": build.id, "build_number": build.number, "created_at": build.created,
        "updated_at": build.completed.or(build.started).unwrap_or(build.created),
        "workspace_id": workspace.id, "workspace_name": workspace.name,
        "workspace_owner_id": workspace.owner_id, "workspace_owner_name": workspace.owner,
        "workspace_owner_avatar_url": "",
        "template_version_id": build.version, "template_version_name": state.version_name(build.version),
        "template_version_preset_id": null,
        "transition": build.transition.word(), "initiator_id": state.users.get(super::state::ME),
        "initiator_name": super::state::ME, "job": job(state, workspace, build), "reason": "initiator",
        "resources": resources(build), "status": build.status(), "daily_cost": 0, "deadline": null,
        "max_deadline": null, "has_ai_task": false, "has_external_agent": false,
        "matched_provisioners": { "count": 1, "available": 1, "most_recently_seen": Utc::now() },
    })
}

fn job(state: &State, workspace: &Workspace, build: &Build) -> Value {
    let cancel = matches!(build.status, JobStatus::Canceling | JobStatus::Canceled);
    let canceled: Option<DateTime<Utc>> = build.completed.filter(|_| cancel);
    let mut job = json!({
        "id": build.job, "created_at": build.created, "started_at": build.started,
        "completed_at": build.completed, "canceled_at": canceled, "status": build.status.word(),
        "error": build.error, "worker_id": build.started.map(|_| state.organization),
        "worker_name": "lab-provisioner", "file_id": build.version, "initiator_id": state.users.get(super::state::ME),
        "tags": { "owner": "", "scope": "organization" }, "queue_position": 0, "queue_size": 0,
        "organization_id": state.organization, "type": "workspace_build", "available_workers": [],
        "input": { "workspace_build_id": build.id }, "logs_overflowed": false,
        "metadata": {
            "template_id": workspace.template.id, "template_name": workspace.template.name, "template_display_name": "Stead machine",
            "template_icon": "", "template_version_name": state.version_name(build.version), "workspace_id": workspace.id,
            "workspace_name": workspace.name, "workspace_build_transition": build.transition.word(),
        },
    });
    if build.error.is_empty() {
        job["error"] = Value::Null;
    }
    omit_nulls(&mut job, &["started_at", "completed_at", "canceled_at", "error", "worker_id"]);
    job
}

/// What is unknown is left out of these fields; in others it is `null`.
pub(super) fn omit_nulls(shape: &mut Value, names: &[&str]) {
    if let Some(fields) = shape.as_object_mut() {
        fields.retain(|name, value| !value.is_null() || !names.contains(&name.as_str()));
    }
}

fn resources(build: &Build) -> Value {
    let done = build.status == JobStatus::Succeeded;
    let Some(agent) = build.agent.as_ref().filter(|_| done) else {
        return json!([]);
    };
    json!([{
        "id": build.resource, "created_at": build.completed, "job_id": build.job,
        "workspace_transition": build.transition.word(), "type": "null_resource", "name": "machine",
        "hide": false, "icon": "", "daily_cost": 0, "metadata": [], "agents": [agent.shape(build.resource)],
    }])
}

pub(super) fn user(state: &State, name: &str, id: Uuid) -> Value {
    let status = if state.suspended.contains(name) { "suspended" } else { "active" };
    json!({
        "id": id, "username": name, "name": name, "email": format!("{name}@lab.invalid"), "avatar_url": "",
        "created_at": state.born, "updated_at": state.born, "last_seen_at": state.born, "status": status,
        "login_type": "password", "theme_preference": "", "organization_ids": [state.organization],
        "roles": [], "is_service_account": false, "has_ai_seat": false,
    })
}

pub(super) fn organization(state: &State) -> Value {
    json!({
        "id": state.organization, "name": ORGANIZATION, "display_name": "Default", "description": "",
        "icon": "", "created_at": state.born, "updated_at": state.born, "is_default": true,
        "default_org_member_roles": [],
    })
}

pub(super) fn template(state: &State, template: &Template) -> Value {
    json!({
        "id": template.id, "created_at": state.born, "updated_at": state.born, "name": template.name,
        "organization_id": state.organization, "organization_name": ORGANIZATION,
        "organization_display_name": "Default", "organization_icon": "", "display_name": "Stead machine",
        "provisioner": "terraform", "active_version_id": template.version, "active_user_count": 0,
        "build_time_stats": { "start": { "P50": 900, "P95": 1200 }, "stop": { "P50": 300, "P95": 400 }, "delete": { "P50": 300, "P95": 400 } },
        "description": "A machine that Stead made", "deprecated": false, "deprecation_message": "", "deleted": false,
        "icon": "", "default_ttl_ms": 0, "activity_bump_ms": 0,
        "autostop_requirement": { "days_of_week": [], "weeks": 1 }, "autostart_requirement": { "days_of_week": [] },
        "created_by_id": state.users.get(super::state::ME), "created_by_name": super::state::ME,
        "allow_user_autostart": true, "allow_user_autostop": true, "allow_user_cancel_workspace_jobs": true,
        "failure_ttl_ms": 0, "time_til_dormant_ms": 0, "time_til_dormant_autodelete_ms": 0,
        "time_til_autostop_notify_ms": 0, "require_active_version": false, "max_port_share_level": "owner",
        "use_classic_parameter_flow": false, "cors_behavior": "simple", "disable_module_cache": false,
        "agents_allowed": true,
    })
}
