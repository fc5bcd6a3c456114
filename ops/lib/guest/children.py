"""Processes that end with this one, however it ends, and a network of their own."""

import ctypes
import os
import pathlib
import signal
import subprocess

import tools

CLONE_NEWNET = 0x40000000
# Where a guest reaches loopback through QEMU's user networking; ours, too, so that one address
# serves both sides.
HOST = "10.0.2.2"

RUNNING: list["Child"] = []


class Unmet(Exception):
    """What was expected did not come about."""


def enter_own_network() -> None:
    """A network with nothing in it but loopback, and two names for that. All ports are free, and
    nothing leads out."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise Unmet(f"no network of its own can be made: {os.strerror(ctypes.get_errno())}; root may")
    for command in (["link", "set", "lo", "up"], ["address", "add", f"{HOST}/32", "dev", "lo"]):
        subprocess.run(["ip", *command], check=True, env={**os.environ, "PATH": tools.ADMIN_PATH})


class Child:
    """A process in the background, with everything it says in a file."""

    def __init__(self, name: str, command: list[str], log: pathlib.Path, **environment: str) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, "PATH": tools.ADMIN_PATH, **environment}, start_new_session=True,
            )
        RUNNING.append(self)

    def end(self, with_signal: signal.Signals = signal.SIGTERM, patience_s: float = 10) -> None:
        if self in RUNNING:
            RUNNING.remove(self)
        self.process.send_signal(with_signal)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def waited(self, patience_s: float) -> bool:
        """Whether it has ended by itself in time, as it was asked to."""
        RUNNING.remove(self)
        try:
            self.process.wait(patience_s)
            return True
        except subprocess.TimeoutExpired:
            RUNNING.append(self)
            return False


def check_alive() -> None:
    for child in RUNNING:
        if child.process.poll() is not None:
            raise Unmet(f"{child.name} has ended by itself; {child.log} says why")


def end_all() -> None:
    """The latest first."""
    while RUNNING:
        RUNNING[-1].end()
