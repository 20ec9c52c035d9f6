"""Load the page's templates, and cache them in compiled form, as Python does with modules."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket


def environment(
    read: Callable[[str], str], filters: Sequence[Callable[..., object]], *, kept: Path, program: Sequence[str]
) -> jinja2.Environment:
    """Return a Jinja environment whose templates escape every text and fail if a name is missing.

    Args:
        read: returns a template's source by its name.
        filters: the functions that templates may call.
        kept: the folder of compiled templates.
        program: what a compiled template depends on in addition to its source.
    """
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(read),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        bytecode_cache=_Compiled(kept, program),
    )
    made.filters |= {function.__name__: function for function in filters}
    return made


class _Compiled(jinja2.FileSystemBytecodeCache):
    """A cache of compiled templates in files, because compiling takes a tenth of the time of a small report.

    A template is compiled again if its source, lt or Jinja has changed, or if its file cannot be read or written.
    """

    def __init__(self, folder: Path, program: Sequence[str]) -> None:
        super().__init__(str(folder))
        self._program = "\n".join([jinja2.__version__, *program])

    def get_source_checksum(self, source: str) -> str:
        return super().get_source_checksum(f"{self._program}\n{source}")

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError, EOFError, pickle.UnpicklingError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)
