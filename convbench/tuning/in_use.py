"""The database from which this process takes tuned configs; `conv2d`, `Conv2d` and "auto" use it.

It is `reports/tuned/DEVICE.jsonl` in the current folder, where `convbench tune` writes, unless `use` names another file
or none. A file that changes is read again.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Direction
from convbench.tuning.database import Database, default_path
from convbench.tuning.entry import key_on

Stamp = tuple[int, int, int] | None  # inode, time of the last change, size


class TunedConfigWarning(UserWarning):
    """A line or an entry of the database is not used."""


class _Choice:
    """The file that `use` named, if any, and the databases that were read, each with the stamp of its file."""

    def __init__(self) -> None:
        self.is_named = False
        self.path: Path | None = None
        self.read: dict[Path, tuple[Stamp, Database]] = {}


_CHOICE: Final = _Choice()


def use(path: Path | str | None) -> None:
    """Take configs from this file from now on, in this process. With None, take none: every default is used."""
    _CHOICE.is_named, _CHOICE.path = True, None if path is None else Path(path)


def use_default() -> None:
    """Take configs from the default file of each device again."""
    _CHOICE.is_named, _CHOICE.path = False, None


def database(device: Device) -> Database | None:
    """The database of configs for a device; None if there is none. Raises RecordsError."""
    path = _CHOICE.path if _CHOICE.is_named else default_path(key_on(device, "", "", "")[0])
    stamp = None if path is None else _stamp(path)
    if path is None or stamp is None:
        return None
    place = path.absolute()
    known = _CHOICE.read.get(place)
    if known is None or known[0] != stamp:
        known = _CHOICE.read[place] = stamp, Database(path, _warn)
    return known[1]


def with_tuned_config(
    compute: Callable[[Any], None], algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device
) -> None:
    """Call `compute` with the tuned config of a problem, or with None, which stands for the default.

    If the config is refused, its entry is no longer used: a warning says so, and `compute` is called with None.
    """
    known = database(device)
    config = None
    if known is not None and algorithm.refuses(problem, direction) is None:
        config = known.config(algorithm, problem, direction, device)
    if known is None or config is None:
        compute(None)
        return
    try:
        compute(config)
    except ConfigError as error:
        known.drop(algorithm.name, problem, direction, device, str(error))
        compute(None)


def _stamp(path: Path) -> Stamp:
    """A stamp that changes when the file changes; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _warn(sentence: str) -> None:
    warnings.warn(sentence, TunedConfigWarning, stacklevel=2)
