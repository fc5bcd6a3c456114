"""Stead with everything around it: a nats-server, the lab without guests of its own, and `stead up`."""

import json
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

from children import HOST, Child, Unmet, check_alive
from machine import serial_number
from nfs import Gate

NATS = "nats://127.0.0.1:4222"
CONTROL = "http://127.0.0.1:7780"
SEEDS = 8090
OWNER = "john"
WORKSPACE = "dev"
# Where guests are told that the proxy of the MCP servers is.
SERVERS = "http://mcp.lan"
# Where guests are told that the models are, and what their owner logs in there with.
MODELS = "http://models.lan"
MODEL_KEY = "key-to-the-models-of-john"

LOOK_EVERY_S = 0.2


def until(words: str, look, within_s: float):
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        check_alive()
        if time.monotonic() > end:
            raise Unmet(f"not within {within_s:.0f} s: {words}")
        time.sleep(LOOK_EVERY_S)


def ask(url: str, body: dict | None = None, **headers: str) -> dict:
    """JSON by HTTP."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


class Platform:
    """The whole platform, on loopback."""

    def __init__(self, folder: pathlib.Path, stead: str, nats_server: str) -> None:
        self.folder, self.stead, self.nats_server = folder, stead, nats_server
        self.log = folder / "stead.log"
        self.environment: dict[str, str] = {}

    def start(self) -> None:
        """Guests find seed server and Coder where we do: at 10.0.2.2."""
        at = self.folder
        server = [self.nats_server, "-a", "127.0.0.1", "-p", "4222", "-js", "-sd", f"{at}/nats"]
        Child("nats-server", server, at / "nats.log")
        lab = ["lab", "--json", "--control", "7780", "--guests", "elsewhere", "--write-site", f"{at}/site.toml"]
        Child("the lab", [self.stead, *lab], at / "lab.log")
        opened = until("the lab is open", self.opened, 60)
        self.lab = opened["addresses"]
        coder = int(self.lab["coder_url"].rsplit(":", 1)[1])
        Gate((HOST, coder), ("127.0.0.1", coder)).open()
        self.environment = {
            **opened["environment"],
            "STEAD_CONFIG": f"{at}/site.toml",
            "STEAD_OWNER": OWNER,
            "STEAD_NATS_URL": NATS,
            "STEAD_ENGINE_PARTITIONS": "1",
            "STEAD_ENGINE_INDEX": f"{at}/index",
            "STEAD_TRUENAS_NFS_SERVER": HOST,
            "STEAD_TRUENAS_GRACE_SECONDS": "0",
            "STEAD_CODER_ADDRESS": f"http://{HOST}:{coder}",
            "STEAD_GUEST_LISTEN": f"127.0.0.1:{SEEDS}",
            "STEAD_GUEST_PUBLIC_URL": f"http://{HOST}:{SEEDS}",
            "STEAD_GUEST_TOOLS": "aider,claude,codex",
            "STEAD_GUEST_MCP_PROXY": SERVERS,
            "STEAD_GUEST_MODEL_PROXY": MODELS,
            "STEAD_GUEST_MODEL_KEYS": "vault:secret/data/stead/models",
        }
        Child("stead", [self.stead, "--log", "info", "--log-json", "up"], self.log, **self.environment)
        until("engine and workers are up", lambda: "engine and workers are up" in self.log.read_text("utf-8"), 60)
        # Guests find the seed server there by QEMU's doing; we look there, too.
        Gate((HOST, SEEDS), ("127.0.0.1", SEEDS)).open()
        self.pve = self.proxmox_login()
        self.vault(f"stead/models/{OWNER}", {"key": MODEL_KEY})

    def opened(self) -> dict | None:
        lines = (self.folder / "lab.log").read_text("utf-8").splitlines()
        return next((json.loads(line) for line in lines if line.startswith('{"addresses"')), None)

    def run(self, *arguments: str) -> dict:
        """Carries a verb of the command line out."""
        done = subprocess.run(
            [self.stead, "--json", *arguments], env=self.environment, capture_output=True, text=True, timeout=120,
        )
        if done.returncode != 0:
            raise Unmet(f"stead {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout or "{}")

    def order(self, verb: str) -> str:
        """Gives the workspace a command; its id."""
        return self.run("workspace", verb, WORKSPACE)["accepted"]["command"]

    def view(self) -> dict:
        return self.run("workspace", "show", WORKSPACE)

    def outcome(self, command: str) -> dict | None:
        """How a command of the workspace ended, if it has."""
        found = [known for known in self.view()["commands"] if known["id"] == command]
        return found[0].get("outcome") if found else None

    def secret(self, path: str) -> dict:
        """What lies in Vault."""
        return self.vault(path)["data"]["data"]

    def vault(self, path: str, put: dict | None = None) -> dict:
        """Reads from Vault, or lays something there, as who Stead's workers are to it."""
        login = {
            "role_id": self.environment["STEAD_VAULT_ROLE_ID"],
            "secret_id": self.environment["STEAD_VAULT_SECRET_ID"],
        }
        token = ask(f"{self.lab['vault_url']}/v1/auth/approle/login", login)["auth"]["client_token"]
        body = None if put is None else {"data": put}
        return ask(f"{self.lab['vault_url']}/v1/secret/data/{path}", body, **{"X-Vault-Token": token})

    def proxmox_login(self) -> str:
        api = self.secret("proxmox/api")
        return f"PVEAPIToken={api['token_id']}={api['token_secret']}"

    def machine(self) -> dict | None:
        """The machine as the lab's Proxmox VE has it configured, if it is on."""
        on = [vm for vm in self.inventory()["vms"] if vm["status"] == "running"]
        if not on:
            return None
        place = f"/api2/json/nodes/{on[0]['node']}/qemu/{on[0]['vmid']}/config"
        return ask(self.lab["proxmox_url"] + place, Authorization=self.pve)["data"]

    def inventory(self) -> dict:
        return ask(f"{CONTROL}/inventory")

    def agent(self) -> str:
        """How Coder sees the agent: `connected`."""
        [workspace] = self.inventory()["coder_workspaces"]
        return workspace["agent"]["status"] if workspace["agent"] else ""

    def agent_token(self) -> str:
        [workspace] = self.inventory()["coder_workspaces"]
        return self.secret(f"stead/agents/{workspace['id']}")["token"]

    def logged(self, words: str, since: int = 0) -> list[dict]:
        """The lines of Stead's log that say so, from a place in it on."""
        return lines_of(self.log.read_text("utf-8")[since:], words)

    def log_end(self) -> int:
        return len(self.log.read_text("utf-8"))


def lines_of(log: str, words: str) -> list[dict]:
    """
    >>> lines_of('x\\n{"message":"a guest reports","stage":"s"}\\n', "a guest reports")
    [{'message': 'a guest reports', 'stage': 's'}]
    """
    lines = [json.loads(line) for line in log.splitlines() if re.match(r"\{.*\}$", line)]
    return [line for line in lines if line.get("message") == words]


def seed_address(smbios: str) -> str:
    """
    >>> seed_address("base64=1,serial=ZHM9bm9jbG91ZDtkc21vZGU9bmV0O3M9aHR0cDovL2gvY2kveC8=")
    'http://h/ci/x/'
    """
    return serial_number(smbios).rsplit("s=", 1)[1]


def guessed(address: str) -> str:
    """The same seed with another signature.

    >>> guessed("http://h/ci/run-1/00ff/")
    'http://h/ci/run-1/0000/meta-data'
    """
    place, token = address.rstrip("/").rsplit("/", 1)
    return f"{place}/{'0' * len(token)}/meta-data"
