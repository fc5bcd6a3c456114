#!/usr/bin/env python3
"""Builds the stead program and prints its path; says on standard error how far it is.

    program=$(ops/lib/build.py [--release])

Quiet where there is nothing to build. What the compiler says is shown only if it fails.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CARGO = ["build", "--locked", "--package", "stead", "--bin", "stead"]

# A build that ends sooner had nothing to do, and is not worth a word.
SILENT_S = 1.5
# How often something is said where no line can be written over.
REPORT_S = 60


def main() -> int:
    release = parse(sys.argv[1:])
    cargo = find_cargo()
    check_rust(cargo)
    find_linker()
    build = Build([cargo, *CARGO, *release, "--message-format=json-render-diagnostics"])
    return build.run()


def parse(arguments: list[str]) -> list[str]:
    if arguments in ([], ["--release"]):
        return arguments
    sys.exit("usage: ops/lib/build.py [--release]")


def die(what: str, *then: str) -> None:
    sys.exit("\n  ".join([f"error: {what}", *then]))


def find_cargo() -> str:
    """Cargo on PATH, or where rustup puts it: a fresh installation is on PATH only after the
    next login."""
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "bin"
    found = shutil.which("cargo") or shutil.which("cargo", path=str(home))
    if not found:
        die(
            "cargo is not here, and Stead is built from its source",
            f"Install Rust {wanted_rust()} or newer, for example with rustup",
        )
    # Cargo finds its compiler on PATH.
    os.environ["PATH"] += os.pathsep + str(home)
    return found


def wanted_rust() -> str:
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^rust-version = "([\d.]+)"', text, re.MULTILINE)[1]


def check_rust(cargo: str) -> None:
    said = subprocess.run([cargo, "--version"], cwd=ROOT, capture_output=True, text=True)
    found = re.match(r"cargo (\d+)\.(\d+)", said.stdout)
    if not found:
        die("cargo does not run", *(said.stdout + said.stderr).strip().splitlines())
    wanted = tuple(map(int, wanted_rust().split(".")[:2]))
    if tuple(map(int, found.groups())) < wanted:
        die(
            f"{found[0]} is too old: Stead needs Rust {wanted_rust()} or newer",
            "With rustup: rustup update stable. Debian's own packages are older; take rustup.",
        )


def find_linker() -> None:
    """Rust links with the C compiler; the cryptography is partly C, and so is the allocator."""
    missing = [tool for tool in ("cc", "make") if not shutil.which(tool)]
    if not missing:
        return
    packages, tools = "gcc libc6-dev make", " and no ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        die(f"there is no {tools}", f"On Debian and Ubuntu: apt-get install {packages}")
    print(f"there is no {tools}: installing {packages}", file=sys.stderr)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for verb in ("update -qq", f"install -y -qq {packages}"):
        done = subprocess.run(["apt-get", *verb.split()], env=quiet, stdout=sys.stderr)
    if done.returncode != 0 or not all(map(shutil.which, missing)):
        die(f"{' and '.join(missing)} could not be installed", f"Try it by hand: apt-get install {packages}")


class Build:
    """One run of cargo and what it has said so far."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.said: list[str] = []
        self.how_far = ""
        self.program = ""
        self.over = threading.Event()

    def run(self) -> int:
        shown = {**os.environ, "CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "80"}
        shown["CARGO_TERM_COLOR"] = "always" if sys.stderr.isatty() else "never"
        cargo = subprocess.Popen(
            self.command, cwd=ROOT, env=shown, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace",
        )
        threads = [
            threading.Thread(target=work, args=of, daemon=True)
            for work, of in [(self.listen, [cargo.stderr]), (self.collect, [cargo.stdout]), (self.report, [])]
        ]
        for thread in threads:
            thread.start()
        try:
            code = cargo.wait()
        except KeyboardInterrupt:
            # The terminal has told cargo, too; it puts its things in order first.
            cargo.wait()
            code = 130
        self.over.set()
        for thread in threads:
            thread.join()
        return self.ended(code)

    def listen(self, stderr) -> None:
        """Takes cargo's progress bar apart from what is worth keeping."""
        for line in stderr:
            for piece in filter(None, re.split(r"\r|\x1b\[K", line.rstrip("\n"))):
                if bar := re.search(r"Building.*\] (\d+)/(\d+)", piece):
                    self.how_far = f": {bar[1]} of {bar[2]} parts"
                elif "waiting for file lock" in piece:
                    self.how_far = ": another cargo is at work here, waiting for it"
                else:
                    self.said.append(piece)

    def collect(self, stdout) -> None:
        """Cargo itself says where the program is, whatever the target folder is called."""
        for line in stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "stead":
                self.program = message.get("executable") or self.program

    def report(self) -> None:
        began = time.monotonic()
        if self.over.wait(SILENT_S):
            return
        say("building stead (the first time, this takes a few minutes)")
        terminal = sys.stderr.isatty()
        while not self.over.wait(1 if terminal else REPORT_S):
            now = f"building stead{self.how_far}, {time.monotonic() - began:.0f} s"
            say(f"\r\x1b[K{now}" if terminal else now, end="" if terminal else "\n")
        if terminal:
            say("\r\x1b[K", end="")

    def ended(self, code: int) -> int:
        if code == 0 and self.program:
            print(self.program)
            return 0
        if code == 130:
            return code
        say("\n".join(line for line in self.said if not re.match(r"\s*(\x1b\[\S*?m)*\s*(Compiling|Fresh|Downloaded)\b", line)))
        say("error: stead could not be built")
        return code or 1


def say(words: str, end: str = "\n") -> None:
    print(words, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
