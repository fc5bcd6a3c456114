"""The disk of the guests: Debian with cloud-init and an NFS client, as a template in Proxmox has
them, and an agent that tells what it sees. Built once, and again when what it is made of changes.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import tools
from children import Unmet

HERE = pathlib.Path(__file__).resolve().parent

PACKAGES = [
    "ca-certificates", "cloud-init", "curl", "dbus", "initramfs-tools", "iproute2", "linux-image-cloud-amd64",
    "netbase", "nfs-common", "procps", "sudo", "systemd", "systemd-sysv", "udev", "util-linux",
]
DISK = "2G"

# What is written before the kernel is installed, so that its first disk is small.
BEFORE = {
    "etc/initramfs-tools/conf.d/small": "MODULES=list\n",
    "usr/share/initramfs-tools/modules.d/small": "ext4\nvirtio_blk\nvirtio_pci\n",
}
AFTER = {
    "etc/systemd/network/10-eth.network": "[Match]\nName=eth0\n[Network]\nDHCP=yes\n",
    # Everything that is logged reaches the serial console, where it can be read from outside.
    "etc/systemd/journald.conf.d/console.conf": "[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\n",
    # A mount that fails does so in 40 s instead of 90, so that somebody can wait for it. On a busy
    # machine a good one takes 15.
    "etc/systemd/system/home-coder.mount.d/soon.conf": "[Mount]\nTimeoutSec=40\n",
    # There are no other locales here, and no keys to make without sshd.
    "etc/cloud/cloud.cfg.d/90_guest.cfg": "locale: C.UTF-8\nssh_genkeytypes: []\n",
}
# They take a slow processor's time at boot and do nothing for the guest.
MASKED = [
    "apt-daily-upgrade.timer", "apt-daily.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "rpc-statd-notify.service", "rpcbind.service", "rpcbind.socket",
]


@dataclasses.dataclass
class Image:
    """A built image."""

    folder: pathlib.Path

    @property
    def disk(self) -> pathlib.Path:
        return self.folder / "disk.raw"

    @property
    def kernel(self) -> pathlib.Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> pathlib.Path:
        return self.folder / "initrd"


def ready(cache: pathlib.Path, suite: str) -> Image:
    """The image of a Debian suite, built if it is not there."""
    image = Image(cache / f"{suite}-{key()}")
    if image.folder.is_dir():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(f"{suite}-*"):
        shutil.rmtree(old)
    # In the same file system as where it goes, so that it appears there whole or not at all.
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as work:
        made = Image(pathlib.Path(work) / "image")
        made.folder.mkdir()
        build(made, pathlib.Path(work) / "root", suite)
        made.folder.rename(image.folder)
    return image


def key() -> str:
    """Changes with whatever goes into the image."""
    sources = [HERE / "image.py", HERE / "agent.py"]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def build(image: Image, root: pathlib.Path, suite: str) -> None:
    with tempfile.TemporaryDirectory(prefix="stead-guest-") as before:
        write(pathlib.Path(before), BEFORE)
        bootstrap(root, suite, pathlib.Path(before))
    write(root, AFTER)
    shutil.copy(HERE / "agent.py", root / "usr/local/bin/coder")
    (root / "usr/local/bin/coder").chmod(0o755)
    (root / "etc/machine-id").write_text("", "utf-8")
    run("chroot", str(root), "systemctl", "--quiet", "enable", "systemd-networkd", "systemd-networkd-wait-online")
    run("chroot", str(root), "systemctl", "--quiet", "mask", *MASKED)
    for name, to in [("vmlinuz", image.kernel), ("initrd.img", image.initrd)]:
        [found] = (root / "boot").glob(f"{name}-*")
        shutil.copy(found, to)
    run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image.disk), DISK)


def bootstrap(root: pathlib.Path, suite: str, before: pathlib.Path) -> None:
    """Its mounts of /dev and the like are seen by nobody else, and so can never be deleted through; and
    nothing of it goes on once it is ended."""
    mirror = tools.mirror()
    run(
        "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        f"--essential-hook=cp -a {before}/. \"$1\"", suite, str(root), *([mirror] if mirror else []),
    )


def write(root: pathlib.Path, files: dict[str, str]) -> None:
    root.chmod(0o755)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def run(*command: str) -> None:
    """Runs a command, whose words are shown only if it fails."""
    environment = {**os.environ, "PATH": tools.ADMIN_PATH, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )
    if done.returncode != 0:
        raise Unmet(f"{command[0]} failed, and there is no image:\n{done.stdout}{done.stderr}")
