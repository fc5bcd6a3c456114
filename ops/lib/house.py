#!/usr/bin/env python3
"""The rules of the house that no compiler knows.

    ops/lib/house.py

* Every Rust file opens with its head, `//!`, and is no longer than a reader's patience; nor is
  any function.
* The crates know each other, and what they depend on, only as ARCHITECTURE.md says.
* No package registry is named: which one is used is a matter of the machine, not of ours.

Prints each breach with its place, and fails if there is one.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# Which crate of ours each crate may use. Nobody may use those of `NOBODY_USES`.
MAY_USE = {
    "stead-schemas": set(),
    "stead-core": {"stead-schemas"},
    "stead-testkit": {"stead-core", "stead-schemas"},
    "stead-workflows": {"stead-core", "stead-schemas"},
    "stead-runtime": {"stead-core", "stead-schemas"},
    "stead-nats": {"stead-core", "stead-runtime", "stead-schemas"},
    "stead-index": {"stead-runtime", "stead-schemas"},
    "stead-workers": {"stead-runtime", "stead-schemas"},
    "stead-lab": set(),
    "stead-contract": {"stead-lab"},
    "stead-simulation": {"stead-core", "stead-runtime", "stead-schemas", "stead-workflows"},
    "stead-fuzz": {
        "stead-core", "stead-index", "stead-nats", "stead-runtime", "stead-schemas", "stead-workers",
        "stead-workflows",
    },
    "stead": {
        "stead-core", "stead-index", "stead-lab", "stead-nats", "stead-runtime",
        "stead-schemas", "stead-workers", "stead-workflows",
    },
    "stead-tests": set(),
}
NOBODY_USES = {"stead", "stead-tests", "stead-simulation", "stead-fuzz"}

# Crates that may be exchanged one day are known in one place only.
KNOWN_ONLY_TO = {"async-nats": "stead-nats", "sled": "stead-index", "bincode": "stead-index"}

# Rooms that can do no I/O, since there is nothing in them to do it with: no standard library,
# and of other people's crates only these, without features that bring it back.
PURE = {"stead-schemas", "stead-core", "stead-testkit", "stead-workflows"}
PURE_MAY_USE = {
    "chrono", "chrono-tz", "miniz_oxide", "schemars", "serde", "serde_json", "sha2", "thiserror",
}
IMPURE_FEATURES = {"default", "std", "clock", "now"}

# In pieces, so that this file does not break its own rule.
REGISTRIES = [
    ".".join(pieces)
    for pieces in [
        ("index", "crates", "io"), ("static", "crates", "io"), ("pypi", "org"),
        ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"),
        ("proxy", "golang", "org"), ("registry-1", "docker", "io"),
    ]
]


def main() -> int:
    breaches = [*check_files(), *check_crates(workspace())]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


def check_files():
    for path in sorted(files()):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        yield from (f"{name}:{breach}" for breach in check_words(text))
        if path.suffix == ".rs":
            yield from (f"{name}:{breach}" for breach in check_rust(text))


def files():
    """All files but those that tools make; this folder need not be a repository."""
    for folder, folders, names in os.walk(ROOT):
        here = pathlib.Path(folder)
        folders[:] = [name for name in folders if is_ours(here / name)]
        yield from (here / name for name in names if not (here / name).is_symlink())


def is_ours(folder: pathlib.Path) -> bool:
    return folder.name not in {".git", ".tools", "__pycache__"} and not (folder / "CACHEDIR.TAG").exists()


def check_words(text: str):
    for number, line in enumerate(text.splitlines(), 1):
        for registry in REGISTRIES:
            if registry in line:
                yield f"{number}: names the package registry {registry}"


def check_rust(text: str):
    """
    >>> list(check_rust("fn main() {}"))
    ['1: has no head: a file opens with `//!` and what lives in it']
    >>> list(check_rust("//! Much." + "\\n" * 501))
    ['501: is longer than 500 lines']
    >>> list(check_rust("//! Much.\\nfn much() {" + "\\n" * 70 + "}"))
    ['2: the function `much` has 71 lines, and may have 70']
    """
    if not text.startswith("//!"):
        yield "1: has no head: a file opens with `//!` and what lives in it"
    if len(text.splitlines()) > FILE_LINES_MAX:
        yield f"{FILE_LINES_MAX + 1}: is longer than {FILE_LINES_MAX} lines"
    for line, name, length in functions(text):
        if length > FUNCTION_LINES_MAX:
            yield f"{line}: the function `{name}` has {length} lines, and may have {FUNCTION_LINES_MAX}"


def functions(text: str):
    """Where each function with a body begins, its name, and its length from `fn` to `}`.

    >>> list(functions("fn a() {\\n if b { '}' } else { \\"}\\" }\\n}\\nfn c(x: [u8; 2]);"))
    [(1, 'a', 3)]
    >>> list(functions('fn a<\\'a>() -> &\\'a str { r#"{"{"# } // {\\nfn b() { /* { /* { */ */ }'))
    [(1, 'a', 1), (2, 'b', 1)]
    """
    code = bare(text)
    for match in re.finditer(r"\bfn\s+(\w+)", code):
        end = end_of_body(code, match.end())
        if end is not None:
            line = code.count("\n", 0, match.start()) + 1
            yield line, match[1], code.count("\n", match.start(), end) + 1


def end_of_body(code: str, at: int):
    """Where the body that begins after `at` ends; nothing if there is only a signature."""
    inside, braces = 0, 0
    for at in range(at, len(code)):
        letter = code[at]
        if letter in "([":
            inside += 1
        elif letter in ")]":
            inside -= 1
        elif letter == ";" and inside == 0 and braces == 0:
            return None
        elif letter == "{":
            braces += 1
        elif letter == "}":
            braces -= 1
            if braces == 0:
                return at
    return None


# What may hold braces that are none: comments, texts, letters. A lifetime is not a letter.
NOT_CODE = re.compile(
    r"""//[^\n]* | /\* | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes) | "(?:\\.|[^"\\])*"
      | '(?:\\u\{[0-9a-fA-F_]+\}|\\x..|\\.|[^'\\\n])'""",
    re.VERBOSE | re.DOTALL,
)


def bare(text: str) -> str:
    """The text with spaces for whatever is not code; lines stay where they are.

    >>> bare("a // b\\nc /* d /* e */ f */ g 'h' 'i")
    "a     \\nc                   g     'i"
    """
    pieces, at = [], 0
    while match := NOT_CODE.search(text, at):
        end = end_of_comment(text, match.start()) if match[0] == "/*" else match.end()
        pieces += [text[at : match.start()], re.sub(r"[^\n]", " ", text[match.start() : end])]
        at = end
    return "".join([*pieces, text[at:]])


def end_of_comment(text: str, begin: int) -> int:
    """Comments stand in comments."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, begin):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def workspace() -> list[dict]:
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(said.stdout)["packages"]


def check_crates(crates: list[dict]):
    for crate in crates:
        name, manifest = crate["name"], pathlib.Path(crate["manifest_path"])
        breaches = [*check_use(name, crate["dependencies"])]
        if name in PURE:
            breaches += [*check_pure(crate["dependencies"]), *check_front_door(manifest)]
        yield from (f"{manifest.relative_to(ROOT)}: {name} {breach}" for breach in breaches)


def check_use(name: str, dependencies: list[dict]):
    """
    >>> def check(name, used, kind=None): print(*check_use(name, [{"name": used, "kind": kind}]))
    >>> check("stead-lab", "tokio")
    <BLANKLINE>
    >>> check("stead-lab", "stead-core", "dev")
    <BLANKLINE>
    >>> check("stead-lab", "stead-core")
    may not use stead-core
    >>> check("stead-tests", "stead", "dev")
    may not use stead: nobody may
    >>> check("stead-tests", "sled", "dev")
    may not use sled: only stead-index knows it
    >>> check("stead-new", "tokio")
    is in no table of ops/lib/house.py: say there what it may use
    """
    if name not in MAY_USE:
        yield "is in no table of ops/lib/house.py: say there what it may use"
        return
    for dependency in dependencies:
        used, only_tests = dependency["name"], dependency["kind"] == "dev"
        if used in NOBODY_USES:
            yield f"may not use {used}: nobody may"
        elif used in MAY_USE and not only_tests and used not in MAY_USE[name]:
            yield f"may not use {used}"
        elif KNOWN_ONLY_TO.get(used, name) != name:
            yield f"may not use {used}: only {KNOWN_ONLY_TO[used]} knows it"


def check_pure(dependencies: list[dict]):
    """
    >>> def check(used, kind=None, default=False, features=()):
    ...     of = {"name": used, "kind": kind, "uses_default_features": default, "features": features}
    ...     print(*check_pure([of]))
    >>> check("tokio")
    is pure, and may not use tokio
    >>> check("tokio", kind="dev")
    <BLANKLINE>
    >>> check("chrono", features=["clock"])
    is pure, and may not use chrono with the feature `clock`
    >>> check("serde", default=True)
    is pure, and may not use serde with the feature `default`
    """
    for dependency in dependencies:
        used = dependency["name"]
        if dependency["kind"] == "dev" or used in MAY_USE:
            continue
        if used not in PURE_MAY_USE:
            yield f"is pure, and may not use {used}"
            continue
        features = set(dependency["features"])
        if dependency["uses_default_features"]:
            features.add("default")
        for feature in sorted(features & IMPURE_FEATURES):
            yield f"is pure, and may not use {used} with the feature `{feature}`"


def check_front_door(manifest: pathlib.Path):
    if "#![no_std]" not in (manifest.parent / "src" / "lib.rs").read_text(encoding="utf-8"):
        yield "is pure, and its src/lib.rs must say #![no_std]"


if __name__ == "__main__":
    sys.exit(main())
