"""Generate the scenario as one readable locustfile."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .document import Document
from .names import function_name
from .operations import Operation, Resolver
from .payloads import Module
from .requests import RequestCode
from .schemas import merged
from .trial import Tried
from .wire import Answer

PREDICTION_WEIGHT = 5
"""Weight of the task of a POST. All other tasks have weight 1."""

CASE = '''(operation):
    """Continue with the operation's next case. There are 1,000 cases, the same in every process."""
    draw.seed(f"{SEED}/{next(cases[operation])}")'''

CHECK = '''(answer, *fields):
    """Count an answer as failed when it is not the JSON object that the service's document promises."""
    if answer.status_code >= 400 or answer.status_code == 0:
        return  # failed already
    try:
        found = answer.json()
    except ValueError:
        answer.failure("the answer is not JSON")
        return
    missing = [name for name in fields if not isinstance(found, dict) or name not in found]
    if missing:
        answer.failure(f"the answer has no {', '.join(missing)}")'''


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An operation that the scenario does not send, and the reason as a clause."""

    operation: Operation
    why: str


def locustfile(
    document: Document, sent: Sequence[Tried], left_out: Sequence[LeftOut], *, data: str | None = None, seed: int
) -> str:
    """Return the source of the scenario. `data` is the path of the data file whose rows the scenario sends."""
    module = Module()
    module.imports.update({"import os", "import random"})
    resolve = Resolver(document.spec)
    names: set[str] = set()
    written = [(tried, tried.build(module)) for tried in sent]
    tasks = [_task(tried, code, module, resolve, names) for tried, code in written]
    draws = any("case(" in task for task in tasks)
    if any("check(" in task for task in tasks):
        module.functions = {"check": CHECK, **module.functions}
    if draws:
        module.functions = {"case": CASE, **module.functions}
        module.imports.update({"import collections", "import itertools"})
    uses_data = data is not None and any("next(data)" in task for task in tasks)
    plain = sorted(line for line in module.imports if line.startswith("import "))
    other = sorted(line for line in module.imports if not line.startswith("import ") and "urllib3" not in line)
    third = sorted(["from locust import task", *(line for line in module.imports if "urllib3" in line)])
    ours = f"from loadtest import FastUser, {'rows, ' if uses_data else ''}spread_throughput"
    imports = "\n\n".join(["\n".join([*plain, *other]), "\n".join(third), ours])
    title, source_of = _safe(document.title), _safe(document.source)
    head = f'"""Load for {title}: written by `lt init` from {source_of}; edit it as you like.\n\n'
    head += "\n".join(_what_is_in(sent, left_out)) + '\n"""\n'
    source = f"{head}\n{imports}\n\nSEED = os.environ.get('LT_SEED', '{seed}')\ndraw = random.Random(SEED)\n"
    if draws:
        source += "cases = collections.defaultdict(lambda: itertools.cycle(range(1_000)))\n"
    if uses_data:
        source += f'data = rows({data!r}, order="shuffle")\n'
    if made := module.source():
        source += f"{made}\n" if module.constants else f"\n\n{made}\n"
    source += "\n\nclass Visitor(FastUser):\n"
    source += (
        '    """Sends one request a second; the weights decide which."""\n\n    wait_time = spread_throughput(1)\n\n'
    )
    return source + "\n\n".join(tasks) + "\n"


def _what_is_in(sent: Sequence[Tried], left_out: Sequence[LeftOut]) -> list[str]:
    lines = ["Sent:"]
    for tried in sent:
        note = f" ({_safe(tried.note)})" if tried.note else "" if tried.works else " (not tried)"
        lines.append(f"  {_safe(tried.operation.name)}{note}")
    if left_out:
        lines += ["", 'Left out (`lt init --include "METHOD /path"` includes one):']
        lines += [f"  {_safe(each.operation.name)}: {_safe(each.why)}" for each in left_out]
    return lines


def _task(tried: Tried, code: RequestCode, module: Module, resolve: Resolver, names: set[str]) -> str:
    operation = tried.operation
    name = base = function_name(operation)
    number = 1
    while name in names:
        number += 1
        name = f"{base}_{number}"
    names.add(name)
    arguments = [code.path]
    arguments += [
        f"{key}={value}" for key in ("params", "headers", "json", "data") if (value := getattr(code, key)) is not None
    ]
    if "{" in operation.path and not code.path.startswith("'"):
        arguments.append(f"name={operation.path!r}")
    fields = _promised(operation, tried.last, resolve)
    weight = PREDICTION_WEIGHT if operation.method == "POST" else 1
    lines = [f"@task({weight})" if weight > 1 else "@task", f"def {name}(self):"]
    lines.append(f'    """{_safe(operation.title or operation.name).rstrip(".")}."""')
    if _draws([*code.before, *arguments], module):
        lines.append(f"    case({name!r})")
    lines += [f"    {statement}" for statement in code.before]
    if fields is None:
        lines.append(f"    self.client.{operation.method.lower()}({', '.join(arguments)})")
    else:
        lines.append(
            f"    with self.client.{operation.method.lower()}({', '.join(arguments)}, catch_response=True) as answer:"
        )
        lines.append(f"        check({', '.join(['answer', *map(repr, fields)])})")
    return "\n".join(f"    {line}" if line else "" for line in lines)


def _draws(statements: Sequence[str], module: Module) -> bool:
    """Whether statements draw random values, either directly or through the functions above the user class."""
    return any(
        re.search(r"\bdraw\b", statement) or any(re.search(rf"\b{name}\(", statement) for name in module.functions)
        for statement in statements
    )


def _promised(operation: Operation, last: Answer | None, resolve: Resolver) -> list[str] | None:
    """Return the fields that the document promises, except those that were missing in the answer to a trial request.

    None if the answer is not a JSON object.
    """
    if operation.answer is None or operation.method == "HEAD":
        return None
    schema = merged(operation.answer, resolve)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return None
    fields = [str(each) for each in schema.get("required", properties) if isinstance(each, str)]
    if last is not None and last.is_good:
        found = last.json
        if not isinstance(found, dict):
            return None
        fields = [each for each in fields if each in found]
    return fields[:8]


def _safe(text: str) -> str:
    """Return a text of the document that is safe in a docstring: one printable line without closing quotes."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line.replace("\\", "/").replace('"', "'")[:300].strip()
