"""The programs that real guests need: found, or installed by apt-get."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# A program of each package, and the package.
NEEDED = [
    ("debugfs", "e2fsprogs"),
    ("ganesha.nfsd", "nfs-ganesha"),
    ("ip", "iproute2"),
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
]
# Comes with the NFS server, and is no program.
EXPORTS_FILES = "nfs-ganesha-vfs"

ADMIN_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def install() -> None:
    """Installs what is missing, or says what to install."""
    wanted = missing()
    if not wanted:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"error: {', '.join(wanted)} missing\n  On Debian and Ubuntu: apt-get install {' '.join(wanted)}")
    print(f"installing {', '.join(wanted)}", file=sys.stderr)
    with no_services_started():
        if not (apt_install(wanted) or apt_install_newer(wanted)):
            sys.exit(f"error: apt-get could not install {' '.join(wanted)} without removing anything\n"
                     "  Its own words are above; if another version of QEMU is here, take that version")
    if left := missing():
        sys.exit(f"error: still missing: {', '.join(left)}")


def missing() -> list[str]:
    found = [package for program, package in NEEDED if not shutil.which(program, path=ADMIN_PATH)]
    if plugins() is None:
        found.append(EXPORTS_FILES)
    return found


def plugins() -> pathlib.Path | None:
    """The folder of what the NFS server can export."""
    folders = pathlib.Path("/usr/lib").glob("**/ganesha")
    return next((folder for folder in folders if (folder / "libfsalvfs.so").exists()), None)


def apt_install(packages: list[str], *options: str) -> bool:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["install", "-y", "-qq", "--no-remove", "--no-install-recommends", *packages]
    for verb in (["update", "-qq"], install):
        done = subprocess.run(["apt-get", *options, *verb], env=quiet, stdout=sys.stderr)
    return done.returncode == 0


def apt_install_newer(packages: list[str]) -> bool:
    """Where parts of QEMU are here from the backports, only the backports fit them. They are asked
    for this once, and the machine's own lists stay as they are."""
    sources = with_backports(sources_here())
    if not sources:
        return False
    with tempfile.TemporaryDirectory(prefix="stead-apt-") as folder:
        # An update takes away what it finds among the lists and is none.
        lists = pathlib.Path(folder) / "lists"
        (lists / "partial").mkdir(parents=True)
        file = pathlib.Path(folder) / "sources.list"
        file.write_text("".join(f"deb {address} {suite} main\n" for address, suite in sources), "utf-8")
        return apt_install(
            packages, "-o", f"Dir::Etc::SourceList={file}", "-o", "Dir::Etc::SourceParts=/dev/null",
            "-o", f"Dir::State::Lists={lists}", "-t", sources[-1][1],
        )


def sources_here() -> list[tuple[str, str]]:
    """Where this machine's packages come from: address and suite."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    return [tuple(line.split()) for line in told.splitlines() if len(line.split()) == 2]


def with_backports(sources: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same, and last the backports of the one that is a release; nothing if none is.

    >>> with_backports([("http://m/debian/", "bookworm-updates"), ("http://m/debian/", "bookworm")])[-1]
    ('http://m/debian/', 'bookworm-backports')
    >>> with_backports([("http://m/debian/", "bookworm-updates")])
    []
    """
    releases = [(address, suite) for address, suite in sources if "-" not in suite]
    if not releases:
        return []
    address, suite = releases[0]
    newer = (address, f"{suite}-backports")
    return [source for source in sources if source != newer] + [newer]


def mirror() -> str | None:
    """Where this machine's release comes from, if it says."""
    return next((address for address, suite in sources_here() if "-" not in suite), None)


@contextlib.contextmanager
def no_services_started():
    """Debian starts a server as soon as it is installed, unless this file says no."""
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", "utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


if __name__ == "__main__":
    install()
