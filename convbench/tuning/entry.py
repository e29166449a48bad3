"""The entry of a database: the fastest config of one algorithm for one direction of one problem on one device."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from math import isfinite
from typing import Any, Final
from weakref import WeakKeyDictionary

from convbench.devices import Device
from convbench.problem import DIRECTIONS
from convbench.problem.notation import own

BEGINNING = '{"device":'  # every entry's line begins with it

Key = tuple[str, str | None, str, str, str]  # device, compute capability, algorithm, direction, problem

# the first two of a key by device: describing a GPU asks its driver, which takes time
_IDENTITIES: Final["WeakKeyDictionary[Device, tuple[str, str | None]]"] = WeakKeyDictionary()

MOST_NESTED = 20  # levels of a line; configs are dataclasses, of which a few may lie in each other


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The result of a search. Times are in microseconds, with a warm cache, by the device's own clock.

    If the search ranked configs by predicted times, they are these, `clock` says so, and there is no interval.
    """

    device: str  # the name that records have
    compute_capability: str | None
    algorithm: str
    direction: str
    problem: str  # the text of a ConvProblem
    config: dict[str, Any]  # every field of the config
    median_us: float
    interval_us: tuple[float, float] | None  # 95 % interval of the median
    default_us: float | None  # median of the default config, timed in turns with this one; None if it was not timed
    clock: str
    timed: int  # number of configs whose result was right, and that were timed
    seed: int
    version: str | None  # of convbench
    commit: str | None
    when: str  # UTC, ISO 8601

    def __post_init__(self) -> None:
        for name, is_right, rule in _RULES:
            if not is_right(value := getattr(self, name)):
                raise ValueError(f"{name} is {value!r}; it must be {rule}")
        own.parse(self.problem)

    @property
    def key(self) -> Key:
        """The fields that identify an entry. Of several entries with one key, the one measured last counts."""
        return self.device, self.compute_capability, self.algorithm, self.direction, self.problem

    @property
    def moment(self) -> datetime:
        """The time of the measurement."""
        return datetime.fromisoformat(self.when)

    def to_json(self) -> str:
        """The entry as one line of JSON, without a line end."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Entry":
        """The entry of a line. Raises ValueError or ConvbenchError, whose message says what is wrong with the line."""
        too_deep = f"its values are nested more than {MOST_NESTED} deep"
        try:
            data = json.loads(line)
        except RecursionError as error:
            raise ValueError(too_deep) from error
        if _is_deeper(data, MOST_NESTED):
            raise ValueError(too_deep)
        names = [field.name for field in fields(cls)]
        if not isinstance(data, dict) or sorted(data) != sorted(names):
            raise ValueError(f"an entry has {', '.join(names)}")
        if isinstance(interval := data["interval_us"], list):
            data["interval_us"] = tuple(interval)
        return cls(**data)


def _is_deeper(data: object, limit: int) -> bool:
    """Whether lists and objects are nested more than `limit` deep."""
    level = [data]
    for _ in range(limit + 1):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [value for values in inner for value in values]
    return bool(level)


def identity(description: Mapping[str, Any]) -> tuple[str, str | None]:
    """The device name and compute capability of an entry, from a device's description."""
    return description["name"], description.get("compute_capability")


def key_on(device: Device, algorithm: str, direction: str, problem: object) -> Key:
    """The key of an entry for a device, whether or not there is one."""
    if device not in _IDENTITIES:
        _IDENTITIES[device] = identity(device.describe())
    return *_IDENTITIES[device], algorithm, direction, str(problem)


def as_json(config: Any) -> dict[str, Any]:
    """The fields of a config as they are after being written to JSON and read again."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    return found


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0


def _is_interval(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_time, value)) and value[0] <= value[1]


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    *((name, _is_text, "a text") for name in ("device", "algorithm", "problem", "clock")),
    *((name, _is_text_or_none, "a text or null") for name in ("compute_capability", "version", "commit")),
    ("direction", lambda value: value in DIRECTIONS, f"one of {', '.join(DIRECTIONS)}"),
    ("config", lambda value: isinstance(value, dict), "an object of fields"),
    ("median_us", _is_time, "a positive number"),
    ("default_us", lambda value: value is None or _is_time(value), "a positive number or null"),
    ("interval_us", _is_interval, "null, or two positive numbers, the lower first"),
    ("timed", _is_count, "a whole number"),
    ("seed", _is_count, "a whole number"),
    ("when", _is_moment, "a moment of ISO 8601 with its time zone"),
)
