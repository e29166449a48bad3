"""The algorithms by name: from the entry-point group `convbench.algorithms`, or registered by a script.

The built-in ones come in by the entry points too, in this project's own metadata: this package does not import them.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from convbench.algorithm import Algorithm
from convbench.errors import ConvbenchError, DuplicateNameError, UnknownNameError

GROUP = "convbench.algorithms"

_A = TypeVar("_A", bound=type[Algorithm])
_registered: dict[str, Algorithm] = {}


def register(algorithm: _A) -> _A:
    """Make an algorithm class known by its `name` for the life of the process; usable as a decorator.

    Raises DuplicateNameError when the name is taken.
    """
    taken = names()
    if algorithm.name in taken:
        raise DuplicateNameError(f"an algorithm {algorithm.name!r} exists already; taken are {', '.join(taken)}")
    _registered[algorithm.name] = algorithm()
    return algorithm


def names() -> list[str]:
    """Every algorithm's name, sorted, without importing any."""
    return sorted({*_entry_points(), *_registered})


def get(name: str) -> Algorithm:
    """The algorithm of that name; raises UnknownNameError, with the names that exist."""
    if name in _registered:
        return _registered[name]
    if name not in (found := _entry_points()):
        raise UnknownNameError(f"algorithm {name!r} is unknown; there are {', '.join(names())}")
    loaded = found[name].load()
    if not (isinstance(loaded, type) and issubclass(loaded, Algorithm) and loaded.name == name):
        raise ConvbenchError(f"the entry point {found[name].value} is no Algorithm class named {name!r}")
    return loaded()


def _entry_points() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise DuplicateNameError(
                f"two installed packages bring an algorithm {point.name!r}: {found[point.name].value} and {point.value}"
            )
        found[point.name] = point
    return found
