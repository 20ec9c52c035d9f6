"""Run nginx as a server that answers predictions at once and counts its requests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

CONFIG = """
daemon off; worker_processes 1; worker_rlimit_nofile 16500; pid nginx.pid; error_log error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/json;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{
    listen 127.0.0.1:{plain} backlog=4096; listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate chain.pem; ssl_certificate_key key.pem;
    location /predict {{ return 200 '{body}'; }}
    location /varying {{
      add_header x-instance-id 4f1d0c; add_header x-instance-age-ms $connection_requests;
      add_header Server-Timing "predict;dur=$request_time"; return 200 '{body}';
    }}
    location /count {{ stub_status; }}
  }}
}}
"""
BODY = '{"default_probability": 0.5, "model": "loan 7"}'


@dataclass
class Server:
    """A running nginx.

    Attributes:
        plain: `http://…`.
        tls: `https://…`, with a throw-away certificate.
        pid: the process id of its worker, to measure its CPU.
    """

    plain: str
    tls: str
    asked: int = 0

    def count(self) -> int:
        """Return how many requests nginx has answered, without the requests that ask for this count."""
        with urllib.request.urlopen(f"{self.plain}/count") as answer:
            self.asked += 1
            return int(answer.read().split(b"\n")[2].split()[2]) - self.asked


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """Run nginx in `folder` until the block ends."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("nginx was not found: apt-get install nginx-light")
    plain, tls = free_port(), free_port()
    (folder / "nginx.conf").write_text(CONFIG.format(plain=plain, tls=tls, body=BODY))
    certificate = trustme.CA().issue_cert("127.0.0.1", "localhost")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    process = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"], cwd=folder)
    server = Server(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}")
    try:
        for _ in range(100):
            try:
                server.count()
                break
            except OSError:
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait()
