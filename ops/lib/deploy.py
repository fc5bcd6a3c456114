#!/usr/bin/env python3
"""Checks what ops/deploy says to other people's programs, with their own words where they are at hand.

    ops/lib/deploy.py

* YAML can be read (PyYAML), each Kubernetes manifest fits its schema (the package
  kubernetes-validate, or the schemas that STEAD_SPECS names), the manifests fit each other, and together
  they are what manifests.py asks for.
* The compose file names only what there is.
* What the Jobs of backups carry out does it, with stand-ins for what it calls.
* No nats-server that others can reach lets anybody in without a key, and nobody of ours has a password.
* The units of one machine show their metrics at addresses of their own.
* `nats-server -t` takes the configurations, `systemd-analyze verify` the units.

That everybody can log in with what is shipped is tried by logins.py. What is not at hand is skipped and
named. Prints each breach, and fails if there is one.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import manifests

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "ops" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
BACKUPS = DEPLOY / "backups"
COMPOSE = DEPLOY / "compose" / "compose.yaml"

# Settings without which a container could do more than it has to.
CONTAINER_MUST = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}


def main() -> int:
    breaches, skipped = [], []
    for check in [kubernetes, compose, copies, nats, nobody_has_a_password, metrics, units]:
        for kind, words in check():
            (skipped if kind == "skipped" else breaches).append(words)
    for words in skipped:
        print(f"skipped: {words}")
    for words in breaches:
        print(words)
    return 1 if breaches else 0


def yaml():
    """PyYAML, if it is here."""
    try:
        import yaml as found
    except ImportError:
        return None
    return found


def kubernetes():
    reader = yaml()
    if reader is None:
        yield "skipped", "the manifests: python3 has no yaml here"
        return
    objects, kustomized = [], {}
    for path in sorted([*KUBERNETES.glob("*.yaml"), *BACKUPS.glob("*.yaml")]):
        try:
            documents = [found for found in reader.safe_load_all(path.read_text("utf-8")) if found]
        except reader.YAMLError as error:
            yield "breach", f"{path.relative_to(ROOT)}: {error}"
            continue
        if path.name == "kustomization.yaml":
            yield from kustomization(path.parent, documents[0])
            if path.parent == KUBERNETES:
                kustomized = documents[0]
        else:
            objects += [(f"{path.relative_to(ROOT)}: {name_of(found)}", found) for found in documents]
    yield from schemas(objects)
    for place, found in objects:
        yield from (("breach", f"{place}: {words}") for words in sound(found))
    yield from (("breach", words) for words in fitting(objects))
    ours = str(KUBERNETES.relative_to(ROOT))
    plain = [found for place, found in objects if place.startswith(ours)]
    for rule in [manifests.enough, manifests.asked, manifests.disrupted, manifests.reached]:
        yield from (("breach", words) for words in rule(plain))
    yield from (("breach", words) for words in manifests.given(plain, kustomized))


def kustomization(folder: pathlib.Path, found: dict):
    listed = set(found["resources"])
    there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    place = folder.relative_to(ROOT) / "kustomization.yaml"
    for name in sorted(listed ^ there):
        yield "breach", f"{place}: {name} is listed or there, and not both"


def schemas(objects):
    """Each manifest against its schema: of all kinds, of some, or of none."""
    try:
        import kubernetes_validate
    except ImportError:
        yield from some_schemas(objects)
        return
    for place, found in objects:
        try:
            kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
        except Exception as error:
            yield "breach", f"{place}: {(str(error).splitlines() or [type(error).__name__])[0]}"


def some_schemas(objects):
    folder = pathlib.Path(os.environ.get("STEAD_SPECS", ROOT.parent / "shared" / "specs")) / "kubernetes"
    try:
        import jsonschema
    except ImportError:
        yield "skipped", "the schemas of Kubernetes: python3 has neither kubernetes-validate nor jsonschema here"
        return
    if not folder.is_dir():
        yield "skipped", "the schemas of Kubernetes: python3 has no kubernetes-validate here, and STEAD_SPECS names none"
        return
    unknown = set()
    for place, found in objects:
        path = folder / f"{found['kind'].lower()}-{found['apiVersion'].replace('/', '-')}.json"
        if not path.is_file():
            unknown.add(found["kind"])
            continue
        validator = jsonschema.Draft202012Validator(json.loads(path.read_text("utf-8")))
        for error in validator.iter_errors(found):
            yield "breach", f"{place}: {'.'.join(map(str, error.path))}: {error.message}"
    if unknown:
        yield "skipped", f"the schemas of {', '.join(sorted(unknown))}: they are not at hand"


def name_of(found: dict) -> str:
    return f"{found.get('kind')} {found.get('metadata', {}).get('name')}"


def sound(found: dict):
    """What no schema asks for, and we do.

    >>> pod = {"serviceAccountName": "a", "automountServiceAccountToken": False,
    ...     "securityContext": {"runAsNonRoot": True}, "containers": [{"name": "c",
    ...     "livenessProbe": {}, "readinessProbe": {},
    ...     "resources": {"requests": {"cpu": 1, "memory": 1}}, "securityContext": {
    ...     "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
    ...     "capabilities": {"drop": ["ALL"]}}}]}
    >>> of = lambda pod: {"kind": "Deployment", "spec": {"template": {"spec": pod}}}
    >>> list(sound(of(pod)))
    []
    >>> list(sound(of({**pod, "serviceAccountName": None})))
    ['has no service account of its own']
    >>> del pod["containers"][0]["resources"], pod["containers"][0]["readinessProbe"]
    >>> list(sound(of(pod)))
    ['c requests neither processor nor memory', 'c has no readinessProbe']
    """
    spec = found.get("spec") if isinstance(found.get("spec"), dict) else {}
    job = spec.get("jobTemplate", {}).get("spec")
    pod = (job or spec).get("template", {}).get("spec")
    if pod is None:
        return
    if not pod.get("serviceAccountName"):
        yield "has no service account of its own"
    if pod.get("automountServiceAccountToken") is not False:
        yield "is given a token of the cluster, which it needs for nothing"
    if pod.get("securityContext", {}).get("runAsNonRoot") is not True:
        yield "may run as root"
    for container in pod["containers"]:
        name, security = container["name"], container.get("securityContext", {})
        if not {"cpu", "memory"} <= set(container.get("resources", {}).get("requests", {})):
            yield f"{name} requests neither processor nor memory"
        # Nobody is sent to a Job, and it ends.
        for probe in [] if job else ["livenessProbe", "readinessProbe"]:
            if probe not in container:
                yield f"{name} has no {probe}"
        for key, wanted in CONTAINER_MUST.items():
            if security.get(key) is not wanted:
                yield f"{name} must have {key}: {wanted}"
        if security.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{name} keeps capabilities"


def fitting(objects):
    """Whether what the manifests name is there: accounts, and pods for each selector."""
    all_found = [found for _, found in objects]
    accounts = {found["metadata"]["name"] for found in all_found if found["kind"] == "ServiceAccount"}
    pods = [
        found["spec"]["template"] for found in all_found if found["kind"] in ("Deployment", "StatefulSet")
    ]
    ports = {
        port["name"] for pod in pods for of in pod["spec"]["containers"] for port in of.get("ports", [])
    }
    used = [pod["spec"].get("serviceAccountName") for pod in pods]
    for account in sorted({name for name in used if used.count(name) > 1}):
        yield f"the account {account} is shared by several kinds of pods"
    for place, found in objects:
        account = found["spec"]["template"]["spec"].get("serviceAccountName") if found["kind"] in (
            "Deployment", "StatefulSet") else None
        if account and account not in accounts:
            yield f"{place}: there is no account {account}"
        for labels in selectors(found):
            if labels and not any(labels.items() <= pod["metadata"]["labels"].items() for pod in pods):
                yield f"{place}: no pod has the labels {labels}"
        if found["kind"] == "Service":
            for port in found["spec"]["ports"]:
                if port["targetPort"] not in ports:
                    yield f"{place}: no container has a port {port['targetPort']}"


def selectors(found: dict):
    spec = found.get("spec", {})
    if found["kind"] == "Service":
        yield spec["selector"]
    elif found["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        yield spec["selector"]["matchLabels"]
    elif found["kind"] == "NetworkPolicy":
        yield spec["podSelector"].get("matchLabels", {})


def compose():
    reader = yaml()
    if reader is None:
        yield "skipped", "the compose file: python3 has no yaml here"
        return
    found = reader.safe_load(COMPOSE.read_text("utf-8"))
    yield from (("breach", f"ops/deploy/compose/compose.yaml: {words}") for words in composed(found))
    yield from (("breach", f"ops/deploy/compose: {words}") for words in looked_for(found["services"], reader))


def looked_for(services: dict, reader):
    """Whether Prometheus and Grafana find rules and dashboards where they are told to look."""
    prometheus = reader.safe_load((COMPOSE.parent / "prometheus.yaml").read_text("utf-8"))
    yield from scraped(services, prometheus["scrape_configs"])
    rules = prometheus["rule_files"]
    if not any(is_mounted(services["prometheus"], pattern) for pattern in rules):
        yield f"nothing that is mounted for Prometheus is among {', '.join(rules)}"
    for path in sorted((COMPOSE.parent / "grafana" / "provisioning" / "dashboards").glob("*.yaml")):
        for provider in reader.safe_load(path.read_text("utf-8"))["providers"]:
            folder = provider["options"]["path"]
            if not is_mounted(services["grafana"], f"{folder}/**/*.json"):
                yield f"no dashboard is mounted for Grafana in {folder}"


def scraped(services: dict, jobs: list):
    """Whether Prometheus asks each process of ours, as one of its profile, and nobody else.

    >>> jobs = [{"static_configs": [{"targets": ["a:1", "b:1"], "labels": {"profile": "p"}}]}]
    >>> ours = lambda *profiles: {"image": "stead:latest", "profiles": [*profiles]}
    >>> list(scraped({"a": ours("p"), "b": ours("q"), "c": {"image": "nats"}}, jobs))
    ['Prometheus takes b for one of the profile p', 'Prometheus does not ask b of the profile q']
    """
    groups = [group for job in jobs for group in job["static_configs"]]
    asked = {(at.split(":")[0], group["labels"]["profile"]) for group in groups for at in group["targets"]}
    ours = {(name, profile) for name, service in services.items() if service.get("image") == "stead:latest"
            for profile in service["profiles"]}
    yield from (f"Prometheus takes {name} for one of the profile {profile}" for name, profile in sorted(asked - ours))
    yield from (f"Prometheus does not ask {name} of the profile {profile}" for name, profile in sorted(ours - asked))


def is_mounted(service: dict, pattern: str) -> bool:
    """Whether some file of ours is there."""
    for volume in service["volumes"]:
        source, there = volume.split(":")[:2]
        rest = pathlib.PurePosixPath(pattern)
        if rest.is_relative_to(there) and any((COMPOSE.parent / source).glob(str(rest.relative_to(there)))):
            return True
    return False


# What git cannot hold: the site's own files beside the compose file.
GIVEN = {"site.toml", "keys"}


def composed(found: dict):
    """
    >>> list(composed({"services": {"a": {"image": "i", "depends_on": ["b"], "networks": ["n"]}}}))
    ['a waits for b, which is not there', 'a is in the network n, which is not there']
    """
    services = found["services"]
    for name, service in services.items():
        for other in service.get("depends_on", []):
            if other not in services:
                yield f"{name} waits for {other}, which is not there"
        for kind, plural in [("network", "networks"), ("secret", "secrets")]:
            for other in service.get(plural, []):
                if other not in found.get(plural, {}):
                    yield f"{name} is in the {kind} {other}, which is not there"
        if not (service.get("image") or service.get("build")):
            yield f"{name} has no image"
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("."):
                path = COMPOSE.parent / source
                if not path.exists() and pathlib.Path(source).parts[0] not in GIVEN:
                    yield f"{name} mounts {source}, which is not there"
            elif source not in found.get("volumes", {}):
                yield f"{name} mounts the volume {source}, which is not there"


# What stands in for the programs of etcd: a snapshot is one line, and is whole as long as that is so. And for
# a node of Proxmox VE, which gives its configuration to whoever has the key.
PROGRAMS = {
    "etcdctl": 'echo whole >"$3"',
    "etcdutl": '[[ $2 != restore ]] && echo "fe01cf57, 10, 7, 2.1 MB" && exit; grep -qx whole "$3" && mkdir "$5"',
    "ssh": """cd "$TMPDIR" && mkdir -p etc/pve/nodes/pve1/qemu-server && cd etc/pve && touch user.cfg storage.cfg
touch nodes/pve1/qemu-server/{100,101}.conf && tar --create --directory="$TMPDIR" etc/pve""",
}
# What each kind of copy is, and what is said of one that is whole.
COPIES = {
    "etcd": ("snapshot.db", "is restored whole: revision 10, 7 keys"),
    "pve": ("pve.tar", "is read whole: 2 machines"),
}


def copies():
    for kind, (file, words) in COPIES.items():
        yield from copies_of(kind, file, words)


def copies_of(kind: str, file: str, words: str):
    with tempfile.TemporaryDirectory() as place:
        programs, folder = pathlib.Path(place) / "bin", pathlib.Path(place) / "copies"
        programs.mkdir(), folder.mkdir()
        for name, lines in PROGRAMS.items():
            (programs / name).write_text(f"#!/usr/bin/env bash\n{lines}\n", "utf-8")
            (programs / name).chmod(0o755)

        def told(work: str, day: int, **more: str):
            env = {
                **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": place,
                "COPIES": str(folder), "STEAD_WORK": work, "STEAD_SERIES": f"stead-{kind}-",
                "STEAD_COPY": f"stead-{kind}-2026-11-{day:02}t02-00-00-000z",
                "PVE_SSH": place, "PVE_LOGIN": "root@pve1", **more,
            }
            said = subprocess.run([BACKUPS / "copy", kind], capture_output=True, text=True, env=env)
            return said.returncode, (said.stdout.splitlines() or [""])[-1]

        def there():
            return sorted(int(path.name.split("t02")[0][-2:]) for path in folder.iterdir())

        def breaks(day: int):
            next(folder.glob(f"*-{day:02}t*")).joinpath(file).write_text("half\n", "utf-8")

        story = [told("make", day)[0] for day in (1, 2, 2, 3, 4)]
        # What a Job left that was killed.
        (folder / f"stead-{kind}-2026-11-05t02-00-00-000z.part").mkdir()
        proved = told("prove", 4)
        breaks(3)
        story += [proved[0], told("prove", 3)[0], told("prove", 9)[0], told("sell", 4)[0], told("remove", 4)[0]]
        old = {"STEAD_BEFORE": "2026-11-04T02:00:00.000Z", "STEAD_KEEP": f"stead-{kind}-2026-11-02t02-00-00-000z"}
        story += [told("make", 5)[0], told("remove", 5, **old)[0], told("prove", 4, STEAD_COPY="../4")[0]]
        if story != [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 0, 0, 2] or there() != [2, 4, 5]:
            yield "breach", f"ops/deploy/backups/copy {kind}: ended with {story}, and has left {there()}"
        if not proved[1].endswith(words):
            yield "breach", f"ops/deploy/backups/copy {kind}: says of a whole copy: {proved[1]}"


def nats():
    folders = [DEPLOY / "compose", DEPLOY / "nats"]
    texts = {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for folder in folders for path in sorted(folder.glob("*.conf"))
    }
    manifest = KUBERNETES / "nats.yaml"
    reader = yaml()
    if reader is not None:
        documents = reader.safe_load_all(manifest.read_text("utf-8"))
        maps = [found for found in documents if found["kind"] == "ConfigMap"]
        texts[str(manifest.relative_to(ROOT))] = maps[0]["data"]["nats.conf"]
    for place, text in texts.items():
        yield from (("breach", f"{place}: {words}") for words in guarded(text))
    server = nats_server()
    if server is None:
        yield "skipped", "the configurations of nats-server: there is none here (STEAD_NATS_SERVER)"
        return
    # What includes the accounts of a deployment is tried with them, by logins.py.
    alone = {place: text for place, text in texts.items() if INCLUDED not in text}
    with tempfile.TemporaryDirectory() as folder:
        for place, text in alone.items():
            path = pathlib.Path(folder) / "nats.conf"
            path.write_text(text, "utf-8")
            said = subprocess.run([server, "-t", "-c", path], capture_output=True, text=True)
            if said.returncode != 0:
                yield "breach", f"{place}: nats-server refuses it: {said.stderr.strip()}"


# What `stead nats keys` makes.
INCLUDED = "include accounts.conf"


def guarded(text: str):
    """Whether a nats-server keeps what it promises to keep, and lets nobody in whom it does not know.

    >>> list(guarded("listen: 0.0.0.0:4222\\nsync_interval: always\\ninclude accounts.conf"))
    []
    >>> list(guarded("listen: 127.0.0.1:4222\\nsync_interval: always"))
    []
    >>> list(guarded("listen: 0.0.0.0:4222\\n# include accounts.conf"))
    ['appends are not synced', 'asks nobody who he is']
    """
    said = re.sub(r"^\s*#.*", "", text, flags=re.M)
    if "sync_interval: always" not in said:
        yield "appends are not synced"
    is_asked = INCLUDED in said or re.search(r"^accounts \{", said, re.M)
    if not is_asked and not re.search(r'^listen: "?127\.0\.0\.1:', said, re.M):
        yield "asks nobody who he is"


def nobody_has_a_password():
    """A key is never sent to the server, a password is; and no user of ours has one."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file() and "STEAD_NATS_PASSWORD" in path.read_text("utf-8", errors="replace"):
            yield "breach", f"{path.relative_to(ROOT)}: logs in to NATS by a password"


def nats_server():
    named = os.environ.get("STEAD_NATS_SERVER")
    in_tools = next(iter(sorted((ROOT / ".tools").glob("nats-server-*/nats-server"))), None)
    return named or in_tools or shutil.which("nats-server")


def metrics():
    """Whether the units of one machine show their metrics at addresses of their own."""
    folder = DEPLOY / "systemd"
    systems = re.findall(r"--systems, (\w+)", (KUBERNETES / "workers.yaml").read_text("utf-8"))
    texts = {f"stead-engine@{n}": (folder / "stead-engine@.service", str(n)) for n in (1, 2)}
    texts |= {f"stead-worker@{system}": (folder / f"stead-worker@{system}.service.d/metrics.conf", system)
              for system in systems}
    texts["stead-webhook"] = (folder / "stead-webhook.service", "")
    places = {
        name: path.read_text("utf-8").replace("%i", instance) if path.is_file() else ""
        for name, (path, instance) in texts.items()
    }
    yield from (("breach", f"ops/deploy/systemd: {words}") for words in apart(places))


def apart(texts: dict[str, str]):
    """
    >>> list(apart({"a": "Environment=STEAD_ENGINE_METRICS=127.0.0.1:9461", "b": "x --metrics 127.0.0.1:9462"}))
    []
    >>> list(apart({"a": "STEAD_WORKERS_METRICS=127.0.0.1:9461", "b": "--metrics 127.0.0.1:9461", "c": ""}))
    ['b shows its metrics where a does', 'nothing says where c shows its metrics']
    """
    taken = {}
    for name, text in texts.items():
        found = re.search(r"(?:_METRICS=|--metrics )(\S+)", text)
        if found is None:
            yield f"nothing says where {name} shows its metrics"
        elif (other := taken.setdefault(found[1], name)) != name:
            yield f"{name} shows its metrics where {other} does"


def units():
    if shutil.which("systemd-analyze") is None:
        yield "skipped", "the units: there is no systemd-analyze here"
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((DEPLOY / "systemd").glob("*.service")):
            # By default systemd gives up what could not be started five times in ten seconds.
            if "StartLimitIntervalSec=0" not in path.read_text("utf-8"):
                yield "breach", f"{path.relative_to(ROOT)}: is given up while NATS is away"
            # Verified as the unit of one instance, with a program that is surely there.
            text = path.read_text("utf-8").replace("/usr/bin/stead", shutil.which("true"))
            text = text.replace("/usr/bin/nats-server", shutil.which("true"))
            instance = pathlib.Path(folder) / path.name.replace("@", "@guest")
            instance.write_text(text, "utf-8")
            more = path.parent / f"{instance.name}.d"
            if more.is_dir():
                shutil.copytree(more, pathlib.Path(folder) / more.name)
            said = subprocess.run(["systemd-analyze", "verify", instance], capture_output=True, text=True)
            ours = [line for line in said.stderr.splitlines() if "stead-" in line]
            for line in ours:
                yield "breach", f"{path.relative_to(ROOT)}: {line}"
            if said.returncode != 0 and not ours:
                yield "breach", f"{path.relative_to(ROOT)}: {said.stderr.strip()}"


if __name__ == "__main__":
    sys.exit(main())
