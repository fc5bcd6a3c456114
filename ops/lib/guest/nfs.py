"""The NFS server of the guests' homes, and the gate before it, which can be open, silent or shut."""

import pathlib
import shutil
import signal
import socket
import threading

import tools
from children import Child

# Where guests look for it, and where it is.
PORT = 2049
BEHIND = 12049


def configuration(folder: pathlib.Path, export: pathlib.Path, home: str, plugins: pathlib.Path) -> str:
    """NFS 4 alone, without what a server of many clients needs. `export` is seen as `home`.

    >>> "Pseudo = /mnt/a;" in configuration(pathlib.Path("/t"), pathlib.Path("/t/home"), "/mnt/a", pathlib.Path("/p"))
    True
    """
    return f"""\
NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = {BEHIND};
    Bind_addr = 127.0.0.1;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    Plugins_Dir = {plugins};
}}
NFSv4 {{
    # Otherwise nothing can be opened for the first 90 s.
    Graceless = true;
    Only_Numeric_Owners = true;
    RecoveryRoot = {folder}/recovery;
}}
EXPORT {{
    Export_Id = 1;
    Path = {export};
    Pseudo = {home};
    Access_Type = RW;
    Squash = root_squash;
    SecType = sys;
    FSAL {{ Name = VFS; }}
}}
"""


class Server:
    """nfs-ganesha with one home."""

    def __init__(self, folder: pathlib.Path, home: str) -> None:
        self.folder = folder
        self.export = folder / "home"
        self.export.mkdir(parents=True)
        (folder / "recovery").mkdir()
        text = configuration(folder, self.export, home, tools.plugins())
        (folder / "ganesha.conf").write_text(text, "utf-8")
        self.child: Child | None = None

    def start(self) -> None:
        at = self.folder
        command = [
            shutil.which("ganesha.nfsd", path=tools.ADMIN_PATH), "-F", "-f", f"{at}/ganesha.conf",
            "-L", f"{at}/ganesha.log", "-p", f"{at}/ganesha.pid",
        ]
        self.child = Child("nfs-ganesha", command, at / "ganesha.out")

    def die(self) -> None:
        """As a server does whose power is cut."""
        self.child.end(signal.SIGKILL)
        self.child = None


class Gate:
    """A port that leads to another one: open, silent (it takes connections, and nothing passes), or
    shut (nobody is there)."""

    def __init__(self, listen: tuple[str, int], to: tuple[str, int]) -> None:
        self.listen, self.to = listen, to
        self.passing = threading.Event()
        self.knocked = threading.Event()
        self.door: socket.socket | None = None
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()

    def open(self) -> None:
        self.passing.set()
        self.stand()

    def fall_silent(self) -> None:
        """Nothing passes on connections to come; those that stand are cut."""
        self.shut()
        self.passing.clear()
        self.knocked.clear()
        self.stand()

    def stand(self) -> None:
        if self.door is None:
            self.door = socket.create_server(self.listen)
            threading.Thread(target=self.serve, args=[self.door], daemon=True).start()

    def shut(self) -> None:
        with self.lock:
            door, self.door = self.door, None
            connections, self.connections = self.connections, set()
        if door:
            # It wakes whoever waits in accept.
            door.shutdown(socket.SHUT_RDWR)
            door.close()
        for connection in connections:
            hang_up(connection)

    def serve(self, door: socket.socket) -> None:
        while True:
            try:
                guest, _ = door.accept()
            except OSError:
                return
            with self.lock:
                if self.door is not door:
                    hang_up(guest)
                    return
                self.connections.add(guest)
            self.knocked.set()
            threading.Thread(target=self.lead, args=[guest], daemon=True).start()

    def lead(self, guest: socket.socket) -> None:
        self.passing.wait()
        try:
            server = socket.create_connection(self.to)
        except OSError:
            return self.forget(guest)
        with self.lock:
            self.connections.add(server)
        back = threading.Thread(target=carry, args=[server, guest], daemon=True)
        back.start()
        carry(guest, server)
        back.join()
        self.forget(guest)
        self.forget(server)

    def forget(self, connection: socket.socket) -> None:
        with self.lock:
            self.connections.discard(connection)
        hang_up(connection)
        connection.close()


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    hang_up(source)
    hang_up(target)


def hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        pass
