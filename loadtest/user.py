"""Offer the Locust user whose client costs the load generator least."""

from __future__ import annotations

import ssl
from typing import Any

import gevent
from locust import TaskSet, User
from locust.env import Environment
from locust.exception import StopTest
from locust.user.users import RestMixin

from loadtest.client import FastClient
from loadtest.pacing import spread_throughput

__all__ = ["FastUser", "spread_throughput"]


class FastUser(User, RestMixin[Any]):
    """A Locust user like FastHttpUser, at a fraction of its cost: `self.client.post("/predict", json=…)`.

    Everything else is Locust's: tasks, weights, TaskSets, shapes, `on_start`, `wait_time`. What the client does
    and does not do is in docs/users.md. The attributes have FastHttpUser's names, and mean seconds where it does.

    Attributes:
        network_timeout: seconds until the last byte of an answer; per request: `timeout=`.
        connection_timeout: seconds to open a connection.
        default_headers: sent with every request; `self.client.headers` changes them while running.
        insecure: accept any TLS certificate.
        ssl_context: for TLS, instead of the process's default: client certificates, a private authority.
    """

    abstract = True
    network_timeout: float = 60.0
    connection_timeout: float = 60.0
    default_headers: dict[str, str] | None = None
    insecure: bool = False
    ssl_context: ssl.SSLContext | None = None

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        host = self.host or environment.host
        if host is None:
            raise StopTest("No host to load: set `host` in the user class, or pass --host http://127.0.0.1:8080.")
        self._rested_at = 0
        open_loop = bool(getattr(self, "open_loop", False))
        self.client = FastClient(
            environment,
            host,
            network_timeout=self.network_timeout,
            connection_timeout=self.connection_timeout,
            headers=self.default_headers,
            insecure=self.insecure,
            ssl_context=self.ssl_context,
            context=self.context,
            lateness=_lateness_on_schedule() if open_loop else None,
        )

    @property
    def _taskset_instance(self) -> TaskSet | None:
        """Locust's root task set of this user; `User.run` assigns it."""
        return self._root_tasks

    @_taskset_instance.setter
    def _taskset_instance(self, tasks: TaskSet | None) -> None:
        self._root_tasks = tasks
        if tasks is None:
            return
        if not getattr(self, "open_loop", False):
            tasks._sleep = self._rest  # type: ignore[method-assign]  # the hook TaskSet.wait has
        if getattr(type(self).wait_time, "lt_spread", False):
            tasks.on_start = tasks.wait  # type: ignore[method-assign]  # the first task waits for its point, too

    def _rest(self, seconds: float) -> None:
        """Sleep, but not for 0 s after a request that let the others run anyway: that costs a round of the loop."""
        answered = self.client.answered
        if seconds > 0 or answered == self._rested_at:
            gevent.sleep(seconds)
        self._rested_at = answered


def _lateness_on_schedule() -> Any:
    from loadtest.schedule import take_lateness_us

    return take_lateness_us
