#!/usr/bin/python3
"""The agent in the guests of ops/test-guest: stands where Coder's would, and tells what it sees.

It says so on its standard output, writes it into the home, then connects to Coder and writes a
beat into the home once a second for as long as the connection stands. Secrets it tells only as
their hash.
"""

import base64
import hashlib
import json
import os
import pathlib
import pwd
import socket
import subprocess
import threading
import time
import urllib.parse

HOME = pathlib.Path("/home/coder")
ENV_FILE = pathlib.Path("/etc/coder-agent/env")


def main() -> None:
    seen = look()
    print("AGENT " + json.dumps(seen), flush=True)
    (HOME / "seen").mkdir(exist_ok=True)
    (HOME / "seen" / f"{seen['boot']}.json").write_text(json.dumps(seen), "utf-8")
    connection = connect(os.environ["CODER_AGENT_URL"], os.environ["CODER_AGENT_TOKEN"])
    threading.Thread(target=beat, args=[seen["boot"]], daemon=True).start()
    while connection.recv(4096):
        pass


def look() -> dict:
    """Where the agent has woken up."""
    return {
        "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip(),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "uid": os.getuid(),
        "home": said("findmnt", "--noheadings", "--output", "FSTYPE,SOURCE", "--mountpoint", str(HOME)),
        "verified": said("systemctl", "show", "--property=ExecStartPre", "--value", "coder-agent"),
        "token": hashlib.sha256(os.environ["CODER_AGENT_TOKEN"].encode()).hexdigest(),
        "env_file": [oct(ENV_FILE.stat().st_mode & 0o7777), ENV_FILE.stat().st_uid],
        "env_opens": os.access(ENV_FILE, os.R_OK),
    }


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return " ".join(done.stdout.split())


def connect(url: str, token: str) -> socket.socket:
    """A WebSocket to the door of agents, on which nothing is said."""
    at = urllib.parse.urlsplit(url)
    connection = socket.create_connection((at.hostname, at.port or 80), timeout=30)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /api/v2/workspaceagents/me/rpc HTTP/1.1\r\nHost: {at.netloc}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nCoder-Session-Token: {token}\r\n\r\n".encode()
    )
    status = connection.recv(4096).split(b"\r\n")[0].decode()
    print(f"AGENT-CONNECTS {status}", flush=True)
    if " 101 " not in status:
        raise SystemExit(1)
    connection.settimeout(None)
    return connection


def beat(boot: str) -> None:
    count = 0
    while True:
        count += 1
        try:
            (HOME / "beat").write_text(f"{boot} {os.getpid()} {count}", "utf-8")
        except OSError as error:
            print(f"AGENT-BEAT-FAILED {error}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
