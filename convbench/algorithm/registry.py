"""The algorithms by name: from the entry-point group `convbench.algorithms`, or registered by a script.

What they are compared with, in the group `convbench.baselines`, is found by its name too, but is not among `names`.
The built-in ones come in by the entry points too, in this project's own metadata: this package does not import them. A
checkout that is run without being installed has no metadata; its `pyproject.toml` stands for them.
"""

import tomllib
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import TypeVar

from convbench.algorithm.algorithm import Algorithm
from convbench.errors import ConvbenchError, DuplicateNameError, UnknownNameError

GROUP = "convbench.algorithms"
BASELINES = "convbench.baselines"

_A = TypeVar("_A", bound=type[Algorithm])
_registered: dict[str, Algorithm] = {}


def register(algorithm: _A) -> _A:
    """Make an algorithm class known by its `name` for the life of the process; usable as a decorator.

    Raises DuplicateNameError when the name is taken, and ConvbenchError when it is no algorithm with name and family.
    """
    name, taken = getattr(algorithm, "name", None), [*names(), *baseline_names()]
    if name in taken:
        raise DuplicateNameError(f"an algorithm {name!r} exists already; taken are {', '.join(taken)}")
    _registered[str(name)] = _instance(algorithm, name)
    return algorithm


def names() -> list[str]:
    """Every algorithm's name, sorted, without importing any."""
    return sorted({*_entry_points(), *_registered})


def baseline_names() -> list[str]:
    """The name of every baseline, sorted, without importing any."""
    return sorted(_entry_points(BASELINES))


def get(name: str) -> Algorithm:
    """The algorithm of that name.

    Raises
    ------
    UnknownNameError
        with the names that exist.
    ConvbenchError
        when a package's entry point cannot be loaded, or is no algorithm of that name.
    """
    if name in _registered:
        return _registered[name]
    if name not in (found := _entry_points() | _entry_points(BASELINES)):
        known = f"{', '.join(names())}, and the baselines {', '.join(baseline_names())}"
        raise UnknownNameError(f"algorithm {name!r} is unknown; there are {known}")
    try:
        return _instance(found[name].load(), name)
    except (Exception, SystemExit) as error:
        raise ConvbenchError(f"algorithm {name!r}, from {found[name].value}, cannot be loaded: {error}") from error


def available() -> tuple[list[Algorithm], list[str]]:
    """Every algorithm that can be loaded, by name, and what is wrong with the others."""
    found, faults = [], []
    for name in names():
        try:
            found.append(get(name))
        except ConvbenchError as error:
            faults.append(str(error))
    return found, faults


def _instance(algorithm: object, name: object) -> Algorithm:
    """An instance of a class that is what a registry can hold."""
    if not (isinstance(algorithm, type) and issubclass(algorithm, Algorithm)):
        raise ConvbenchError(f"{algorithm!r} is no Algorithm class")
    for attribute in ("name", "family"):
        if not isinstance(getattr(algorithm, attribute, None), str):
            raise ConvbenchError(f"{algorithm.__name__} has no {attribute}, or one that is no text")
    if not algorithm.plans:
        raise ConvbenchError(f"{algorithm.__name__} has no plans: a mapping from each direction that it has to a class")
    if algorithm.name != name:
        raise ConvbenchError(f"{algorithm.__name__} is named {algorithm.name!r}, not {name!r}")
    return algorithm()


@cache
def _entry_points(group: str = GROUP) -> dict[str, EntryPoint]:
    """By name; read once in a process, for reading all packages' metadata takes longer than many a convolution."""
    found: dict[str, EntryPoint] = {}
    for point in (*entry_points(group=group), *_of_checkout(group)):
        if point.name in found and found[point.name].value != point.value:
            raise DuplicateNameError(
                f"two installed packages bring an algorithm {point.name!r}: {found[point.name].value} and {point.value}"
            )
        found[point.name] = point
    return found


@cache
def _of_checkout(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a checkout that is not installed; none where the project is, or there is no checkout."""
    try:
        distribution("convbench")
    except PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        if not project.is_file():
            return ()
        named = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"][group]
        return tuple(EntryPoint(name=name, value=value, group=group) for name, value in named.items())
    return ()
