"""Run a real docker engine and an Artifact Registry in a network namespace that ends with them.

    this machine                      namespace lt-docker
    ───────────                       ───────────────────
    docker (the client) ── socket ──> dockerd ── docker0 ── containers of the build
                                      docker-registry on 443, TLS, with a password; /etc/hosts gives it Google's name
    forwarder <──── veth ──────────── what the build fetches from a package index (HTTPS only, by CONNECT)

The engine's bridge and firewall rules belong to the namespace, so this machine's network is not touched.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.buildah import debian_base
from tests.conftest import Until

NAMESPACE = "lt-docker"
HOST, INSIDE, BRIDGE = "10.79.0.1", "10.79.0.2", "10.79.1.1/24"
REGISTRY = "europe-west2-docker.pkg.dev"
PORT = 3128
BASE = "mirror.example/python:3.11"
USER, PASSWORD = "_dcgcloud_token", "any token will do"
"""Credentials in the form of docker-credential-gcloud: the name is fixed, and the password is the access token."""

TOOLS = ("docker", "dockerd", "docker-registry", "htpasswd", "mmdebstrap", "ip", "nsenter", "unshare")


def cannot_run() -> str | None:
    """Return why no engine can be run here; None if one can."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return (
            f"needs {', '.join(missing)}: apt-get install docker.io docker-registry apache2-utils mmdebstrap iproute2"
        )
    return None if os.geteuid() == 0 else "an engine and a network namespace need root"


@dataclass(frozen=True)
class Engine:
    """A running engine with the base image BASE, and a registry called REGISTRY with the login USER and PASSWORD."""

    folder: Path
    own: dict[str, str]

    def client(self, name: str, *, password: str | None = None) -> dict[str, str]:
        """Return the variables of a docker client with its own configuration, logged in if there is a login."""
        login = base64.b64encode(f"{USER}:{password}".encode()).decode()
        proxies = dict.fromkeys(("httpProxy", "httpsProxy"), f"http://{HOST}:{PORT}")
        known = {"proxies": {"default": proxies}, "auths": {REGISTRY: {"auth": login}} if password else {}}
        home = self.folder / name
        home.mkdir()
        (home / "config.json").write_text(json.dumps(known))
        return {"DOCKER_CONFIG": str(home), "DOCKER_HOST": f"unix://{self.folder}/sock"}

    def docker(self, *words: str) -> str:
        """Run a docker command, logged in at the registry, and return its output."""
        done = subprocess.run(["docker", *words], env={**os.environ, **self.own}, capture_output=True, check=False)
        assert done.returncode == 0, f"docker {' '.join(words)}\n{done.stderr.decode()[-2000:]}"
        return done.stdout.decode().strip()


@contextmanager
def engine(folder: Path, until: Until) -> Iterator[Engine]:
    """Provide a running engine.

    The engine, its images, its registry and its namespace are removed at the end of the block.
    """
    ready = Engine(folder, {})
    ready.own.update(ready.client("own", password=PASSWORD))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_namespace())
        stack.enter_context(_forwarder())
        certificates = _certificates(folder)
        stack.enter_context(_inside(folder, "registry", "docker-registry serve registry.yaml", {}))
        words = f"dockerd --host unix://{folder}/sock --data-root {folder}/data --exec-root {folder}/exec "
        words += f"--pidfile {folder}/pid --bip {BRIDGE}"
        stack.enter_context(_inside(folder, "dockerd", words, certificates))
        until(lambda: _answers(ready), "the engine", timeout_s=60)
        _base(ready)
        yield ready


@contextmanager
def _namespace() -> Iterator[None]:
    links = (
        f"netns add {NAMESPACE}",
        f"link add lt-dh type veth peer name lt-dn netns {NAMESPACE}",
        f"addr add {HOST}/30 dev lt-dh",
        "link set lt-dh up",
        f"-n {NAMESPACE} addr add {INSIDE}/30 dev lt-dn",
        f"-n {NAMESPACE} link set lt-dn up",
        f"-n {NAMESPACE} link set lo up",
        f"-n {NAMESPACE} route add default via {HOST}",
    )
    _remove_namespace()  # left by a killed test
    try:
        for line in links:
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)
        yield
    finally:
        _remove_namespace()


def _remove_namespace() -> None:
    """Remove the namespace, if it exists, with the processes in it."""
    held = subprocess.run(["ip", "netns", "pids", NAMESPACE], capture_output=True, text=True, check=False)
    for pid in held.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, capture_output=True)


@contextmanager
def _forwarder() -> Iterator[None]:
    """Run a proxy for the namespace's CONNECT requests. Builds behind a company's proxy have the same environment."""
    listener = socket.create_server((HOST, PORT))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed below
                return
            threading.Thread(target=_forward, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _forward(client: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    method, address, _ = head.split(b" ", 2)
    if method != b"CONNECT":
        client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        client.close()
        return
    name, _, port = address.decode().rpartition(":")
    server = socket.create_connection((name, int(port)))
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    back = threading.Thread(target=_copy, args=(server, client), daemon=True)
    back.start()
    _copy(client, server)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one end is gone; the other end notices that by itself
        pass


def _certificates(folder: Path) -> dict[str, str]:
    """Write the registry's certificates, and return the variable that makes the engine trust them."""
    authority = trustme.CA()
    shown = authority.issue_cert(REGISTRY)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    shown.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "shown.pem").write_bytes(b"".join(blob.bytes() for blob in shown.cert_chain_pems))
    password = subprocess.run(["htpasswd", "-nbB", USER, PASSWORD], check=True, capture_output=True).stdout
    (folder / "passwords").write_bytes(password.strip() + b"\n")
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {
            "addr": "127.0.0.1:443",
            "tls": {"certificate": str(folder / "shown.pem"), "key": str(folder / "key.pem")},
        },
        "auth": {"htpasswd": {"realm": REGISTRY, "path": str(folder / "passwords")}},
    }
    (folder / "registry.yaml").write_text(json.dumps(settings))  # JSON is valid YAML
    return {"SSL_CERT_FILE": str(folder / "authority.pem")}


@contextmanager
def _inside(folder: Path, name: str, words: str, more: dict[str, str]) -> Iterator[None]:
    """Run a server in the namespace, where this machine also has the name REGISTRY."""
    (folder / "hosts").write_text(f"127.0.0.1 localhost {REGISTRY}\n")
    command = f"mount --bind {folder}/hosts /etc/hosts && exec {words}"
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{NAMESPACE}", "unshare", "--mount", "sh", "-c", command],
            cwd=folder,
            env={**os.environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(ready: Engine) -> bool:
    asked = ["docker", "version"]
    return subprocess.run(asked, env={**os.environ, **ready.own}, capture_output=True, check=False).returncode == 0


def _base(ready: Engine) -> None:
    """Make BASE, a Debian image with python3 and with this machine's certificates and package index."""
    tar = debian_base(ready.folder)
    ready.docker("import", str(tar), "debian:raw")
    tar.unlink()
    base_folder = ready.folder / "base"
    base_folder.mkdir()
    lines = ["FROM debian:raw"]
    for source, name in (("/etc/ssl/certs/ca-certificates.crt", "ca.crt"), ("/etc/pip.conf", "pip.conf")):
        if Path(source).exists():
            shutil.copy(source, base_folder / name)
            lines.append(f"COPY {name} {source}")
    (base_folder / "uv.toml").write_text("native-tls = true\n")
    lines.append("COPY uv.toml /etc/uv/uv.toml")
    (base_folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    ready.docker("build", "--tag", BASE, str(base_folder))
