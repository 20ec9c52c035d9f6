"""Run the workers of another machine's master."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from ..core.errors import FleetError
from ..recorder.messages import PARENT_VARIABLE
from .scenario import locust_environment

TRY_EVERY_S = 0.5
END_S = 15.0


class WorkerPool:
    """Locust workers that take scenario and recorder from their master (`locust -f -`)."""

    def __init__(self, host: str, port: int, processes: int) -> None:
        self.host = host
        self.port = port
        self.processes = processes

    def wait_for_master(self, timeout_s: float) -> None:
        """Return once the master's port answers.

        Raises:
            FleetError: it did not in time.
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
                        "with `lt run --expect-workers N --bind ADDRESS`, and see that no firewall is between."
                    ) from error
                time.sleep(TRY_EVERY_S)

    def run(self) -> int:
        """Run the workers to the end of the run; return the worst exit status. Ctrl-C ends them in good order."""
        arguments = ["-f", "-", "--worker", "--master-host", self.host, "--master-port", str(self.port)]
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "locust", *arguments],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**locust_environment(), PARENT_VARIABLE: str(os.getpid())},
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
