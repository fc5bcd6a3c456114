"""A machine of the lab's Proxmox VE, brought to life by QEMU: one system at a time, on one disk."""

import base64
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from children import Child, Unmet
from image import Image

MEMORY_MIB = 1024
CORES = 2
SHUTDOWN_S = 60
# How long a kernel may take to say its first word where the processor's own means are used.
FIRST_WORD_S = 10


def serial_number(smbios: str) -> str:
    """The serial number in a machine's `smbios1` setting, as its firmware shows it.

    >>> serial_number("uuid=1-2,base64=1,serial=ZHM9eA==")
    'ds=x'
    >>> serial_number("uuid=1-2,serial=plain")
    'plain'
    """
    parts = dict(part.split("=", 1) for part in smbios.split(","))
    serial = parts.get("serial", "")
    return base64.b64decode(serial).decode() if parts.get("base64") == "1" else serial


def command(
    image: Image, disk: pathlib.Path, serial: str, folder: pathlib.Path, boot: int, fast: bool,
) -> list[str]:
    """QEMU with its own network, in which this machine's loopback is 10.0.2.2. The kernel takes the timer on
    trust: on a starved machine its ticks are late, and a kernel that looks for them gives up.

    >>> " ".join(command(Image(pathlib.Path("/i")), pathlib.Path("/d"), "a,b", pathlib.Path("/f"), 1, False)).count("serial=a,,b")
    1
    """
    escaped = serial.replace(",", ",,")
    speed = ["-accel", "kvm", "-cpu", "host"] if fast else ["-accel", "tcg,thread=multi"]
    return [
        "nice", "-n", "10", "qemu-system-x86_64", "-machine", "q35", *speed,
        "-m", str(MEMORY_MIB), "-smp", str(CORES), "-nodefaults", "-display", "none",
        "-serial", f"file:{folder}/console-{boot}.log",
        "-monitor", f"unix:{folder}/monitor,server=on,wait=off",
        "-drive", f"file={disk},if=virtio,format=raw,cache=unsafe",
        "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci",
        "-smbios", f"type=1,serial={escaped}",
        *kernel(image, "root=/dev/vda rw console=ttyS0 net.ifnames=0 no_timer_check"),
    ]


def kernel(image: Image, words: str) -> list[str]:
    return ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", words]


def is_fast(image: Image, folder: pathlib.Path) -> bool:
    """Whether the processor runs guests by its own means. That there is a /dev/kvm proves nothing:
    a kernel must have said a word."""
    if not pathlib.Path("/dev/kvm").exists():
        return False
    console = folder / "console-0.log"
    probe = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "host",
         "-m", "256", "-nodefaults", "-display", "none", "-serial", f"file:{console}",
         *kernel(image, "console=ttyS0")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    until, spoke = time.monotonic() + FIRST_WORD_S, False
    while not spoke and probe.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
        spoke = "Linux version" in read(console)
    probe.kill()
    probe.wait()
    return spoke


class Machine:
    """A disk, and the system that runs on it."""

    def __init__(self, image: Image, folder: pathlib.Path, fast: bool) -> None:
        self.image, self.folder, self.fast = image, folder, fast
        folder.mkdir()
        self.disk = folder / "disk.raw"
        subprocess.run(["cp", "--sparse=always", str(image.disk), str(self.disk)], check=True)
        self.boots = 0
        self.child: Child | None = None

    def power_on(self, smbios: str) -> None:
        self.boots += 1
        order = command(self.image, self.disk, serial_number(smbios), self.folder, self.boots, self.fast)
        self.child = Child("QEMU", order, self.folder / "qemu.log")

    def power_off(self) -> None:
        """Presses the power button and waits until the system has shut down."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.folder / "monitor"))
            monitor.sendall(b"system_powerdown\n")
            # It acts on what was read, and drops the rest with the connection.
            monitor.recv(4096)
            in_order = self.child.waited(SHUTDOWN_S)
        if not in_order:
            self.child.end(signal.SIGKILL)
        self.child = None
        if not in_order:
            raise Unmet(f"the guest does not shut down within {SHUTDOWN_S} s of its power button")

    def console(self) -> str:
        """What this boot has said."""
        return read(self.folder / f"console-{self.boots}.log")

    def agents(self) -> list[str]:
        """What agents that woke up in this boot have seen, as JSON."""
        return re.findall(r"AGENT (\{.*\})", self.console())

    def holds(self, path: str) -> str:
        """What is in a file of the machine's own disk. The machine must be off."""
        return debugfs(self.disk, f"cat {path}")

    def beneath(self, path: str) -> tuple[list[str], bool]:
        """What the machine's own disk holds at a path on which something was mounted, and whether
        nothing can be written there. The machine must be off."""
        listed = debugfs(self.disk, f"ls -p {path}")
        names = [line.split("/")[5] for line in listed.splitlines() if line.count("/") > 5]
        return [name for name in names if name not in (".", "..")], is_immutable(debugfs(self.disk, f"stat {path}"))


def debugfs(disk: pathlib.Path, order: str) -> str:
    program = shutil.which("debugfs", path="/usr/sbin:/sbin:/usr/bin:/bin")
    return subprocess.run([program, "-R", order, str(disk)], check=True, capture_output=True, text=True).stdout


def is_immutable(stat: str) -> bool:
    """
    >>> is_immutable("Inode: 12   Type: directory    Mode:  0755   Flags: 0x80010\\n")
    True
    >>> is_immutable("Inode: 12   Type: directory    Mode:  0755   Flags: 0x80000\\n")
    False
    """
    return bool(int(re.search(r"Flags: 0x([0-9a-f]+)", stat)[1], 16) & 0x10)


def read(path: pathlib.Path) -> str:
    return path.read_text("utf-8", "replace") if path.exists() else ""
