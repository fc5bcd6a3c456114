//! Logging in, and what the system says of itself.

use std::sync::atomic::Ordering;

use chrono::Utc;
use serde_json::{Value, json};

use super::methods::{Reply, fields};
use super::query;
use super::rpc::{EBUSY, EINVAL, RpcError};
use super::session::Session;
use crate::world::{NAS_USER, World};

pub(super) fn login(world: &World, session: &Session, params: &[Value]) -> Result<Reply, RpcError> {
    if world.faults.fires("truenas", "rate-limited") {
        return Err(RpcError::call(EBUSY, "Rate Limit Exceeded"));
    }
    let data =
        fields(params, 0, &["mechanism"], &["api_key", "login_options", "password", "username"])?;
    let part = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    if !matches!(
        part("mechanism"),
        "API_KEY_PLAIN" | "PASSWORD_PLAIN" | "TOKEN_PLAIN" | "OTP_TOKEN"
    ) {
        return Err(RpcError::field(
            "login_data.mechanism",
            "Input tag found does not match any of the expected tags",
            EINVAL,
        ));
    }
    let good = part("mechanism") == "API_KEY_PLAIN"
        && part("username") == NAS_USER
        && part("api_key") == world.secrets.nas_key;
    if !good || world.faults.fires("truenas", "key-revoked") {
        return Ok(json!({ "response_type": "AUTH_ERR" }).into());
    }
    session.authenticated.store(true, Ordering::Release);
    Ok(json!({ "response_type": "SUCCESS", "user_info": user_info(), "authenticator": "LEVEL_1" })
        .into())
}

pub(super) fn user_info() -> Value {
    json!({
        "pw_name": NAS_USER, "pw_gecos": "Stead", "pw_dir": "/var/empty", "pw_shell": "/usr/sbin/nologin",
        "pw_uid": 3000, "pw_gid": 3000, "grouplist": [3000], "sid": null, "source": "LOCAL", "local": true,
        "attributes": {}, "two_factor_config": {}, "privilege": { "roles": {}, "allowlist": [] },
        "account_attributes": ["SYS_ADMIN", "LOCAL", "API_KEY"],
    })
}

/// The keys of whoever is logged in: the one that Stead has.
pub(super) fn keys(world: &World) -> Value {
    let ends = world.read(|state| state.logins_end.get("truenas").copied());
    let id = world.secrets.nas_key.split('-').next().and_then(|id| id.parse::<u64>().ok());
    json!([{
        "id": id, "name": "stead", "username": NAS_USER, "user_identifier": 3000, "keyhash": "********",
        "created_at": { "$date": 0 }, "local": true, "revoked": false, "revoked_reason": null,
        "expires_at": ends.map(|ends| json!({ "$date": ends.timestamp_millis() })),
    }])
}

pub(super) fn set_options(session: &Session, params: &[Value]) -> Result<Reply, RpcError> {
    let options = fields(params, 0, &[], &["legacy_jobs", "private_methods", "py_exceptions"])?;
    if let Some(legacy) = options.get("legacy_jobs").and_then(Value::as_bool) {
        session.legacy_jobs.store(legacy, Ordering::Release);
    }
    let legacy = session.legacy_jobs.load(Ordering::Acquire);
    Ok(json!({ "legacy_jobs": legacy, "private_methods": false, "py_exceptions": false }).into())
}

pub(super) fn info() -> Value {
    let now = json!({ "$date": Utc::now().timestamp_millis() });
    json!({
        "version": "25.10.5", "buildtime": now, "hostname": "nas", "physmem": 64_u64 << 30,
        "model": "AMD EPYC", "cores": 16, "physical_cores": 8, "loadavg": [0.1, 0.1, 0.1],
        "uptime": "11 days, 13:46:40", "uptime_seconds": 1_000_000.0, "system_serial": "LAB0001",
        "system_product": "lab", "system_product_version": "1", "license": null, "boottime": now,
        "datetime": now, "timezone": "UTC", "system_manufacturer": "lab", "ecc_memory": true,
    })
}

pub(super) fn pools(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let (used, size): (u64, u64) = world.read(|state| {
        let nas = &state.truenas;
        (nas.datasets.values().map(|dataset| dataset.used).sum(), nas.pool_bytes)
    });
    let full = world.faults.holds("truenas", "pool-full");
    let allocated = if full { size } else { used.min(size) };
    let free = size - allocated;
    let pool = json!({
        "id": 1, "name": "tank", "guid": "4711247114711", "status": "ONLINE", "path": "/mnt/tank",
        "scan": null, "expand": null, "is_upgraded": true, "healthy": true, "warning": false,
        "status_code": "OK", "status_detail": null, "size": size, "allocated": allocated,
        "free": free, "freeing": 0, "dedup_table_size": 0, "dedup_table_quota": "auto",
        "fragmentation": "1", "size_str": size.to_string(), "allocated_str": allocated.to_string(),
        "free_str": free.to_string(), "freeing_str": "0",
        "autotrim": { "parsed": "off", "rawvalue": "off", "value": "off", "source": "DEFAULT" },
        "topology": { "data": [], "log": [], "cache": [], "spare": [], "special": [], "dedup": [] },
    });
    query::run(vec![pool], params)
}
