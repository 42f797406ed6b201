"""nginx with TLS before web and websockets, and how these are started behind it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from backend.local import processes
from bench.cluster import certificate
from bench.cluster.nodes import Node

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 12m;
  upstream web {{
    zone web 64k;
    least_conn;
    {web}
    keepalive 32;
  }}
  upstream sockets {{
    zone sockets 64k;
    least_conn;
    {sockets}
  }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header Connection "";
    proxy_connect_timeout 2s;
    proxy_next_upstream error timeout;
    proxy_next_upstream_tries 2;
    location /ws/ {{
      proxy_pass http://sockets;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 75s;
    }}
    location = /metrics {{ return 404; }}
    location / {{ proxy_pass http://web; }}
  }}
}}
"""


def find() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class Proxy(Node):
    """One nginx, with ports for ``nodes`` web processes and as many for websockets."""

    def __init__(self, folder: Path, logs: Path, *, nodes: int) -> None:
        program = find()
        assert program is not None
        folder.mkdir(mode=0o755)
        port = processes.free_port()
        self.folder = folder
        self.certificate, self._key = certificate.make(folder)
        self.web_ports = [processes.free_port() for _ in range(nodes)]
        self.socket_ports = [processes.free_port() for _ in range(nodes)]
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
        (self.folder / "nginx.conf").write_text(
            CONFIG.format(
                folder=self.folder,
                port=self.port,
                certificate=self.certificate,
                key=self._key,
                web=" ".join(f"server 127.0.0.1:{port};" for port in web_ports),
                sockets=" ".join(f"server 127.0.0.1:{port};" for port in self.socket_ports),
            )
        )


def web_command(port: int) -> list[str]:
    """How a web process is started, as Dockerfile and compose.yaml say."""
    return [sys.executable, "-m", "backend.local.web", "--port", str(port), "--log-level", "warning"]


def socket_command(port: int) -> list[str]:
    """How a process for websockets is started."""
    return [sys.executable, "-m", "backend.local.web", "--port", str(port), "--log-level", "warning"]
