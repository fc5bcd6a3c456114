#!/usr/bin/env python3
"""Breaks the engine's rules on purpose, one at a time, and lets simulated worlds live until one tells.

usage: ops/simulate --broken [--seeds N] [RULE...]
       ops/lib/broken.py --check

Each rule is broken in a copy of the house, which is built beside the real one and thrown away. A
rule whose breach no world notices is a rule that nothing proves: then the exit code is 1. --check
builds nothing; it only says whether each place to break is still there, and there once.
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

# What is broken: a short name, the words for it, the file, what stands there, and what instead.
RULES = [
    ("cas", "the log does not compare before it appends", "tests/simulation/src/log.rs",
     "if epoch.last.get(&append.run).copied().unwrap_or(0) != append.expected {",
     "if append.commit.is_empty() {"),
    ("early", "an owner acts before the append is acknowledged", f"{OWNER}/advance.rs",
     "            let append = write(live, transition, tell, (self.partition, self.log_epoch));\n",
     "            let early = transition.clone();\n"
     "            let append = write(live, transition, tell, (self.partition, self.log_epoch));\n"
     "            self.act(&early);\n"),
    ("together", "facts are fed together", "engine/core/src/run.rs",
     "            for decision in self.follow(decided.events.last()) {\n"
     "                fits(&decision).and_then(|()| self.folded.apply(&decision, at))?;\n"
     "                decided.events.push(decision);\n"
     "            }\n"
     "        }\n"
     "        Ok(decided)",
     "        }\n"
     "        if !decided.events.is_empty() {\n"
     "            for decision in self.follow(decided.events.last()) {\n"
     "                fits(&decision).and_then(|()| self.folded.apply(&decision, at))?;\n"
     "                decided.events.push(decision);\n"
     "            }\n"
     "        }\n"
     "        Ok(decided)"),
    ("timers", "timers fire two seconds early", f"{OWNER}/attempts.rs",
     "            if now < due {",
     "            if now.after(Duration::from_secs(2)) < due {"),
    ("late", "answers to older attempts count", f"{OWNER}/proofs.rs",
     "        let Some((attempt, _)) = self.open_step(run, seq) else { return false };\n",
     "        let Some((attempt, _)) = self.open_step(run, seq) else { return false };\n"
     "        if attempt.sendings > 0 {\n            return true;\n        }\n"),
    ("former", "a worker takes requests of former owners", "engine/runtime/src/harness.rs",
     "        if request.epoch < *known {",
     "        if request.step.is_empty() {"),
    ("lease", "an owner does not look at its lease", f"{OWNER}/mod.rs",
     "        if self.lease.is_over() {\n            self.stopped.get_or_insert(Stopped::LeaseOver);",
     "        if self.lease.is_over() && self.dirty.len() > 9_999 {\n"
     "            self.stopped.get_or_insert(Stopped::LeaseOver);"),
    ("overtaken", "commands that were overtaken are taken in", f"{OWNER}/commands.rs",
     "        if self.is_late(&command) {",
     "        if self.is_late(&command) && command.id.is_empty() {"),
    ("others", "messages of others in the partition are not noticed", f"{OWNER}/tail.rs",
     "        if !self.tail.knows(last) {",
     "        if last == u64::MAX && !self.tail.knows(last) {"),
    ("loose", "a step is undone while a worker may be at it", f"{OWNER}/attempts.rs",
     "        if !at_work && !attempt.loose {",
     "        if !at_work {"),
    ("gap", "an owner acts on what it wrote before it knows all before it", f"{OWNER}/tail.rs",
     "            if *first.key() != self.known + 1 {\n                break;\n            }\n"
     "            self.known += 1;\n",
     "            self.known = *first.key();\n"),
    ("given-up", "a step that nobody waits for is asked for anew", f"{OWNER}/pausing.rs",
     "            _ if attempt.give_up.is_some() => {}\n", ""),
    ("stopped", "what is ended by hand gives its place back at once", f"{OWNER}/pausing.rs",
     "            self.leave_when_stopped(run, seq);\n", ""),
]


def check():
    """Whether each rule can be broken."""
    faults = 0
    for rule in RULES:
        name, _, file, old, _ = rule
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


def caught_by(folder, seeds):
    """The first seed that told, and the rule that it said was broken; nothing if none did."""
    target = ROOT / "target" / "broken"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--package", "stead-simulation",
               "--target-dir", str(target), "--manifest-path", str(folder / "Cargo.toml")]
    subprocess.run(command, check=True)
    simulate = [str(target / "release" / "stead-simulate"), "--seeds", str(seeds), "--failures", "1",
                "--jobs", str(os.cpu_count() or 1)]
    told = subprocess.run(simulate, capture_output=True, text=True)
    found = re.search(r"^seed (\d+) broke a rule: (.*)$", told.stdout + told.stderr, re.MULTILINE)
    return found.groups() if found else None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only look whether all can be broken")
    parser.add_argument("--seeds", type=int, default=20_000, help="worlds for each, at most (20000)")
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
        for name, words, file, old, new in RULES:
            if chosen.rules and name not in chosen.rules:
                continue
            whole = (folder / file).read_text()
            (folder / file).write_text(whole.replace(old, new))
            told = caught_by(folder, chosen.seeds)
            # Written anew, so that it is built anew.
            (folder / file).write_text(whole)
            unseen += told is None
            seen = f"seed {told[0]}: {told[1]}" if told else f"NOT SEEN in {chosen.seeds} worlds"
            print(f"{words}: {seen}", flush=True)
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main())
