"""Define the environment variables of a fleet's processes and the messages between them, except Locust's own."""

from __future__ import annotations

import hashlib
import hmac
import os

FOLDER_VARIABLE = "LT_RUN_FOLDER"
"""The variable that names the run folder for the master."""

UI_SECRET_VARIABLE = "LT_UI_SECRET"
"""The secret of Locust's own web page. Only the master gets this variable."""

PARENT_VARIABLE = "LT_PARENT_PID"
"""The pid of the process that started this process. The variable is set if this process must end when the process that
started it ends."""

SECRET_VARIABLE = "LT_JOIN_SECRET"
"""If this variable is set, the master accepts only workers that also know the secret."""

HELLO = "lt_hello"  # worker → master: name, host, pid, versions, proof of the join secret
REFUSED = "lt_refused"  # master → worker: why the worker may not join
ANSWERS = "lt_answers"  # master → worker, when it joins: the answers from before the load
REPORT = "lt_report"  # worker → master, once a second: the frame of rows, health, counts
CLOCK = "lt_clock"  # master → worker and back: sent_ns (master), worker_ns
DRAIN = "lt_drain"  # master → worker: stop the users, then send the remaining rows
DRAINED = "lt_drained"  # worker → master: the last frame and the worker's own counts, on request or because it ends

REPORT_INTERVAL_S = 1.0
"""Interval between two reports of a worker. If a worker is killed, at most the rows of one interval are lost."""

SILENCE_S = 5.0
"""If a worker has received nothing from the master for this long, it stops its users, because their load is not
recorded."""

ANSWERS_VARIABLE = "LT_ANSWERS"
"""Path of the file with the answers from before the load (users/answers.py), for the master."""

BOUNDS_VARIABLE = "LT_BOUNDS"
"""The shape to use and its bounds, as JSON for the master: `shape`, `users`, `spawn_rate`, `duration_s`."""

FETCHED_VARIABLE = "LT_FETCHED"
"""Path of the folder that `fetch` has written, for a worker whose master is on another machine."""

SCENARIO = "lt_scenario"  # worker → master: request with a proof; master → worker: the scenario's files and arguments
UNLOADABLE = "lt_unloadable"  # worker → master: the worker cannot load the scenario: host, error, proof
ENDING = "lt_ending"  # worker → master: the scenario has asked to end the run, and where in its code
PROCESS = "lt_process"  # worker → master: its host, its pid and the pid of the process that started it

PAUSE_S = 3.0
"""If an event loop did not run for this long, it counts as paused: its process was stopped, or got no CPU."""


def own_proof(client_id: str) -> str:
    """Return the proof of the join secret in this process's environment; "" if there is no secret."""
    secret = os.environ.get(SECRET_VARIABLE, "")
    return join_proof(secret, client_id) if secret else ""


def join_proof(secret: str, client_id: str) -> str:
    """Return the proof that a worker with this id knows the join secret. The proof does not reveal the secret."""
    return hmac.new(secret.encode(), client_id.encode(), hashlib.sha256).hexdigest()
