//! Proxmox VE through its own API.

use stead_lab::CallFault;

use crate::rig::{Answer, Rig, send, text, verb};

const CLONE: &str = "/nodes/pve1/qemu/9000/clone";

async fn call(rig: &Rig, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    rig.pve(method, path, form).await.expect("an answer")
}

async fn clone(rig: &Rig, vmid: &str) -> String {
    rig.task(
        "POST",
        CLONE,
        &[("newid", vmid), ("full", "1"), ("name", "ws"), ("description", "run-1")],
    )
    .await
}

#[tokio::test]
async fn a_machine_is_cloned_configured_started_and_destroyed() {
    let rig = Rig::start().await;
    assert_eq!(text(&call(&rig, "GET", "/cluster/nextid", &[]).await.body["data"]), "100");
    assert_eq!(clone(&rig, "10000").await, "OK");
    let config = call(&rig, "GET", "/nodes/pve1/qemu/10000/config", &[]).await.body["data"].clone();
    assert_eq!(
        (&config["name"], &config["description"], &config["cores"]),
        (&"ws".into(), &"run-1".into(), &2.into())
    );
    let digest = text(&config["digest"]);
    let form =
        [("cores", "4"), ("memory", "8192"), ("tags", "stead,alice"), ("digest", digest.as_str())];
    assert_eq!(rig.task("POST", "/nodes/pve1/qemu/10000/config", &form).await, "OK");
    let stale = call(&rig, "PUT", "/nodes/pve1/qemu/10000/config", &form).await;
    assert!(stale.reason.starts_with("detected modified configuration"), "{stale:?}");
    let grow = [("disk", "scsi0"), ("size", "40G")];
    assert_eq!(rig.task("PUT", "/nodes/pve1/qemu/10000/resize", &grow).await, "OK");
    let shrink =
        call(&rig, "PUT", "/nodes/pve1/qemu/10000/resize", &[("disk", "scsi0"), ("size", "5G")])
            .await;
    assert_eq!((shrink.status, shrink.reason.as_str()), (500, "shrinking disks is not supported"));
    let vm = rig.lab.inventory().vms[0].clone();
    assert_eq!(
        (vm.cores, vm.memory_mib, vm.disk_gib, vm.tags.as_str()),
        (4, 8192, 40, "stead;alice")
    );

    let start = "/nodes/pve1/qemu/10000/status/start";
    assert_eq!(rig.task("POST", start, &[]).await, "OK");
    assert_eq!(rig.task("POST", start, &[]).await, "VM 10000 already running");
    let running = call(&rig, "DELETE", "/nodes/pve1/qemu/10000?purge=1", &[]).await;
    assert_eq!(
        (running.status, running.reason.as_str()),
        (500, "VM 10000 is running - destroy failed")
    );
    assert_eq!(rig.task("POST", "/nodes/pve1/qemu/10000/status/stop", &[]).await, "OK");
    assert_eq!(rig.task("DELETE", "/nodes/pve1/qemu/10000?purge=1", &[]).await, "OK");
    assert!(rig.lab.inventory().is_empty());
    assert_eq!(
        (rig.effects("vm-cloned"), rig.effects("vm-started"), rig.effects("vm-destroyed")),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn errors_are_in_the_reason_phrase_and_unknown_parameters_are_refused() {
    let rig = Rig::start().await;
    let missing = call(&rig, "GET", "/nodes/pve1/qemu/104/config", &[]).await;
    assert_eq!(missing.status, 500);
    assert_eq!(
        missing.reason,
        "Configuration file 'nodes/pve1/qemu-server/104.conf' does not exist"
    );
    assert!(missing.body["data"].is_null());
    let odd = call(&rig, "POST", CLONE, &[("newid", "104"), ("full", "1"), ("tags", "x")]).await;
    assert_eq!(odd.status, 400);
    assert!(odd.body["errors"]["tags"].is_string(), "{odd:?}");
    let content = call(&rig, "DELETE", "/nodes/pve1/qemu/104", &[("purge", "1")]).await;
    assert_eq!(content.status, 501);
    let taken = call(&rig, "GET", "/cluster/nextid?vmid=9000", &[]).await;
    assert!(text(&taken.body["errors"]["vmid"]).starts_with("VM 9000 already exists"));
    let wrong = rig.http.get(format!("{}/api2/json/version", rig.lab.addresses().proxmox_url));
    assert_eq!(crate::rig::send(wrong, None).await.expect("an answer").status, 401);
}

#[tokio::test]
async fn a_clone_shows_nothing_but_its_lock_until_it_is_done() {
    let rig = Rig::start().await;
    rig.lab.break_("proxmox", "task-stuck").expect("known");
    let answer = call(
        &rig,
        "POST",
        CLONE,
        &[("newid", "10001"), ("full", "1"), ("name", "ws"), ("description", "run-1")],
    )
    .await;
    let upid = text(&answer.body["data"]);
    let parts: Vec<&str> = upid.split(':').collect();
    assert_eq!(
        (parts[0], parts[1], parts[5], parts[6], parts[7]),
        ("UPID", "pve1", "qmclone", "9000", "stead@pve!engine")
    );
    let seen = rig.lab.inventory().vms[0].clone();
    assert_eq!(
        (seen.lock.as_str(), seen.name.as_str(), seen.description.as_str()),
        ("clone", "VM 10001", "")
    );
    let locked = call(&rig, "PUT", "/nodes/pve1/qemu/10001/config", &[("cores", "2")]).await;
    assert_eq!(locked.reason, "VM is locked (clone)");
    // The task's id is the source's: looking for the new id finds nothing.
    let find = |vmid: u32| format!("/nodes/pve1/tasks?source=all&vmid={vmid}");
    assert_eq!(
        call(&rig, "GET", &find(10001), &[]).await.body["data"].as_array().map(Vec::len),
        Some(0)
    );
    assert_eq!(
        call(&rig, "GET", &find(9000), &[]).await.body["data"].as_array().map(Vec::len),
        Some(1)
    );
    rig.lab.mend();
    assert_eq!(rig.task_end(&upid).await, "OK");
    assert_eq!(rig.lab.inventory().vms[0].description, "run-1");
}

#[tokio::test]
async fn a_lost_answer_has_its_effect() {
    let rig = Rig::start().await;
    rig.lab.break_times("proxmox", "lost-response", 1).expect("known");
    assert!(rig.pve("POST", CLONE, &[("newid", "10002"), ("full", "1")]).await.is_none());
    rig.until(|now| now.vms.iter().any(|vm| vm.vmid == 10002 && vm.lock.is_empty())).await;
    let again = call(&rig, "POST", CLONE, &[("newid", "10002"), ("full", "1")]).await;
    assert_eq!(again.reason, "unable to create VM 10002: config file already exists");
    rig.lab.break_times("proxmox", "proxy-timeout", 1).expect("known");
    let proxied = call(&rig, "POST", "/nodes/pve1/qemu/10002/status/start", &[]).await;
    assert_eq!(proxied.status, 596);
    rig.until(|now| now.vms.iter().any(|vm| vm.status == "running")).await;
    assert_eq!(rig.lab.requests().iter().filter(|call| call.status == 0).count(), 1);
}

#[tokio::test]
async fn every_refusal_fires() {
    let rig = Rig::start().await;
    let cases = [
        ("unauthorized", 401, "permission denied - invalid PVE ticket"),
        ("forbidden", 403, "Permission check failed (/vms, VM.Allocate)"),
        ("no-quorum", 500, "cluster not ready - no quorum?"),
        ("node-down", 595, "No route to host"),
        ("locked", 500, "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout"),
        ("vmid-taken", 500, "unable to create VM 10003: config file already exists"),
    ];
    for (fault, status, reason) in cases {
        rig.lab.break_times("proxmox", fault, 1).expect("known");
        let answer = call(&rig, "POST", CLONE, &[("newid", "10003"), ("full", "1")]).await;
        assert_eq!((answer.status, answer.reason.as_str()), (status, reason), "{fault}");
    }
    // The stranger does not count as ours.
    assert!(rig.lab.inventory().is_empty());
    let stranger = call(&rig, "GET", "/nodes/pve1/qemu/10003/config", &[]).await;
    assert_eq!(stranger.body["data"]["name"], "stranger");
}

#[tokio::test]
async fn every_bad_end_of_a_task_fires() {
    let rig = Rig::start().await;
    let cases = [
        ("task-warnings", "WARNINGS: 1", true),
        ("unexpected-status", "unexpected status", true),
        ("task-failed", "clone failed: command failed: exit code 255", false),
        (
            "storage-full",
            "clone failed: copy failed: command '/usr/bin/qemu-img convert -p -n' failed: exit code 1",
            false,
        ),
    ];
    for (at, (fault, exit, made)) in cases.into_iter().enumerate() {
        rig.lab.break_times("proxmox", fault, 1).expect("known");
        let vmid = 10010 + at;
        assert_eq!(clone(&rig, &vmid.to_string()).await, exit, "{fault}");
        let there = rig.lab.inventory().vms.iter().any(|vm| vm.vmid as usize == vmid);
        assert_eq!(there, made, "{fault}");
    }
    rig.lab.break_times("proxmox", "lock-left", 1).expect("known");
    assert_eq!(clone(&rig, "10020").await, "unexpected status");
    let left = rig.lab.inventory().vms.into_iter().find(|vm| vm.vmid == 10020).expect("left");
    assert_eq!((left.lock.as_str(), left.name.as_str()), ("clone", "VM 10020"));
}

#[tokio::test]
async fn the_log_of_a_full_storage_says_so_and_the_answer_does_not() {
    let rig = Rig::start().await;
    rig.lab.break_times("proxmox", "storage-full", 1).expect("known");
    let answer = call(&rig, "POST", CLONE, &[("newid", "10030"), ("full", "1")]).await;
    let upid = text(&answer.body["data"]);
    assert!(!rig.task_end(&upid).await.contains("space"));
    let log =
        call(&rig, "GET", &format!("/nodes/pve1/tasks/{}/log", upid.replace(':', "%3A")), &[])
            .await;
    assert!(log.body.to_string().contains("No space left on device"), "{log:?}");
}

#[tokio::test]
async fn ha_moves_a_machine_and_a_newborn_task_is_not_found() {
    let rig = Rig::start().await;
    assert_eq!(clone(&rig, "10040").await, "OK");
    rig.lab.break_times("proxmox", "ha-moved", 1).expect("known");
    let moved = call(&rig, "POST", "/nodes/pve1/qemu/10040/status/start", &[]).await;
    assert_eq!(
        moved.reason,
        "Configuration file 'nodes/pve1/qemu-server/10040.conf' does not exist"
    );
    let resources = call(&rig, "GET", "/cluster/resources?type=vm", &[]).await.body["data"].clone();
    let line = resources
        .as_array()
        .and_then(|all| all.iter().find(|vm| vm["vmid"] == 10040))
        .expect("listed");
    assert_eq!(line["node"], "pve2");
    rig.lab.break_times("proxmox", "newborn-task", 1).expect("known");
    let upid =
        text(&call(&rig, "POST", "/nodes/pve2/qemu/10040/status/start", &[]).await.body["data"]);
    let status = format!("/nodes/pve2/tasks/{upid}/status");
    assert_eq!(call(&rig, "GET", &status, &[]).await.status, 400);
    assert_eq!(call(&rig, "GET", &status, &[]).await.status, 200);
}

#[tokio::test]
async fn any_single_call_can_be_struck() {
    let rig = Rig::start().await;
    rig.lab.break_call_times("proxmox", "POST /clone", CallFault::FailPassing, 1).expect("known");
    assert_eq!(call(&rig, "POST", CLONE, &[("newid", "10050"), ("full", "1")]).await.status, 500);
    rig.lab.break_call_times("proxmox", "/clone", CallFault::DropBefore, 1).expect("known");
    assert!(rig.pve("POST", CLONE, &[("newid", "10050"), ("full", "1")]).await.is_none());
    assert!(rig.lab.inventory().is_empty());
    rig.lab.break_call("proxmox", "POST /clone", CallFault::FailLasting).expect("known");
    assert_eq!(call(&rig, "POST", CLONE, &[("newid", "10050"), ("full", "1")]).await.status, 403);
    rig.lab.mend();
    assert_eq!(clone(&rig, "10050").await, "OK");
}

#[tokio::test]
async fn what_can_be_seen_can_be_seen() {
    let rig = Rig::start().await;
    for path in [
        "/version",
        "/nodes",
        "/nodes/pve1/status",
        "/cluster/resources",
        "/nodes/pve1/qemu",
        "/nodes/pve1/storage/nvme-pool/status",
        "/nodes/pve1/qemu/9000/status/current",
    ] {
        let answer = call(&rig, "GET", path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert_eq!(call(&rig, "GET", "/nodes/nowhere/status", &[]).await.status, 500);
    let silent = call(&rig, "POST", "/nodes/pve1/qemu/9000/agent/ping", &[]).await;
    assert_eq!(silent.reason, "VM 9000 is not running");
}

#[tokio::test]
async fn a_ticket_opens_what_its_user_may_and_changes_nothing_by_the_cookie_alone() {
    let rig = Rig::start().await;
    let url = |path: &str| format!("{}/api2/json{path}", rig.lab.addresses().proxmox_url);
    let log_in = async |user: &str, password: &str| {
        let form = [("username", user), ("password", password)];
        send(rig.http.post(url("/access/ticket")).form(&form), None).await.expect("an answer")
    };
    let user = rig.secret("proxmox/user").await;
    let (name, password) = (text(&user["username"]), text(&user["password"]));
    assert_eq!(log_in(&name, "wrong").await.reason, "authentication failure");
    let let_in = log_in(&name, &password).await.body["data"].clone();
    let (ticket, csrf) = (text(&let_in["ticket"]), text(&let_in["CSRFPreventionToken"]));
    let again = log_in(&name, &ticket).await.body["data"].clone();
    assert_eq!(
        (log_in("root@pam", &ticket).await.status, &again["username"]),
        (401, &user["username"])
    );

    let cookie = |ticket: &str| format!("other=1; PVEAuthCookie={}", ticket.replace('+', "%2B"));
    let ask = async |method: &str, path: &str, ticket: &str, csrf: &str| {
        let request = rig.http.request(verb(method), url(path)).header("cookie", cookie(ticket));
        let answer = send(request.header("csrfpreventiontoken", csrf), None).await;
        let answer = answer.expect("an answer");
        (answer.status, answer.reason)
    };
    assert_eq!(ask("GET", "/nodes", &ticket, "").await.0, 200);
    let start = "/nodes/pve1/qemu/10000/status/start";
    let unproved = (401, "Permission denied - invalid csrf token".to_owned());
    assert_eq!(ask("POST", start, &ticket, "").await, unproved);
    assert_eq!(ask("POST", start, &ticket, "66AA77BB:canary").await, unproved);
    assert_eq!(ask("POST", start, &ticket, &csrf).await.0, 500, "there is no such machine");
    let ended = (401, "permission denied - invalid PVE ticket".to_owned());
    assert_eq!(ask("GET", "/nodes", "PVE:root@pam:66AA77BB::x", &csrf).await, ended);
    rig.lab.break_times("proxmox", "ticket-ended", 1).expect("a fault");
    assert_eq!(ask("GET", "/nodes", &ticket, &csrf).await, ended);
    assert_eq!(ask("GET", "/nodes", &ticket, &csrf).await, ended, "it has ended for good");
    let other = text(&again["ticket"]);
    assert_eq!(ask("GET", "/nodes", &other, "").await.0, 200);
    assert_eq!(log_in(&name, &ticket).await.status, 401);
}
