"""Run workers on this machine for a master on another machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from ..core.errors import FleetError
from ..recorder.messages import FETCHED_VARIABLE, PARENT_VARIABLE
from .scenario import LAUNCH

TRY_EVERY_S = 0.5
END_S = 15.0
FETCH_S = 60.0


class WorkerPool:
    """Locust workers that get the scenario from their master."""

    def __init__(self, host: str, port: int, processes: int) -> None:
        self.host = host
        self.port = port
        self.processes = processes

    def wait_for_master(self, timeout_s: float) -> None:
        """Wait until the master's port answers.

        Raises:
            FleetError: the port did not answer in time.
        """
        give_up_s = time.monotonic() + timeout_s
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=2).close()
                return
            except OSError as error:
                if time.monotonic() > give_up_s:
                    raise FleetError(
                        f"No master answered at {self.host}:{self.port} within {timeout_s:.0f} s ({error}): start one "
                        "with `lt run --expect-workers N --bind ADDRESS`, and check that no firewall blocks the "
                        f"connection."
                    ) from error
                time.sleep(TRY_EVERY_S)

    def fetch_scenario(self, folder: Path) -> Path:
        """Write the master's scenario and its modules into a folder, and return the locustfile's path.

        Raises:
            FleetError: the master did not send the scenario.
        """
        done = subprocess.run(
            [sys.executable, str(LAUNCH), ".recorder.fetch", self.host, str(self.port), str(FETCH_S), str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
        )
        if done.returncode:
            raise FleetError(done.stderr.strip() or f"No scenario from {self.host}:{self.port}.")
        return Path(done.stdout.splitlines()[1])

    def run(self, folder: Path) -> int:
        """Run the workers until the run ends, and return the worst exit status. Ctrl-C stops the workers properly.

        Raises:
            FleetError: the master did not send its scenario.
        """
        arguments = ["-f", str(self.fetch_scenario(folder))]
        arguments += ["--worker", "--master-host", self.host, "--master-port", str(self.port)]
        workers = [
            subprocess.Popen(
                [sys.executable, str(LAUNCH), *arguments],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, PARENT_VARIABLE: str(os.getpid()), FETCHED_VARIABLE: str(folder)},
            )
            for _ in range(self.processes)
        ]
        try:
            return max(abs(worker.wait()) for worker in workers)
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()
            for worker in workers:
                try:
                    worker.wait(timeout=END_S)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()
