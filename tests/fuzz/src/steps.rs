//! What the steps of workers are asked: a line with the name of a step, and then its request. It is
//! read, and begun if it can be; nothing is carried out.

use std::sync::{Arc, LazyLock};

use serde_json::Value;
use stead_runtime::worker::{AnyWorker, StepContext};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_workers::{Workers, WorkersConfig};

static WORKERS: LazyLock<Vec<Arc<dyn AnyWorker>>> = LazyLock::new(|| {
    // Whoever was before us has chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config: WorkersConfig = serde_json::from_value(serde_json::json!({
        "vault": {
            "address": "http://vault.lan",
            "login": { "by": "app-role", "role_id": "r", "secret_id": "s" },
        },
        "proxmox": { "address": "http://pve.lan" },
        "truenas": { "address": "wss://nas.lan/api/current" },
        "coder": { "address": "http://coder.lan" },
        "forgejo": { "address": "http://git.lan" },
        "authentik": { "address": "http://who.lan" },
        "kubernetes": { "address": "http://k8s.lan", "registry": "http://registry.lan" },
        "s3": { "admin": "http://s3.lan", "address": "http://s3.lan", "region": "garage" },
    }))
    .expect("a configuration");
    Workers::new(config).expect("clients").all()
});

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (step, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (Ok(step), Ok(request)) = (str::from_utf8(step), serde_json::from_slice::<Value>(body))
    else {
        return;
    };
    let owner = Owner::new("john").expect("a name");
    let run = EntityKey::of("workspace", &owner, "dev").run(1);
    for worker in &*WORKERS {
        let begun = worker.begin(step, StepContext::unwatched(run.clone()), request.clone());
        drop(begun);
    }
}
