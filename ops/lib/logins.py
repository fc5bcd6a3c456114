#!/usr/bin/env python3
"""Starts what ops/deploy ships, each process with the login that is shipped for it.

    ops/lib/logins.py PROGRAM     a stead, as ops/lib/build.py prints its path

For compose, Kubernetes and systemd the keys are made as README.md there says; the nats-servers run
with the shipped configuration, and each process of Stead's with its shipped words, environment and
files, on loopback and in a folder of its own. Then whoever brings no key is refused, nobody has
met a refusal, and the operator sees a worker of every system. Images, pods and units are not run.

Prints each breach, and fails if there is one.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib

import deploy
from deploy import DEPLOY, KUBERNETES, nats_server

yaml = deploy.yaml()

# Everything together has so long to find each other, on a machine that has other things to do.
UP_WITHIN_S = 180
LOOK_EVERY_S = 0.5
# Whoever has not ended by then is not waited for; that it ends in time is tried elsewhere.
ENDED_WITHIN_S = 30


class Deployment:
    """Something of ours on loopback, in a folder, with everything that it has started."""

    def __init__(self, name: str, program: str, folder: pathlib.Path) -> None:
        self.name, self.program, self.folder = name, program, folder
        self.children: dict[str, subprocess.Popen] = {}
        self.commands: dict[str, tuple[list[str], dict[str, str]]] = {}
        self.nats_urls: list[str] = []
        # What is said elsewhere, and what it is here.
        self.here: dict[str, str] = {}
        self.keys = folder / "keys"
        self.stead("nats", "keys", str(self.keys))
        # No vendor is there, which is learnt at once.
        self.site = re.sub(r"[\w.-]+\.lan\b", "127.0.0.1", self.stead("config", "example"))

    def stead(self, *words: str, **environment: str) -> str:
        said = self.try_stead(*words, **environment)
        if said.returncode != 0:
            sys.exit(f"{self.name}: stead {' '.join(words)}: {said.stderr}")
        return said.stdout

    def try_stead(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.program, *words], env=clean(environment), capture_output=True, text=True,
        )

    def moved(self, text: str, besides: dict[str, str] = {}) -> str:
        """The same with addresses and paths as they are here, the longest first."""
        known = {**self.here, **besides}
        for there in sorted(known, key=len, reverse=True):
            text = text.replace(there, known[there])
        # Where somebody else listens, we take any free port.
        return re.sub(r"0\.0\.0\.0:\d+", lambda _: address(), text)

    def server(self, name: str, text: str, files: dict[str, str], at: dict[str, str] = {}) -> None:
        """Starts a nats-server with this configuration and these files beside it, listening there."""
        folder = self.folder / name
        for path, content in files.items():
            write(folder / path, content)
        text = text.replace("/etc/nats", str(folder)).replace("/data", f"{folder}/data")
        write(folder / "nats.conf", self.moved(text, at))
        self.start(name, [nats_server(), "-c", str(folder / "nats.conf")], {"POD_NAME": name})

    def part(self, name: str, words: list[str], environment: dict[str, str], files: dict[str, pathlib.Path]) -> None:
        """Starts a process of Stead's that finds these files where they are shipped to be."""
        places = {there: str(path) for there, path in files.items()}
        moved = {variable: self.moved(value, places) for variable, value in environment.items()}
        words = [self.moved(word, places) for word in words]
        self.start(name, [self.program, *words], moved)

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.commands[name] = (command, environment)
        with open(self.log(name), "a", encoding="utf-8") as log:
            self.children[name] = subprocess.Popen(
                command, env=clean(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.log"

    def breaches(self):
        for url in self.nats_urls:
            yield from self.greeting(url)
        url = ",".join(self.nats_urls)
        nobody = self.try_stead("run", "list", STEAD_NATS_URL=url, **self.trust())
        if nobody.returncode == 0 or "refuses this login" not in nobody.stderr:
            yield f"whoever has no key is not refused: {nobody.stdout}{nobody.stderr}"
        operator = {
            "STEAD_NATS_URL": url, "STEAD_NATS_NKEY": f"file:{self.keys}/operator/nats.nk",
            "STEAD_NATS_JS_PREFIX": "stead.js", **self.trust(),
        }
        yield from self.until_seen(operator)
        for name, child in self.children.items():
            said = self.log(name).read_text("utf-8")
            if child.poll() is not None:
                yield f"{name} has ended"
            for line in re.findall(r".*(?:complains|Violation).*", said):
                yield f"{name}: {line}"

    def trust(self) -> dict[str, str]:
        authority = self.keys / "ca.crt"
        return {"STEAD_NATS_TLS_CA": str(authority)} if authority.exists() else {}

    def greeting(self, url: str):
        scheme, place = url.split("://")
        host, port = place.split(":")
        deadline = time.monotonic() + UP_WITHIN_S
        while True:
            try:
                with socket.create_connection((host, int(port)), timeout=UP_WITHIN_S) as there:
                    said = json.loads(there.makefile().readline().removeprefix("INFO "))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    sys.exit(f"{self.name}: no nats-server at {url}: {error}\n{self.said()}")
                time.sleep(LOOK_EVERY_S)
        if not said.get("auth_required"):
            yield f"{url} asks nobody who he is"
        if scheme == "tls" and not said.get("tls_required"):
            yield f"{url} speaks without a certificate"

    def until_seen(self, operator: dict[str, str]):
        """Until everybody is up and the operator sees so, which is looked for again and again."""
        workers = tomllib.loads((self.keys / "users.toml").read_text("utf-8"))["workers"]
        deadline = time.monotonic() + UP_WITHIN_S
        while time.monotonic() < deadline:
            for name, child in self.children.items():
                # As whoever supervises it does: it may have come before what it needs.
                if child.poll() is not None:
                    self.start(name, *self.commands[name])
            missing = [name for name in self.children if not self.is_up(name)]
            if not missing:
                listed = self.try_stead("run", "list", **operator)
                missing = [] if listed.returncode == 0 else [listed.stderr]
            if not missing:
                checked = json.loads(self.try_stead("doctor", "--json", **operator).stdout)
                seen = {one["check"]: one for one in checked}
                login = seen["permissions"]
                if login["verdict"] != "ok":
                    yield f"the operator: {login['words']}"
                missing = re.findall(r"no worker of [\w-]+", str(seen))
                missing += [name for name in workers if not any(name in check for check in seen)]
            if not missing:
                return
            time.sleep(LOOK_EVERY_S)
        yield f"not everybody is up: {', '.join(missing)}\n{self.said()}"

    def is_up(self, name: str) -> bool:
        is_server = name.startswith("nats")
        words = r"Server is ready" if is_server else r"(is|are) up, on|webhooks come in at"
        return bool(re.search(words, self.log(name).read_text("utf-8")))

    def said(self) -> str:
        logs = {name: self.log(name).read_text("utf-8").strip().splitlines() for name in self.children}
        return "\n".join(f"  {name}: {line}" for name, lines in logs.items() for line in lines[-3:])

    def end(self) -> None:
        for child in reversed(self.children.values()):
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(timeout=ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def clean(environment: dict[str, str]) -> dict[str, str]:
    """This, and of our own environment only what is no setting of Stead's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("STEAD_")}
    return {**ours, **environment}


def address() -> str:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{there.getsockname()[1]}"


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def image() -> dict[str, str]:
    """What the image sets in the environment."""
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    return dict(pair.split("=", 1) for pair in re.search(r"^ENV (.*)$", text, re.M)[1].split())


def compose(of: Deployment) -> None:
    beside = of.folder / "compose"
    shutil.copytree(of.keys, beside / "keys")
    for part in [*(beside / "keys").glob("worker-*"), beside / "keys" / "webhook"]:
        write(part / "vault_role_id", "none")
        write(part / "vault_secret_id", "none")
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))["services"]
    at = address()
    of.here, of.nats_urls = {"nats:4222": at, "0.0.0.0:4222": at}, [f"nats://{at}"]
    accounts = (beside / "keys" / "accounts.conf").read_text("utf-8")
    text = (DEPLOY / "compose" / "nats.conf").read_text("utf-8")
    of.server("nats", text, {"accounts.conf": accounts})
    write(beside / "site.toml", of.moved(of.site))
    for name, service in services.items():
        if not {"site", "webhooks"} & set(service.get("profiles", [])) or "stead" not in service["image"]:
            continue
        files = {}
        for volume in service["volumes"]:
            source, there = volume.split(":")[:2]
            files[there] = beside / source
        for there in service.get("tmpfs", []):
            files[there.split(":")[0]] = of.folder / name
        of.part(name, service["command"], {**image(), **service["environment"]}, files)


def kubernetes(of: Deployment) -> None:
    subprocess.run(
        [KUBERNETES / "certificate", of.keys, "127.0.0.1"], check=True, stdout=subprocess.DEVNULL,
    )
    found = [
        document for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text("utf-8")) if document
    ]
    servers = {f"nats-{number}": (address(), address()) for number in range(3)}
    of.nats_urls = [f"tls://{client}" for client, _ in servers.values()]
    for name, (client, cluster) in servers.items():
        of.here |= {f"{name}.nats:4222": client, f"{name}.nats:6222": cluster}
    # Whoever logs in to Vault as a service account has no AppRole.
    of.site = re.sub(r"^(role|secret)_id = .*\n", "", of.site, flags=re.M)
    given = generated(of)
    for one in found:
        if one["kind"] == "ConfigMap":
            given[one["metadata"]["name"]] = one["data"]
    stateful = next(one for one in found if one["kind"] == "StatefulSet")["spec"]["template"]["spec"]
    files = volume(stateful["volumes"][0], given)
    for name, (client, cluster) in servers.items():
        at = {"0.0.0.0:4222": client, "0.0.0.0:6222": cluster}
        of.server(name, files["nats.conf"], files, at)
    for one in found:
        if one["kind"] == "Deployment":
            pod(of, one["metadata"]["name"], one["spec"]["template"]["spec"], given)


def generated(of: Deployment) -> dict[str, dict[str, str]]:
    """What the kustomization makes of files: each with its keys and texts."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    made = {}
    for one in listed["configMapGenerator"] + listed["secretGenerator"]:
        for file in one["files"]:
            text = of.moved(of.site) if file == "site.toml" else (of.folder / file).read_text("utf-8")
            made.setdefault(one["name"], {})[pathlib.Path(file).name] = text
    return made


def volume(described: dict, given: dict[str, dict[str, str]]) -> dict[str, str]:
    """The files of a volume."""
    files = {}
    for source in described.get("projected", {}).get("sources", [described]):
        for kind, key in [("configMap", "name"), ("secret", "name")]:
            if kind in source:
                content, items = given[source[kind][key]], source[kind].get("items")
                files |= {item["path"]: content[item["key"]] for item in items} if items else content
        if "serviceAccountToken" in source:
            files[source["serviceAccountToken"]["path"]] = "a token"
    return files


def pod(of: Deployment, name: str, spec: dict, given: dict[str, dict[str, str]]) -> None:
    container, files = spec["containers"][0], {}
    described = {one["name"]: one for one in spec["volumes"]}
    for mount in container["volumeMounts"]:
        folder = of.folder / name / mount["name"]
        folder.mkdir(parents=True)
        for file, text in volume(described[mount["name"]], given).items():
            write(folder / file, text)
        files[mount["mountPath"]] = folder
    environment = image() | {one["name"]: one["value"] for one in container["env"]}
    of.part(name, container["args"], environment, files)


def systemd(of: Deployment) -> None:
    at, etc = address(), of.folder / "etc"
    of.nats_urls = [f"nats://{at}"]
    of.here = {"127.0.0.1:4222": at, "/var/lib/nats": str(of.folder / "data")}
    # Where they show their metrics somebody else may, here.
    units = "".join(path.read_text("utf-8") for path in (DEPLOY / "systemd").rglob("*") if path.is_file())
    of.here |= {there: address() for there in re.findall(r"127\.0\.0\.1:94\d\d", units.replace("%i", "1"))}
    of.server("nats", of.stead("nats", "config", str(of.keys / "users.toml")), {})
    # The door for webhooks is one that a site chooses to have.
    of.site = re.sub(r"^#(webhook_listen) = .*", r'\1 = "0.0.0.0:9480"', of.site, flags=re.M)
    write(etc / "site.toml", of.moved(of.site))
    shutil.copytree(of.keys, etc / "keys")
    workers = tomllib.loads((of.keys / "users.toml").read_text("utf-8"))["workers"]
    unit(of, "stead-engine@1", etc)
    for system in workers:
        unit(of, f"stead-worker@{system}", etc)
    unit(of, "stead-webhook", etc)


def unit(of: Deployment, name: str, etc: pathlib.Path) -> None:
    """Starts what a unit says, with what the head of its file says about the environment."""
    kind, _, instance = name.partition("@")
    file = DEPLOY / "systemd" / (f"{kind}@.service" if instance else f"{kind}.service")
    text = file.read_text("utf-8")
    for more in sorted((DEPLOY / "systemd" / f"{name}.service.d").glob("*.conf")):
        text += more.read_text("utf-8")
    credentials = of.folder / name
    text = text.replace("%i", instance).replace("%d", str(credentials)).replace("/etc/stead", str(etc))
    lines = [line.partition("=")[::2] for line in text.splitlines()]
    environment = {
        key.removeprefix("#").strip(): value for key, value in lines if re.match(r"#\s+STEAD_", key)
    }
    for key, value in lines:
        if key == "Environment":
            environment |= [value.split("=", 1)]
        if key == "LoadCredential":
            called, path = value.split(":")
            write(credentials / called, pathlib.Path(path).read_text("utf-8"))
    words = dict(lines)["ExecStart"].split()[1:]
    of.part(name, words, environment, {"/var/lib/stead": of.folder / "state"})


def main(program: str) -> int:
    failed = False
    missing = [tool for tool, found in [
        ("python3 has no yaml", yaml), ("there is no nats-server", nats_server()),
        ("there is no openssl", shutil.which("openssl")),
    ] if not found]
    if missing:
        print(f"skipped: whether everybody can log in: {' and '.join(missing)} here")
        return 0
    for start in [compose, kubernetes, systemd]:
        with tempfile.TemporaryDirectory() as folder:
            of = Deployment(start.__name__, program, pathlib.Path(folder))
            try:
                start(of)
                for words in of.breaches():
                    print(f"{of.name}: {words}")
                    failed = True
            finally:
                of.end()
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(str(pathlib.Path(sys.argv[1]).resolve())))
