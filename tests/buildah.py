"""Build images of the Dockerfile without Docker: with buildah, on a Debian base that mmdebstrap makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASE = "localhost/python:3.11-slim-bookworm"


def cannot_build() -> str | None:
    """Return why images cannot be built on this machine; None if they can."""
    missing = [tool for tool in ("buildah", "mmdebstrap") if shutil.which(tool) is None]
    if missing:
        return f"building images needs {' and '.join(missing)}: apt-get install buildah mmdebstrap"
    return None if os.geteuid() == 0 else "building images with chroot isolation needs root"


@dataclass(frozen=True)
class Builder:
    """Run buildah with its own store, which is removed at the end of the test."""

    folder: Path
    driver: str

    def __call__(self, *words: str) -> str:
        """Run one buildah command and return its output."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"buildah {' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def command(self, *words: str) -> list[str]:
        store = [
            "--storage-driver",
            self.driver,
            "--root",
            str(self.folder / "store"),
            "--runroot",
            str(self.folder / "run"),
        ]
        return ["buildah", *store, *words]

    def build(self, target: str) -> dict[str, Any]:
        """Build a target of the Dockerfile and return its configuration."""
        certificates = "/etc/ssl/certs:/etc/ssl/certs:ro"
        trust = self.folder / "uv.toml"
        trust.write_text("native-tls = true\n")  # this machine may be behind a proxy
        # vfs works on machines without overlay, but copies everything for each layer; a cache of layers would use 14 GB
        cached = str(self.driver == "overlay").lower()
        options = ["--isolation", "chroot", "--pull-never", f"--layers={cached}", "--format", "docker"]
        mounts = ["-v", certificates, "-v", f"{trust}:/etc/uv/uv.toml:ro"]
        if Path("/etc/pip.conf").exists():
            mounts += ["-v", "/etc/pip.conf:/etc/pip.conf:ro"]
        self(
            "bud", *options, *mounts, "--build-arg", f"PYTHON_IMAGE={BASE}", "--target", target, "-t", target, str(ROOT)
        )
        image: dict[str, Any] = json.loads(self("inspect", "--type", "image", target))
        config: dict[str, Any] = image["Docker"]["config"]
        return config

    def run(self, container: str, *words: str) -> str:
        """Run a command in a container, as its user, and return its output."""
        return self("run", "--isolation", "chroot", container, "--", *words)

    def fails(self, container: str, *words: str) -> str:
        """Run a command that must fail, and return its output."""
        command = self.command("run", "--isolation", "chroot", container, "--", *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        return done.stderr


def debian_base(folder: Path) -> Path:
    """Make a Debian image with the tools that the Dockerfile takes from python:3.11-slim-bookworm; return its tar."""
    tar = folder / "base.tar"
    packages = "--include=ca-certificates,python3,python3-pip,python3-venv"
    made = ["mmdebstrap", "--quiet", "--variant=minbase", packages, "bookworm", str(tar)]
    subprocess.run(made, check=True, capture_output=True)
    return tar


@contextmanager
def builder(folder: Path) -> Iterator[Builder]:
    """Provide a builder that has the base image. Everything that the builder made is removed at the end."""
    tar = debian_base(folder)
    (folder / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    overlay = Builder(folder, "overlay")
    works = subprocess.run(overlay.command("info"), capture_output=True, check=False).returncode == 0
    ready = overlay if works else Builder(folder, "vfs")
    ready("bud", "--isolation", "chroot", "-t", BASE, str(folder))
    tar.unlink()
    try:
        yield ready
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # this takes gigabytes
