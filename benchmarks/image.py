"""Measure both images and the service's first answer: `python -m benchmarks.image` (needs root, buildah, mmdebstrap).

The base image is Debian's python3, made by mmdebstrap. It is larger than `python:3.11-slim-bookworm`, but the
Dockerfile adds the same to both. "First answer" is the time from `buildah run` to the first 200 of `/predict`,
including the start of the container.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from benchmarks.cold_start import free_port
from benchmarks.machine import keep, where
from target_service.schema import EXAMPLES
from tests.buildah import BASE, Builder, builder, cannot_build

STARTS = 5


def size_mb(buildah: Builder, image: str) -> float:
    (found,) = json.loads(buildah("images", "--json", image))
    number, unit = str(found["size"]).split()
    return float(number) * {"kB": 0.001, "MB": 1, "GB": 1000}[unit]


def installed_mb(buildah: Builder, container: str) -> int:
    return int(buildah.run(container, "du", "-sm", "/venv").split()[0])


def first_answer_s(buildah: Builder, container: str, command: list[str]) -> float:
    port = free_port()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", json.dumps(EXAMPLES[0]).encode(), {"Content-Type": "application/json"}
    )
    began_s = time.monotonic()
    running = buildah.command("run", "--isolation", "chroot", "--env", f"PORT={port}", container, "--", *command)
    process = subprocess.Popen(running, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() - began_s < 60:
            try:
                urllib.request.urlopen(request).read()
                return time.monotonic() - began_s
            except urllib.error.URLError:
                time.sleep(0.01)
        raise SystemExit("The service image did not answer within 60 s.")
    finally:
        for child in psutil.Process(process.pid).children(recursive=True)[::-1]:
            child.terminate()
        process.wait()


def main() -> None:
    if why := cannot_build():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory() as folder, builder(Path(folder)) as buildah:
        command = buildah.build("service")["Cmd"]
        buildah.build("loadgen")
        base_mb = size_mb(buildah, BASE)
        rows = []
        for target in ("service", "loadgen"):
            container = buildah("from", "--name", target, target)
            added_mb = size_mb(buildah, target) - base_mb
            rows.append(f"| {target} | {added_mb:.0f} | {installed_mb(buildah, container)} |")
        starts_s = [first_answer_s(buildah, "service", command) for _ in range(STARTS)]
    verdict = (
        f"First answer of the service's image: **{statistics.median(starts_s):.2f} s** after `buildah run`, median of "
        f"{STARTS} ({min(starts_s):.2f} to {max(starts_s):.2f}). CatBoost's extension alone is 264 MB."
    )
    text = [
        "## The images",
        "",
        "`python -m benchmarks.image`: buildah builds and runs both targets of the Dockerfile, with chroot isolation.",
        "",
        "| target | MB in addition to the base | of these, packages |",
        "|---|---|---|",
        *rows,
        "",
        verdict,
        "",
        where("catboost", "locust", "numpy", "pyarrow"),
    ]
    keep("image", "\n".join(text))


if __name__ == "__main__":
    main()
