#!/usr/bin/env python3
"""Breaks the engine's rules on purpose, one at a time, and lets simulated worlds live until one tells.

usage: ops/simulate --broken [--seeds N] [--minutes N] [RULE...]
       ops/lib/broken.py --check

Each rule is broken in a copy of the house, which is built beside the real one and thrown away. A
rule whose breach no world notices is a rule that nothing proves: then the exit code is 1. --check
builds nothing; it only says whether each place to break is still there, and there once. Each row comes
as soon as it is known, for the table in engine/BENCHMARKS.md.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWNER = "engine/runtime/src/owner"

# What is broken: a short name, the words for it, and for each place to break the file, what stands
# there, and what instead.
RULES = [
    ("cas", "the log does not compare before it appends", [
     ("tests/simulation/src/log.rs",
      "if epoch.last.get(&append.run).copied().unwrap_or(0) != append.expected {",
      "if append.commit.is_empty() {")]),
    ("early", "an owner acts before the append is acknowledged", [
     (f"{OWNER}/advance.rs",
      "            let append = write(live, transition, tell, (self.partition, self.log_epoch));\n",
      "            let early = transition.clone();\n"
      "            let append = write(live, transition, tell, (self.partition, self.log_epoch));\n"
      "            self.act(&early);\n")]),
    ("together", "facts are fed together", [
     ("engine/core/src/run.rs",
      "            for decision in self.follow(decided.events.last()) {\n"
      "                fits(&decision).and_then(|()| self.folded.apply(&decision, at))?;\n"
      "                decided.events.push(decision);\n"
      "            }\n"
      "        }\n"
      "        Ok(())",
      "        }\n"
      "        if !decided.events.is_empty() {\n"
      "            for decision in self.follow(decided.events.last()) {\n"
      "                fits(&decision).and_then(|()| self.folded.apply(&decision, at))?;\n"
      "                decided.events.push(decision);\n"
      "            }\n"
      "        }\n"
      "        Ok(())"),
     (f"{OWNER}/deciding.rs",
      "    let together = facts.iter().take_while(|fact| fact.with_next).count() + 1;\n",
      "    let together = facts.len();\n")]),
    ("timers", "timers fire two seconds early", [
     (f"{OWNER}/attempts.rs",
      "            if now < due {",
      "            if now.after(Duration::from_secs(2)) < due {")]),
    ("late", "answers to older attempts count", [
     (f"{OWNER}/proofs.rs",
      "        let Some((attempt, _)) = self.open_step(run, seq) else { return false };\n",
      "        let Some((attempt, _)) = self.open_step(run, seq) else { return false };\n"
      "        if attempt.sendings > 0 {\n            return true;\n        }\n")]),
    ("former", "a worker takes requests of former owners", [
     ("engine/runtime/src/harness.rs",
      "        *known == epoch\n",
      "        *known >= epoch\n")]),
    # Whoever slept until its end would sleep until what has passed, and simulated time stand still.
    ("lease", "an owner does not look at its lease", [
     ("engine/runtime/src/lease.rs",
      "        self.until.get()\n",
      "        self.until.get() + std::time::Duration::from_secs(1 << 20)\n"),
     ("engine/runtime/src/lease.rs",
      "        Instant::now() >= self.until.get()\n",
      "        Instant::now() >= self.until()\n")]),
    ("overtaken", "commands that were overtaken are taken in", [
     (f"{OWNER}/commands.rs",
      "        if self.is_late(&command) {",
      "        if self.is_late(&command) && command.id.is_empty() {")]),
    ("others", "messages of others in the partition are not noticed", [
     (f"{OWNER}/tail.rs",
      "        if !self.tail.knows(last) {",
      "        if last == u64::MAX && !self.tail.knows(last) {")]),
    ("loose", "a step is undone while a worker may be at it", [
     (f"{OWNER}/attempts.rs",
      "        if !at_work && !attempt.loose {",
      "        if !at_work {")]),
    ("gap", "an owner acts on what it wrote before it knows all before it", [
     (f"{OWNER}/tail.rs",
      "            if *first.key() != self.known + 1 {\n                break;\n            }\n"
      "            self.known += 1;\n",
      "            self.known = *first.key();\n")]),
    ("given-up", "a step that nobody waits for is asked for anew", [
     (f"{OWNER}/pausing.rs",
      "            _ if attempt.give_up.is_some() => {}\n", ""),
     (f"{OWNER}/attempts.rs",
      "        if attempt.give_up.is_some() {\n            return;\n        }\n        if held {\n",
      "        if held {\n")]),
    ("cancelled", "a step that was cancelled is asked for again by the next owner", [
     (f"{OWNER}/attempts.rs",
      "        if open.is_some_and(|open| open.cancelled) {",
      "        if open.is_some_and(|open| open.cancelled && !open.step.route.is_worker()) {")]),
    ("next", "a cancel hits the command that comes next", [
     ("engine/core/src/run.rs",
      "                self.can_cancel() && cancel.command.as_deref() == self.command_under_way()",
      "                self.can_cancel()")]),
    ("stopped", "what is ended by hand gives its place back at once", [
     (f"{OWNER}/pausing.rs",
      "            self.leave_when_stopped(run, seq);\n", "")]),
]


def check():
    """Whether each rule can be broken."""
    faults = 0
    for name, _, places in RULES:
        for file, old, _ in places:
            found = (ROOT / file).read_text().count(old)
            if found != 1:
                print(f"{name}: what to break stands {found} times in {file}, not once")
                faults = 1
    return faults


def copy_house(folder):
    """Copies what is there, committed or not, without what was built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def build(folder):
    """Builds the simulation of a house; the program."""
    target = ROOT / "target" / "broken"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--package", "stead-simulation",
               "--target-dir", str(target), "--manifest-path", str(folder / "Cargo.toml")]
    subprocess.run(command, check=True)
    return target / "release" / "stead-simulate"


def caught_by(simulate, seeds, minutes):
    """The first seed that told, and what is seen; the seed is nothing if no world told.

    >>> caught_by(["echo", "seed 7 broke a rule: a timer fires early"], 1, 1)
    ('7', 'a timer fires early')
    >>> caught_by(["echo", "1 seeds, 0 failed"], 20_000, 1)
    (None, 'NOT SEEN in 20000 worlds')
    >>> caught_by(["sh", "-c", "echo it panicked >&2; exit 101"], 1, 1)
    (None, 'the simulation crashed with 101: it panicked')
    >>> caught_by(["sleep", "10"], 1, 0.001)
    (None, 'a world stands still: no end after 0.001 minutes')
    """
    try:
        told = subprocess.run(simulate, capture_output=True, text=True, timeout=60 * minutes)
    except subprocess.TimeoutExpired:
        return None, f"a world stands still: no end after {minutes} minutes"
    found = re.search(r"^seed (\d+) broke a rule: (.*)$", told.stdout + told.stderr, re.MULTILINE)
    if found:
        return found.groups()
    if told.returncode:
        last = (told.stderr or told.stdout).strip().rpartition("\n")[2]
        return None, f"the simulation crashed with {told.returncode}: {last}"
    return None, f"NOT SEEN in {seeds} worlds"


def seen(folder, places, chosen):
    """What is seen of a house in which this is broken: the seed, if a world told, and the words."""
    whole = {file: (folder / file).read_text() for file, _, _ in places}
    for file, old, new in places:
        (folder / file).write_text((folder / file).read_text().replace(old, new))
    try:
        jobs = str(os.cpu_count() or 1)
        simulate = [str(build(folder)), "--seeds", str(chosen.seeds), "--failures", "1", "--jobs", jobs]
        return caught_by(simulate, chosen.seeds, chosen.minutes)
    except subprocess.CalledProcessError:
        return None, "what is broken so does not build"
    finally:
        # Written anew, so that it is built anew.
        for file, text in whole.items():
            (folder / file).write_text(text)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only look whether all can be broken")
    parser.add_argument("--seeds", type=int, default=20_000, help="worlds for each, at most (20000)")
    parser.add_argument("--minutes", type=float, default=60, help="for each, at most (60)")
    parser.add_argument("rules", nargs="*", metavar="RULE", help="only these; all if none is named")
    chosen = parser.parse_args()
    if chosen.check:
        return check()
    unknown = set(chosen.rules) - {rule[0] for rule in RULES}
    if unknown:
        parser.error(f"no such rule: {', '.join(unknown)}; there are {', '.join(r[0] for r in RULES)}")
    if check():
        return 1
    unseen = 0
    with tempfile.TemporaryDirectory(prefix="stead-broken-") as temporary:
        folder = pathlib.Path(temporary)
        copy_house(folder)
        print("| broken | seed | what was seen |\n|---|---|---|", flush=True)
        for name, words, places in RULES:
            if chosen.rules and name not in chosen.rules:
                continue
            seed, told = seen(folder, places, chosen)
            unseen += seed is None
            print(f"| {words} | {int(seed):,} | {told} |" if seed else f"| {words} | | {told} |",
                  flush=True)
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
