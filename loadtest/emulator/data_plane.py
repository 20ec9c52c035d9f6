"""Open and close the data plane of one revision: HAProxy, its queue holder and its access log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.errors import EmulatorError
from .access_log import AccessLog, Answered
from .haproxy import FrontOptions, HAProxy
from .process_supervisor import ProcessSupervisor
from .queue_holder import QueueHolder


class DataPlane:
    """The path that requests take to the instances; it is open when `startup` returns.

    Args:
        options: the settings of HAProxy.
        binary: HAProxy's executable.
        supervisor: starts HAProxy.
        note: called with each completed request.
    """

    def __init__(
        self,
        options: FrontOptions,
        *,
        binary: Path,
        supervisor: ProcessSupervisor,
        note: Callable[[Answered], None],
    ) -> None:
        self._options = options
        self._log = AccessLog(note)
        self._holder = QueueHolder(options.directory)
        self._haproxy = HAProxy(options, binary=binary, supervisor=supervisor)

    async def startup(self, *, listen_fd: int) -> None:
        """Accept requests on the service's listening socket. Requests wait while no instance can serve them.

        Raises:
            EmulatorError: HAProxy did not start.
        """
        self._options.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._log.startup()
            await self._holder.startup()
            await self._haproxy.startup(listen_fd=listen_fd, log_fd=self._log.write_fd)
            await self._holder.fill()
        except BaseException:
            await self.shutdown()
            raise

    @property
    def haproxy(self) -> HAProxy:
        """The running HAProxy.

        Raises:
            EmulatorError: HAProxy has ended.
        """
        if not self._haproxy.alive:
            raise EmulatorError("HAProxy ended; the service cannot be reached. Start the emulator again.")
        return self._haproxy

    @property
    def alive(self) -> bool:
        """Whether HAProxy runs."""
        return self._haproxy.alive

    async def shutdown(self) -> None:
        """Stop at once; requests in flight are cut off."""
        await self._holder.shutdown()
        await self._haproxy.shutdown()
        self._log.shutdown()
