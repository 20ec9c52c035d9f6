"""Provide the Locust user whose client needs the least CPU in the load generator."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import FunctionType
from typing import Any

from locust import TaskSet, User
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.user.task import (
    LOCUST_STATE_RUNNING,
    LOCUST_STATE_STOPPING,
    LOCUST_STATE_WAITING,
    DefaultTaskSet,
)
from locust.user.users import RestMixin

from ..core.answers import AnswerCheck
from ..http.response_parser import MAX_BODY_BYTES
from .client import FastClient
from .clock import clock, keep_waits_exact
from .lateness import take_lateness_us
from .pacing import spread_throughput
from .refusals import USER_ATTRIBUTES, refused_attribute
from .sides import side_of
from .starts import STARTS

__all__ = ["FastUser", "spread_throughput"]


class FastUser(User, RestMixin[Any]):
    """A Locust user like FastHttpUser that needs a fraction of its CPU: `self.client.post("/predict", json=…)`.

    Everything else works as in Locust: tasks, weights, TaskSets, shapes, `on_start`, `wait_time`. docs/users.md lists
    what the client supports. The attributes have FastHttpUser's names and meanings. If a class sets an unsupported
    attribute, an error is raised when the class is created.

    Attributes:
        network_timeout: maximum number of seconds until the last byte of an answer; `timeout=` sets it for one request.
        connection_timeout: seconds to open a connection.
        max_redirects: how many redirects of one request are followed.
        default_headers: sent with every request; `self.client.headers` changes them while running.
        insecure: whether every TLS certificate is accepted (FastHttpUser accepts every certificate by default).
        ssl_context: the TLS context instead of the process's default, for client certificates or a private authority.
        ssl_context_factory: returns the `ssl_context`, as in FastHttpUser.
        allow_other_hosts: whether requests and redirects may go to servers other than `host`. Other servers do
            not get the user's Authorization and Cookie headers.
        max_body_bytes: the longest body of an answer; a longer body is a failure.
        check_answers: whether answers under load are compared with reference answers: always (True, or an AnswerCheck
            with settings), never (False), or only if the run asks for it with `--check-answers` (None).
    """

    abstract = True
    network_timeout: float = 60.0
    connection_timeout: float = 60.0
    max_redirects: int = 30
    default_headers: dict[str, str] | None = None
    insecure: bool = False
    ssl_context: ssl.SSLContext | None = None
    ssl_context_factory: Callable[[], ssl.SSLContext] | None = None
    allow_other_hosts: bool = False
    max_body_bytes: int = MAX_BODY_BYTES
    check_answers: bool | AnswerCheck | None = None
    max_retries: int = 0
    concurrency: int = 10
    proxy_host: None = None
    proxy_port: None = None
    client_pool: None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse unsupported attributes.

        Raises:
            TypeError: an unsupported attribute is set.
        """
        super().__init_subclass__(**options)
        for name, (default, _) in USER_ATTRIBUTES.items():
            if getattr(cls, name) != default:
                raise TypeError(refused_attribute(cls.__name__, name))

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        keep_waits_exact()
        host = self.host or environment.host
        if host is None:
            raise StopTest("No host to load: set `host` in the user class, or pass --host http://127.0.0.1:8080.")
        for name, (default, _) in USER_ATTRIBUTES.items():
            if getattr(self, name) != default:
                raise StopTest(refused_attribute(type(self).__name__, name))
        factory = type(self).ssl_context_factory
        open_loop = bool(getattr(self, "open_loop", False))
        self.client = FastClient(
            environment,
            host,
            network_timeout=self.network_timeout,
            connection_timeout=self.connection_timeout,
            headers=self.default_headers,
            insecure=self.insecure,
            ssl_context=self.ssl_context or (factory() if factory else None),
            max_redirects=self.max_redirects,
            allow_other_hosts=self.allow_other_hosts,
            max_body_bytes=self.max_body_bytes,
            context=self.context,
            lateness=take_lateness_us if open_loop else None,
            user=self,
            side=side_of(self),
        )
        self._batch, self._number = STARTS.join()

    def run(self) -> None:  # type: ignore[misc] # final, so no scenario overrides it
        """Wait for this user's turn among the users that Locust starts at the same time; then run as in Locust."""
        STARTS.close()
        pause_s = 0.0 if getattr(self, "open_loop", False) else self._batch.pause_s(self._number)
        if pause_s:
            self._state = LOCUST_STATE_WAITING  # the user is stopped in the same way as between two tasks
            clock().sleep(pause_s)
        super().run()

    @property
    def _taskset_instance(self) -> TaskSet | None:
        """The set that contains this user's tasks.

        Locust's `User.run` assigns a DefaultTaskSet to this property, which replaces it by FastTasks.
        """
        return self._root_tasks

    @_taskset_instance.setter
    def _taskset_instance(self, tasks: TaskSet | None) -> None:
        self._root_tasks = FastTasks(self) if type(tasks) is DefaultTaskSet else tasks


class FastTasks(DefaultTaskSet):
    """The set that contains a user's tasks, as in Locust, but with less work between two tasks (1 instead of 2 µs)."""

    user: Any = None  # in Locust this is a property; here each set of tasks has its own value

    def __init__(self, user: FastUser) -> None:
        self.user = user
        super().__init__(user)
        self._client = user.client
        self._clock = clock()
        self._open_loop = bool(getattr(user, "open_loop", False))
        self._rested_at = 0

    def on_start(self) -> None:
        """If `wait_time` is `spread_throughput`, make the first task wait for its point too."""
        if getattr(type(self.user).wait_time, "lt_spread", False):
            self.wait()

    def get_next_task(self) -> Any:
        """Return the user's only task; if it has several, return a task that Locust's method draws at random."""
        tasks = self.user.tasks
        return tasks[0] if len(tasks) == 1 else super().get_next_task()

    def execute_next_task(self) -> None:
        """Do the next task."""
        task = self._task_queue.popleft()
        if type(task) is FunctionType:
            task(self.user)
        else:
            self.execute_task(task)

    def wait(self) -> None:
        """Wait as Locust does, but skip a wait of 0 s after a request, which has already let other greenlets run."""
        user = self.user
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        seconds = user.wait_time()
        answered = self._client.answered
        if seconds > 0 or answered == self._rested_at or self._open_loop:
            user._state = LOCUST_STATE_WAITING
            self._clock.sleep(seconds)
            if user._state == LOCUST_STATE_STOPPING:
                raise StopUser
            user._state = LOCUST_STATE_RUNNING
        self._rested_at = answered
