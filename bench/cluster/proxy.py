"""nginx with TLS before web and websockets, and how these are started behind it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path

from backend.local.state import ROOT
from bench.cluster import certificate
from bench.cluster.nodes import Node, quiet_port
from bench.faults.place import until

TEMPLATE = ROOT / "ops" / "nginx" / "karibu.conf.template"

AROUND = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/karibu.conf;
}}
"""

LIMITS = {"REQUESTS_PER_SECOND": "100000", "BURST": "100000", "CONNECTIONS": "10000"}
"""Everybody here comes from one address."""


def find() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class Proxy(Node):
    """One nginx, with ports for ``nodes`` web processes and as many for websockets."""

    def __init__(self, folder: Path, logs: Path, *, nodes: int) -> None:
        program = find()
        assert program is not None
        folder.mkdir(mode=0o755)
        port, self._plain_port = quiet_port(), quiet_port()
        self.folder = folder
        self.certificate, self._key = certificate.make(folder)
        self.web_ports = [quiet_port() for _ in range(nodes)]
        self.socket_ports = [quiet_port() for _ in range(nodes)]
        self.url = f"https://127.0.0.1:{port}"
        super().__init__(
            "nginx",
            [program, "-p", folder, "-c", folder / "nginx.conf"],
            env={"PATH": os.defpath},
            log=logs / "nginx.log",
            port=port,
            number=signal.SIGQUIT,
        )
        self.lead_to(self.web_ports)

    def lead_to(self, web_ports: list[int]) -> None:
        """Write the configuration so that HTTP goes to these."""
        values = {
            "LISTEN": f"127.0.0.1:{self.port}",
            "LISTEN_PLAIN": f"127.0.0.1:{self._plain_port}",
            "CERTIFICATE": str(self.certificate),
            "CERTIFICATE_KEY": str(self._key),
            "WEB_SERVERS": _servers(web_ports, "max_fails=1 fail_timeout=2s"),
            # nginx forgets a failure when a request ends on the server, which a socket does not: it would let in one
            # in each fail_timeout.
            "SOCKET_SERVERS": _servers(self.socket_ports, "max_fails=0"),
            "RESOLVER": "",
            **LIMITS,
        }
        # What is no variable of ours is nginx' own.
        text = re.sub(r"\$\{([A-Z_]+)\}", lambda found: values[found[1]], TEMPLATE.read_text())
        (self.folder / "karibu.conf").write_text(text)
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder))

    def reload(self) -> None:
        """Let it read its configuration again; wait until the old processes have ended."""
        assert self.process is not None
        before = set(self.pids()[1:])
        self.process.send_signal(signal.SIGHUP)
        until(lambda: not before & set(self.pids()), "nginx has read its configuration again", within_s=30)


def _servers(ports: list[int], manner: str) -> str:
    return " ".join(f"server 127.0.0.1:{port} {manner};" for port in ports)


def web_command(port: int) -> list[str]:
    """How a web process is started: WSGI alone."""
    return [sys.executable, "-m", "backend.web", "--port", str(port)]


def socket_command(port: int) -> list[str]:
    """How a process for websockets is started."""
    return [sys.executable, "-m", "backend.local.web", "--port", str(port), "--log-level", "warning"]
