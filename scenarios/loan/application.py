"""Generate loan applications from a seed, for every scenario of the bundled service."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from locust import User, events
from locust.argument_parser import LocustArgumentParser

from loadtest.users.sides import shared_by_twins

POOL_SIZE, PLACES_APART, WORKERS_APART = 1_000, 383, 191
"""The number of applications; the offset between the first applications of two successive users; the same offset for
two successive workers. The first two numbers have no common divisor."""

STATES = ("NC", "IN", "CA", "SD", "TX", "NY", "FL", "OH", "IL", "WA", "GA", "AZ")
BANKS = (
    ("BBCN BANK", "CA"),
    ("WELLS FARGO BANK NATL ASSOC", "SD"),
    ("BANK OF AMERICA NATL ASSOC", "NC"),
    ("JPMORGAN CHASE BANK NATL ASSOC", "IL"),
    ("U.S. BANK NATIONAL ASSOCIATION", "OH"),
    ("Other", "Other"),
)
SECTORS = ("11", "23", "31", "42", "44", "45", "48", "51", "54", "56", "62", "71", "72", "81", "0")


@events.init_command_line_parser.add_listener
def _add_seed(parser: LocustArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, env_var="LT_SEED", help="Seed of the applications.")


def applications_of(user: User) -> Iterator[dict[str, Any]]:
    """Return this user's endless stream of applications; with the same seed, the same applications are sent again.

    All users take applications from one pool of POOL_SIZE; each user begins at its own place in the pool. Every worker
    generates the same pool when its first user starts. So no application is generated while requests are being timed,
    and answers can be compared with reference answers.
    """
    environment: Any = user.environment
    if not hasattr(environment, "loan_pool"):  # a process keeps its state in Locust's environment
        seed = getattr(environment.parsed_options, "seed", 1)
        worker = max(0, getattr(environment.runner, "worker_index", 0))
        draw = random.Random(f"{seed}/0")
        environment.loan_pool = [application(draw) for _ in range(POOL_SIZE)]
        environment.loan_places = itertools.count(worker * WORKERS_APART, step=PLACES_APART)
    pool = environment.loan_pool
    begin: int = shared_by_twins(user, "loan_place", lambda: next(environment.loan_places))
    return (pool[place % POOL_SIZE] for place in itertools.count(begin))


def application(draw: random.Random) -> dict[str, Any]:
    """Return one loan application.

    The application has the 18 fields of the service's schema in the same order; amounts are in cents. In one
    application of four, the two flags are the strings "True" and "False"; in the others they are JSON booleans. Real
    clients send both forms, and the service accepts both.
    """
    bank, bank_state = draw.choice(BANKS)
    state = draw.choice(STATES)
    employees = min(int(draw.lognormvariate(1.5, 1.2)) + 1, 5000)
    created = draw.choice((0, 0, 0, draw.randint(1, 20)))
    approved = round(draw.lognormvariate(11.5, 1.1), 0) * 100
    text_flags = draw.random() < 0.25

    def flag(value: bool) -> bool | str:
        return str(value) if text_flags else value

    return {
        "Term": draw.choice((12, 36, 60, 84, 84, 84, 120, 180, 240, 300)),
        "NoEmp": employees,
        "CreateJob": created,
        "RetainedJob": draw.randint(0, employees),
        "longitude": round(draw.uniform(-124.0, -67.0), 4),
        "latitude": round(draw.uniform(25.0, 49.0), 4),
        "GrAppv": approved,
        "SBA_Appv": round(approved * draw.choice((0.5, 0.75, 0.85, 0.9)), 0),
        "is_new": flag(draw.random() < 0.3),
        "FranchiseCode": draw.choice(("0", "1", "1", "Other")),
        "UrbanRural": draw.choice((0, 1, 1, 2)),
        "City": "Other",
        "State": state,
        "Bank": bank,
        "BankState": bank_state,
        "RevLineCr": draw.choice(("N", "Y", "Other")),
        "naics_first_two": draw.choice(SECTORS),
        "same_state": flag(state == bank_state),
    }
