"""Keep an error that occurs while the body of an answer is read, when Locust's clients already have a status."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import requests
from geventhttpclient.response import HTTPSocketResponse

from .events import BROKEN_BODY


def watch_bodies() -> None:
    """If a client fails while it reads the body, attach the error to the answer, where `events.broken_body` finds it.

    If FastHttpUser's client times out while it reads the body, Locust reports this error like an exception of the
    scenario's own check, together with the status. With `stream=True` the scenario reads the body itself, with either
    client.
    """
    for name in ("read", "readline"):
        setattr(HTTPSocketResponse, name, _noting_errors(getattr(HTTPSocketResponse, name)))
    iter_content = requests.Response.iter_content

    @functools.wraps(iter_content)
    def chunks(response: requests.Response, *words: Any, **options: Any) -> Iterator[Any]:
        return _noting_errors_of_chunks(response, iter_content(response, *words, **options))

    setattr(requests.Response, "iter_content", chunks)  # noqa: B010 - mypy: a method is assigned


def _noting_errors(read: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(read)
    def reads(answer: Any, *words: Any, **options: Any) -> Any:
        try:
            return read(answer, *words, **options)
        except BaseException as error:
            setattr(answer, BROKEN_BODY, error)
            raise

    return reads


def _noting_errors_of_chunks(answer: requests.Response, chunks: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from chunks
    except GeneratorExit:  # the scenario stopped reading on purpose
        raise
    except BaseException as error:
        setattr(answer, BROKEN_BODY, error)
        raise
