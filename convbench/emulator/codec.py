"""Write linked kernels as text, and read them again. Nothing is executed by reading, whatever the text says.

The text is JSON. A number, a string, None, True and False stand for themselves, and a list for a list. Everything else
is an object with one key: `tuple`, `set`, `dict` (pairs), or the name of a class below, with its fields.
"""

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

from convbench.emulator.building import Linked, Watch
from convbench.emulator.counting.chains import Chain
from convbench.emulator.counting.tables import Access, Block, Place, Space, Tables
from convbench.emulator.ptx.syntax import Variable
from convbench.emulator.retarget import Array, Retargeted
from convbench.emulator.source import Site, Sites

_CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (Linked, Watch, Retargeted, Array, Site, Variable, Tables, Block, Access, Place, Chain)
}
_OF_A_PROCESS = {"storage", "raises"}  # fields that another process makes anew


def encoded(linked: Linked) -> bytes:
    """The text. Raises TypeError for a value of another class."""
    return json.dumps(_plain(linked), separators=(",", ":"), allow_nan=False).encode()


def decoded(text: bytes) -> Linked:
    """The kernel of a text. Raises ValueError or TypeError for one that `encoded` has not written."""
    try:
        found = _value(json.loads(text))
    except (KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"no linked kernel: {type(error).__name__}: {error}") from error
    if not isinstance(found, Linked):
        raise ValueError("no linked kernel")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Space):
        return {"Space": int(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_plain(item) for item in value]}
    if isinstance(value, set):
        return {"set": [_plain(item) for item in sorted(value)]}
    if isinstance(value, dict):
        return {"dict": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if isinstance(value, Sites):
        return {"Sites": [_plain(site) for site in value]}
    kind = type(value)
    if _CLASSES.get(kind.__name__) is not kind or not is_dataclass(value):
        raise TypeError(f"a kernel on disk has no {kind.__name__}")
    names = [field.name for field in fields(value) if field.name not in _OF_A_PROCESS]
    return {kind.__name__: {name: _plain(getattr(value, name)) for name in names}}


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    ((name, content),) = plain.items()
    if name in _CLASSES:
        return _CLASSES[name](**{field: _value(item) for field, item in content.items()})
    return _OTHERS[name]([_value(item) for item in content] if isinstance(content, list) else content)


def _sites(places: list[Site]) -> Sites:
    found = Sites()
    for place in places:
        found.number(place)
    return found


_OTHERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple, "set": set, "dict": dict, "Sites": _sites, "Space": Space,
}  # fmt: skip
