"""Finds algorithms by name: those of the entry-point group `convbench.algorithms`, and those that a script registers.

The built-in algorithms are entry points in this project's own metadata, so this package does not import them. A source
checkout that is not installed has no metadata, so its `pyproject.toml` is read instead. Baselines, with which the
algorithms are compared, are in the group `convbench.baselines`: `get` finds them too, but `names` does not list them.
"""

import tomllib
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import TypeVar

from convbench.algorithm import contract
from convbench.algorithm.algorithm import Algorithm
from convbench.errors import (
    ContractError,
    ConvbenchError,
    DuplicateNameError,
    UnknownNameError,
    did_you_mean,
    message_of,
)

GROUP = "convbench.algorithms"
BASELINES = "convbench.baselines"

_A = TypeVar("_A", bound=type[Algorithm])
_registered: dict[str, Algorithm] = {}


def register(algorithm: _A) -> _A:
    """Register an algorithm class under its `name` until the process ends; can be used as a decorator.

    Raises DuplicateNameError if the name is taken, and ConvbenchError if the class is not an `Algorithm` with a name, a
    family and plans.
    """
    name, taken = getattr(algorithm, "name", None), [*names(), *baseline_names()]
    if name in taken:
        raise DuplicateNameError(f"an algorithm {name!r} exists already; taken are {', '.join(taken)}")
    _registered[str(name)] = _instance(algorithm, name)
    return algorithm


def names() -> list[str]:
    """The names of all algorithms, sorted. No algorithm is imported."""
    return sorted({*_entry_points(), *_registered})


def baseline_names() -> list[str]:
    """The names of all baselines, sorted. No baseline is imported."""
    return sorted(_entry_points(BASELINES))


def get(name: str) -> Algorithm:
    """The algorithm or baseline of that name.

    Raises
    ------
    UnknownNameError
        there is none; the message has the names that exist.
    ConvbenchError
        the entry point of a package cannot be loaded, or is not an algorithm of that name.
    """
    if name in _registered:
        return _registered[name]
    if name not in (found := _entry_points() | _entry_points(BASELINES)):
        known = f"{', '.join(names())}, and the baselines {', '.join(baseline_names())}"
        like = did_you_mean(name, [*names(), *baseline_names()])
        raise UnknownNameError(f"algorithm {name!r} is unknown; there are {known}{like}")
    try:
        return _instance(found[name].load(), name)
    except (Exception, SystemExit) as error:
        raise ConvbenchError(
            f"algorithm {name!r}, from {found[name].value}, cannot be loaded: {message_of(error)}"
        ) from error


def available() -> tuple[list[Algorithm], list[str]]:
    """All algorithms that can be loaded, in the order of their names, and an error message for each of the others."""
    found, faults = [], []
    for name in names():
        try:
            found.append(get(name))
        except ConvbenchError as error:
            faults.append(str(error))
    return found, faults


def _instance(algorithm: object, name: object) -> Algorithm:
    """An instance of an algorithm class, after checking the class attributes that an author must set."""
    if not (isinstance(algorithm, type) and issubclass(algorithm, Algorithm)):
        raise ConvbenchError(f"{algorithm!r} is no Algorithm class")
    for attribute in ("name", "family", "plans"):
        if not getattr(algorithm, attribute, None):
            raise ContractError(f"{algorithm.__name__} has no {attribute}")
    made = algorithm()
    contract.check(made)
    if made.name != name:
        raise ConvbenchError(f"{algorithm.__name__} is named {made.name!r}, not {name!r}")
    return made


@cache
def _entry_points(group: str = GROUP) -> dict[str, EntryPoint]:
    """The entry points of a group by name, read once per process, because reading all packages' metadata is slow."""
    found: dict[str, EntryPoint] = {}
    for point in (*entry_points(group=group), *_of_checkout(group)):
        if point.name in found and found[point.name].value != point.value:
            raise DuplicateNameError(
                f"two installed packages have an algorithm {point.name!r}: {found[point.name].value} and {point.value}"
            )
        found[point.name] = point
    return found


@cache
def _of_checkout(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a source checkout; none if the project is installed or there is no checkout."""
    try:
        distribution("convbench")
    except PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        if not project.is_file():
            return ()
        named = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"][group]
        return tuple(EntryPoint(name=name, value=value, group=group) for name, value in named.items())
    return ()
