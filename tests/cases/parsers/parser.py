"""Defines `Parser`, a reader with its documented errors and some texts that it reads."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError


@dataclass(frozen=True, kw_only=True)
class Parser:
    """A reader of texts from outside.

    Attributes
    ----------
    name : what it reads
    read : reads the bytes of a text, and uses what comes out as a command does
    errors : the errors that it documents; any other exception is a fault
    texts : bytes that it reads without an error
    is_json : whether the texts are JSON, so that a mutation may keep them well-formed
    share : how many inputs it gets in a long run, in comparison with the others; a fast reader gets more
    longest : bytes of an input
    """

    name: str
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = (ConvbenchError,)
    texts: tuple[bytes, ...]
    is_json: bool = False
    share: float = 1.0
    longest: int = 2048

    def fault(self, text: bytes) -> BaseException | None:
        """The exception with which the reader breaks its promise on this text; None if it keeps it."""
        try:
            self.read(text)
        except self.errors as error:
            str(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (any other exception is what is looked for)
            return error
        return None


def of_file(read: Callable[[Path], Any], suffix: str) -> Callable[[bytes], object]:
    """A reader of bytes, for a reader of a file whose name has this suffix."""

    @cache
    def path() -> Path:
        return Path(tempfile.mkdtemp(prefix="convbench-parsers-")) / f"text{suffix}"

    def read_bytes(text: bytes) -> object:
        path().write_bytes(text)
        return read(path())

    return read_bytes


def as_argument(text: bytes) -> str:
    """The text as Python gives it to a program on the command line."""
    return text.decode("utf-8", "surrogateescape")


def as_line(text: bytes) -> str:
    """The text as a line of a file that is read although it is no UTF-8."""
    return text.decode("utf-8", "replace")
