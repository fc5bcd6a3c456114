"""Boots real guests with what Stead serves, and asserts what becomes of them; see ops/test-guest.

    ops/lib/guest/story.py STEAD NATS_SERVER CACHE SUITE KEEP WITHIN

A workspace of the lab's is a real machine here: QEMU boots it with the serial number that the
Proxmox worker has set, cloud-init fetches its seed from Stead's seed server, and its home is on a
real NFS server. The lab stands for everything else.
"""

import hashlib
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

import children
import image
import nfs
import stead
from children import Unmet
from machine import Machine, is_fast, serial_number
from stead import until

# Emulated on a busy machine, a boot may take this long; the workflow waits no longer, either.
BOOT_S = 900
# How long something that must not happen is given to happen.
IDLE_S = 8
# How long an agent may take once its home is there.
AGENT_S = 90

Found = TypeVar("Found")


def main() -> int:
    program, nats_server, cache, suite, keep, within = sys.argv[1:]
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stead-test-guest-"))
    told = Told()
    code = 1
    try:
        built = told.of(f"an image of Debian {suite}", lambda: image.ready(pathlib.Path(cache), suite))
        children.enter_own_network()
        Story(folder, built, program, nats_server, told).tell()
        if told.seconds() > float(within):
            raise Unmet(f"all of it has taken longer than {within} s")
        code = 0
    except (Unmet, OSError) as error:
        print(f"{told.seconds():7.1f} s  FAILED  {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    finally:
        children.end_all()
        told.end(folder, kept=keep == "keep" or code == 1)
    return code


def interrupt(*_: object) -> None:
    """Once; what is put in order after that takes a moment, and is not interrupted."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


class Told:
    """What is said while it happens."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.good = 0

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def scene(self, words: str) -> None:
        print(f"\n{words}", flush=True)

    def of(self, words: str, look: Callable[[], Found]) -> Found:
        """Says that it is so, once `look` has not objected."""
        found = look()
        self.good += 1
        print(f"{self.seconds():7.1f} s  ok  {words}", flush=True)
        return found

    def end(self, folder: pathlib.Path, kept: bool) -> None:
        if kept:
            print(f"\nlogs, consoles and the home are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"\n{self.good} assertions hold, after {self.seconds():.0f} s")


class Story:
    """One workspace from its first boot to its delete."""

    def __init__(
        self, folder: pathlib.Path, built: image.Image, program: str, nats_server: str, told: Told,
    ) -> None:
        self.folder, self.built, self.told = folder, built, told
        self.stead = stead.Platform(folder, program, nats_server)
        self.gate = nfs.Gate(("127.0.0.1", nfs.PORT), ("127.0.0.1", nfs.BEHIND))
        # What was seen of each boot's agent, and each boot's token.
        self.seen: list[dict] = []
        self.tokens: list[str] = []

    def tell(self) -> None:
        self.set_up()
        self.first_boot()
        self.server_dies_while_running()
        self.reboot()
        self.boot_without_server()
        self.afterwards()

    def set_up(self) -> None:
        self.machine = Machine(self.built, self.folder / "machine", is_fast(self.built, self.folder))
        self.told.of("a platform: nats-server, lab, engine, workers and the seed server", self.stead.start)

    # The scenes.

    def first_boot(self) -> None:
        say, ok = self.told.scene, self.told.of
        say("First boot, while the NFS server takes connections and says nothing")
        self.stead.run("bucket", "create", stead.WORKSPACE, "--wait")
        create = self.stead.order("create")
        self.serve_home()
        self.gate.fall_silent()
        self.power_on(create)
        ok("the machine's serial number leads to its seed", self.has_announcement)
        ok("the guest has fetched its seed", lambda: self.await_log("a guest fetched its seed", BOOT_S))
        ok("the guest tries to mount its home", lambda: until("a connection", self.gate.knocked.is_set, BOOT_S))
        ok("the stage of its boot shows to who asks for the workspace", lambda: until("a stage", self.shows_stage, BOOT_S))
        ok("its boot goes on meanwhile, to the end of cloud-init", lambda: self.await_event("modules-final", "finish"))
        ok("no agent has started", lambda: self.never("an agent woke up", self.machine.agents))
        say("The server answers, and the home belongs to root")
        self.gate.open()
        ok("the guest reports that its user cannot write", lambda: self.await_report("home-failed", AGENT_S))
        ok("no agent has started", lambda: self.never("an agent woke up", self.machine.agents))
        say("The home is given to its user")
        shutil.chown(self.server.export, 1000, 1000)
        ok("the guest reports that its home is verified", lambda: self.await_report("home-verified", AGENT_S))
        self.agent_is_right()
        ok("the token's file belongs to root and opens to nobody else", self.has_closed_token)
        ok("tools find in the home where the models are", self.has_tools)
        ok("the workspace is ready", lambda: self.await_done(create))

    def server_dies_while_running(self) -> None:
        say, ok = self.told.scene, self.told.of
        say("The NFS server dies while the agent works, and comes back")
        before = until("a beat", self.beat, AGENT_S)
        self.gate.shut()
        self.server.die()
        ok("nothing is written while it is away", lambda: self.never("a beat", lambda: self.beat() != before))
        self.server.start()
        self.gate.open()
        ok("the same agent goes on writing", lambda: until("another beat", lambda: self.beat_on(before), AGENT_S))
        ok("and is still connected", lambda: self.expect(self.stead.agent() == "connected", "it is not"))

    def reboot(self) -> None:
        say, ok = self.told.scene, self.told.of
        say("Stopped and started again, with a server that answers at once")
        self.stop()
        (self.server.export / ".codex/config.toml").write_text("mine", "utf-8")
        start = self.start()
        ok("the guest reports that its home is verified", lambda: self.await_report("home-verified", BOOT_S))
        self.agent_is_right()
        ok("the agent has another token than before", self.has_fresh_token)
        ok("what its user has changed for a tool is his", self.has_kept_change)
        ok("what the first boot wrote is still there", lambda: self.expect(len(self.written()) == 2, self.written()))
        ok("the workspace is ready", lambda: self.await_done(start))

    def boot_without_server(self) -> None:
        say, ok = self.told.scene, self.told.of
        say("Stopped and started again, with no server at all")
        self.stop()
        self.gate.shut()
        self.server.die()
        start = self.start()
        failed = "Dependency failed for coder-agent.service"
        ok("the mount fails", lambda: until("a failed mount", lambda: failed in self.machine.console(), BOOT_S))
        ok("no agent has started", lambda: self.never("an agent woke up", self.machine.agents))
        self.server.start()
        self.gate.open()
        say("The server comes back, and nobody does anything")
        ok("the guest reports that its home is verified", lambda: self.await_report("home-verified", AGENT_S))
        self.agent_is_right()
        ok("the agent has another token than before", self.has_fresh_token)
        ok("the workspace is ready", lambda: self.await_done(start))

    def afterwards(self) -> None:
        say, ok = self.told.scene, self.told.of
        say("Deleted")
        address = stead.seed_address(self.announced)
        ok("a seed's address with a guessed signature leads nowhere",
           lambda: self.is_status(stead.guessed(address), 404))
        ok("the seed's own address is good", lambda: self.is_status(address + "meta-data", 200))
        self.stead.order("delete")
        until("the machine is off", lambda: self.stead.machine() is None, AGENT_S)
        self.machine.power_off()
        ok("machine, home and Coder workspace are gone", lambda: until("nothing", self.is_all_gone, AGENT_S))
        ok("the seed's address leads nowhere",
           lambda: until("404", lambda: stead.status(address + "meta-data") == 404, AGENT_S))
        ok("the key to the models lies beside the agent's token", self.has_key)
        ok("and so does the bucket", self.has_bucket)
        ok("tools are told of the MCP servers, and of no token", self.has_servers)
        ok("nothing was written beneath the mount, where nothing can be", self.is_clean_beneath)
        ok("no token is in the home or on a console", self.is_no_token_about)

    # What is done.

    def serve_home(self) -> None:
        source = until("the home is there", lambda: self.stead.view()["view"].get("home_source"), AGENT_S)
        host, path = source.split(":", 1)
        self.expect(host == children.HOST, source)
        self.source = source
        self.server = nfs.Server(self.folder / "nfs", path)
        self.server.start()

    def power_on(self, command: str) -> None:
        """As soon as the lab's machine is on."""
        machine = until("the machine is on", lambda: self.stead.machine() or self.has_failed(command), AGENT_S)
        self.log_start = self.stead.log_end()
        self.announced = machine["smbios1"]
        self.machine.power_on(self.announced)

    def stop(self) -> None:
        command = self.stead.order("stop")
        until("the machine is off", lambda: self.stead.machine() is None, AGENT_S)
        self.told.of("the guest shuts down in order", self.machine.power_off)
        self.await_done(command)

    def start(self) -> str:
        command = self.stead.order("start")
        self.power_on(command)
        return command

    # What is waited for.

    def await_log(self, words: str, within_s: float) -> dict:
        return until(words, lambda: self.stead.logged(words, self.log_start), within_s)[0]

    def await_event(self, name: str, kind: str) -> dict:
        def look() -> list[dict]:
            events = self.stead.logged("cloud-init", self.log_start)
            return [event for event in events if (event["name"], event["kind"]) == (name, kind)]
        return until(f"{name} {kind}", look, BOOT_S)[0]

    def await_report(self, stage: str, within_s: float) -> dict:
        def look() -> list[dict]:
            reports = self.stead.logged("a guest reports", self.log_start)
            return [report for report in reports if report["stage"] == stage]
        return until(f"the report {stage}", look, within_s)[0]

    def await_done(self, command: str) -> None:
        outcome = until("an outcome", lambda: self.stead.outcome(command), AGENT_S)
        self.expect("done" in outcome, json.dumps(outcome))

    def is_all_gone(self) -> bool:
        return not any(self.stead.inventory()[kind] for kind in ["vms", "datasets", "coder_workspaces"])

    def has_failed(self, command: str) -> None:
        outcome = self.stead.outcome(command)
        self.expect(not outcome, json.dumps(outcome))

    def never(self, words: str, look: Callable[[], object]) -> None:
        """Gives it some time to happen."""
        end = time.monotonic() + IDLE_S
        while time.monotonic() < end:
            self.expect(not look(), words)
            children.check_alive()
            time.sleep(stead.LOOK_EVERY_S)

    # What is asserted.

    def expect(self, is_so: bool, words: object) -> None:
        if not is_so:
            raise Unmet(str(words))

    def has_announcement(self) -> None:
        serial = serial_number(self.announced)
        self.expect(serial.startswith(f"ds=nocloud;dsmode=net;s=http://{children.HOST}:{stead.SEEDS}/ci/"), serial)

    def agent_is_right(self) -> None:
        """What the agent of this boot saw when it woke up."""
        ok = self.told.of
        [seen] = ok("one agent has started", self.one_agent)
        ok("on a home that was mounted from the right place",
           lambda: self.expect(seen["home"].split() == ["nfs4", self.source], seen["home"]))
        ok("and verified", lambda: self.expect("code=exited ; status=0" in seen["verified"], seen["verified"]))
        ok("as the user coder, 1000", lambda: self.expect((seen["user"], seen["uid"]) == ("coder", 1000), seen))
        ok("with the token of the latest build", lambda: self.has_token(seen))
        ok("and is connected to Coder",
           lambda: until("a connection", lambda: self.stead.agent() == "connected", AGENT_S))
        self.seen.append(seen)

    def one_agent(self) -> list[dict]:
        agents = until("an agent", self.machine.agents, AGENT_S)
        self.expect(len(agents) == 1, f"{len(agents)} agents have started")
        return [json.loads(agent) for agent in agents]

    def has_token(self, seen: dict) -> None:
        token = self.stead.agent_token()
        self.tokens.append(token)
        self.expect(seen["token"] == hashlib.sha256(token.encode()).hexdigest(), "it is another one")

    def has_fresh_token(self) -> None:
        tokens = {seen["token"] for seen in self.seen}
        self.expect(len(tokens) == len(self.seen), "a token was used twice")

    def has_closed_token(self) -> None:
        seen = self.seen[-1]
        self.expect(seen["env_file"] == ["0o600", 0] and not seen["env_opens"], seen)

    def has_tools(self) -> None:
        self.tokens.append(stead.MODEL_KEY)
        for name in [".aider.conf.yml", ".claude/settings.json", ".codex/config.toml"]:
            file = self.server.export / name
            seen = file.stat()
            self.expect(stead.MODELS in file.read_text("utf-8"), name)
            self.expect((seen.st_uid, seen.st_mode & 0o777) == (1000, 0o600), f"{name}: {seen}")

    def has_key(self) -> None:
        lines = self.machine.holds("/etc/coder-agent/env").splitlines()
        self.expect(f"OPENAI_API_KEY={stead.MODEL_KEY}" in lines, "it does not")

    def has_bucket(self) -> None:
        lines = self.machine.holds("/etc/coder-agent/env").splitlines()
        self.expect(f"S3_BUCKET_NAME={stead.OWNER}-{stead.WORKSPACE}" in lines, "it does not")

    def has_servers(self) -> None:
        told = self.machine.holds("/etc/stead/mcp.yaml")
        self.expect(f"{stead.SERVERS}/mcp/outline" in told and "$CODER_AGENT_TOKEN" in told, told)

    def shows_stage(self) -> bool:
        return any("cloud-init" in waiting["words"] for waiting in self.stead.view()["waiting"])

    def has_kept_change(self) -> None:
        self.expect((self.server.export / ".codex/config.toml").read_text("utf-8") == "mine", "it is not")
        self.expect(stead.MODELS in (self.server.export / ".aider.conf.yml").read_text("utf-8"), "nor the rest")

    def beat(self) -> str:
        path = self.server.export / "beat"
        return path.read_text("utf-8") if path.exists() else ""

    def beat_on(self, before: str) -> bool:
        """Whether the same agent, in the same boot, has written since."""
        now, then = self.beat().split() or ["", "", "0"], before.split()
        return now[:2] == then[:2] and int(now[2]) > int(then[2])

    def written(self) -> list[str]:
        return sorted(path.name for path in (self.server.export / "seen").iterdir())

    def is_status(self, url: str, wanted: int) -> None:
        found = stead.status(url)
        self.expect(found == wanted, f"{found} for {url}")

    def is_clean_beneath(self) -> None:
        names, immutable = self.machine.beneath("/home/coder")
        self.expect(not names, f"there is {', '.join(names)}")
        self.expect(immutable, "it is not immutable")

    def is_no_token_about(self) -> None:
        places = [self.folder / "nfs", self.folder / "machine", self.stead.log]
        files = [path for place in places for path in [place, *place.rglob("*")] if path.is_file()]
        texts = [path for path in files if path.name != "disk.raw"]
        for token in self.tokens:
            found = [path.name for path in texts if token.encode() in path.read_bytes()]
            self.expect(not found, f"one is in {', '.join(found)}")


if __name__ == "__main__":
    sys.exit(main())
