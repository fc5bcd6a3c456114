#!/usr/bin/env python3
"""What other people's crates we are made of, and whether we may be.

    ops/lib/crates.py check     names every crate whose licence or origin is not allowed, every one that
                                is there twice and may not be, and every one of Cargo.lock that the
                                bill of materials does not name
    ops/lib/crates.py sbom      prints a bill of materials (CycloneDX 1.5, JSON)

What is allowed stands in `ops/deny.toml`, which `cargo deny` reads, too. Both ask `cargo metadata`
only, and need no network. Whether a crate has a known weakness, neither can tell: that needs a
database which is fetched anew each time (`cargo audit`).
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]

RULES = tomllib.loads((ROOT / "ops" / "deny.toml").read_text(encoding="utf-8"))
LICENCES = set(RULES["licenses"]["allow"])
BANS = RULES["bans"]["deny"]
ONLY_ONCE = {ban["crate"] for ban in BANS if ban.get("deny-multiple-versions")}
NEVER = {ban["crate"] for ban in BANS} - ONLY_ONCE


def main(words) -> int:
    if words == ["check"]:
        found = metadata()
        lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
        breaches = [*check(found["packages"]), *untold(bill(found["packages"], found["resolve"]), lock)]
        for breach in breaches:
            print(breach)
        return 1 if breaches else 0
    if words == ["sbom"]:
        found = metadata()
        json.dump(bill(found["packages"], found["resolve"]), sys.stdout, indent=1)
        print()
        return 0
    print(__doc__, file=sys.stderr)
    return 2


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def check(packages):
    """
    >>> crate = lambda name, licence, **more: {
    ...     "name": name, "version": "1.0.0", "license": licence, "source": "registry+x", **more}
    >>> list(check([crate("a", "MIT OR GPL-3.0"), crate("b", "MIT AND ISC")]))
    []
    >>> list(check([crate("a", "GPL-3.0"), crate("b", None), crate("openssl", "MIT")]))
    ['a 1.0.0: its licence, GPL-3.0, is not among those allowed', 'b 1.0.0: it names no licence', 'openssl 1.0.0: is not to be used']
    >>> list(check([crate("tokio", "MIT"), crate("tokio", "MIT", version="0.2.0")]))
    ['tokio: is there twice: 0.2.0, 1.0.0']
    >>> list(check([crate("a", "MIT", source="git+https://example.org/a")]))
    ['a 1.0.0: comes from git+https://example.org/a and not from a registry']
    """
    theirs = [package for package in packages if package["source"]]
    for package in theirs:
        name = f"{package['name']} {package['version']}"
        licence = package["license"]
        if not licence and not package.get("license_file"):
            yield f"{name}: it names no licence"
        elif licence and not is_allowed(licence):
            yield f"{name}: its licence, {licence}, is not among those allowed"
        if not package["source"].startswith("registry+"):
            yield f"{name}: comes from {package['source']} and not from a registry"
        if package["name"] in NEVER:
            yield f"{name}: is not to be used"
    for name in sorted(ONLY_ONCE):
        versions = sorted(package["version"] for package in theirs if package["name"] == name)
        if len(versions) > 1:
            yield f"{name}: is there twice: {', '.join(versions)}"


def is_allowed(licence: str) -> bool:
    """
    >>> [is_allowed(text) for text in ["MIT", "MIT/GPL-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0"]]
    [True, True, True]
    >>> [is_allowed(text) for text in ["GPL-2.0", "MIT AND GPL-2.0", "(MIT AND GPL-2.0) OR AGPL-3.0"]]
    [False, False, False]
    """
    tokens = re.findall(r"\(|\)|[\w.+-]+(?: WITH [\w.+-]+)?|/", licence)

    def either():
        good = both()
        while tokens and tokens[0] in ("OR", "/"):
            tokens.pop(0)
            other = both()
            good = good or other
        return good

    def both():
        good = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            other = one()
            good = good and other
        return good

    def one():
        token = tokens.pop(0)
        if token != "(":
            return token in LICENCES
        good = either()
        tokens.pop(0)
        return good

    return either() and not tokens


def bill(packages, resolve):
    """The parts of a build of ours, and what each of them is made of."""
    def reference(package_id):
        package = named[package_id]
        return f"pkg:cargo/{package['name']}@{package['version']}"

    named = {package["id"]: package for package in packages}
    ours = next(package for package in packages if package["name"] == "stead")
    components = [
        {
            "type": "library",
            "bom-ref": reference(package["id"]),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(package["id"]),
            **({"licenses": [{"expression": spdx(package["license"])}]} if package["license"] else {}),
        }
        for package in packages
        if package["source"]
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": reference(ours["id"]), "name": ours["name"],
                "version": ours["version"],
            },
        },
        "components": sorted(components, key=lambda component: component["bom-ref"]),
        "dependencies": sorted(
            (
                {"ref": reference(node["id"]), "dependsOn": sorted({reference(i) for i in node["dependencies"]})}
                for node in resolve["nodes"]
            ),
            key=lambda node: node["ref"],
        ),
    }


def untold(bill, lock):
    """What a bill of materials does not say of other people's crates in the lock.

    >>> bill = {"components": [{"bom-ref": "pkg:cargo/a@1", "licenses": [], "purl": "pkg:cargo/a@1"}],
    ...     "dependencies": [{"ref": "pkg:cargo/a@1", "dependsOn": ["pkg:cargo/c@3"]}],
    ...     "metadata": {"component": {"bom-ref": "pkg:cargo/stead@0"}}}
    >>> lock = [{"name": "a", "version": "1", "source": "x"}, {"name": "b", "version": "2", "source": "x"}]
    >>> list(untold(bill, lock + [{"name": "stead", "version": "0"}]))
    ['the bill of materials does not name b 2', 'the bill of materials does not say what stead is made of']
    >>> list(untold({**bill, "dependencies": []}, []))
    ['the bill of materials names a 1, which is not in Cargo.lock', 'the bill of materials does not say what stead is made of']
    """
    wanted = {f"{one['name']} {one['version']}" for one in lock if one.get("source")}
    named = {
        one["bom-ref"].removeprefix("pkg:cargo/").replace("@", " ") for one in bill["components"]
    }
    yield from (f"the bill of materials does not name {name}" for name in sorted(wanted - named))
    for name in sorted(named - wanted):
        yield f"the bill of materials names {name}, which is not in Cargo.lock"
    ours = bill["metadata"]["component"]["bom-ref"]
    if not any(one["ref"] == ours and one["dependsOn"] for one in bill["dependencies"]):
        yield f"the bill of materials does not say what {ours.removeprefix('pkg:cargo/').split('@')[0]} is made of"


def spdx(licence: str) -> str:
    """
    >>> spdx("MIT/Apache-2.0")
    'MIT OR Apache-2.0'
    """
    return licence.replace("/", " OR ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
