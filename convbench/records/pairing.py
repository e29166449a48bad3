"""Pairs the records of OLD with those of NEW, and lists records without a partner and other differences.

Two records are of the same measurement if they have the same problem (which includes the dtype), direction, algorithm,
precision, device, config, workload and layer. If one side has several, the latest counts, as in a report, because they
may be of different versions of the code, which must not be mixed. Records that are left over on both sides are paired
although they have

- other names of workload and layer (the latest with the latest), because the work is the same;
- another config, if there is one record on each side, because the default may have changed;
- another config, if a side has one record and that did not pass, because a refused problem has no config.

Devices are the same if they have the same name, clock and hardware. If the times are not those of a GPU, the hardware
is the host's processor.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from convbench.errors import ConvbenchError
from convbench.records.record import Record

HARDWARE = "compute_capability", "multiprocessors"  # the facts besides its name that identify a GPU
WORK, CONFIG, PLACE = slice(0, 5), slice(5, 6), slice(6, 8)  # the parts of a key
MOST_VALUES = 3  # of one fact that are shown

Key = tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two records of the same measurement."""

    old: Record
    new: Record


@dataclass(frozen=True)
class Pairs:
    """The records of two sides: the pairs, and those without a partner."""

    paired: tuple[Pair, ...]
    only_old: tuple[Record, ...]
    only_new: tuple[Record, ...]
    repeated: int  # number of records that are left out because there is a later one of the same measurement
    notice: str | None  # a warning about different devices, to be shown first


@dataclass(frozen=True)
class Difference:
    """A fact besides the code that differs between the two sides, with its values on each side."""

    what: str
    old: str
    new: str


def pair(old: Iterable[Record], new: Iterable[Record], *, across_devices: bool = False) -> Pairs:
    """Pair the latest records of both sides, in the order of NEW.

    Raises ConvbenchError if a side has no records, if the two sides have no device in common and `across_devices` is
    False, or if it is True and a side has more than one device.
    """
    sides = []
    for name, records in (("OLD", list(old)), ("NEW", list(new))):
        if not records:
            raise ConvbenchError(f"{name} has no records that could be compared")
        sides.append(records)
    devices = [dict.fromkeys(map(device_of, records)) for records in sides]
    notice = _across(*map(list, devices)) if across_devices else None
    if not across_devices and not devices[0].keys() & devices[1].keys():
        raise ConvbenchError(
            f"OLD was measured on {_listed(devices[0])}; NEW on {_listed(devices[1])}. Times of different devices, or "
            "emulated and real ones, are compared with --across-devices only"
        )
    left, right = ({_key(r, across_devices): r for r in _by_time(records)} for records in sides)
    partners = _partners(left, right)
    known = set(partners.values())
    return Pairs(
        paired=tuple(Pair(left[partners[key]], record) for key, record in right.items() if key in partners),
        only_old=tuple(record for key, record in left.items() if key not in known),
        only_new=tuple(record for key, record in right.items() if key not in partners),
        repeated=sum(map(len, sides)) - len(left) - len(right),
        notice=notice,
    )


def device_of(record: Record) -> str:
    """A text that identifies the device of a record: its name, its clock and its hardware."""
    device, hardware = record.device, []
    if device["is_gpu"]:
        hardware += [f"{key.replace('_', ' ')} {device[key]}" for key in HARDWARE if key in device]
    elif cpu := record.environment.get("cpu"):
        hardware.append(str(cpu))
    return f"{device['name']} ({', '.join([str(device['clock']), *hardware])})"


def _across(old: Sequence[str], new: Sequence[str]) -> str | None:
    for name, devices in (("OLD", old), ("NEW", new)):
        if len(devices) > 1:
            raise ConvbenchError(
                f"{name} has records of {len(devices)} devices, {_listed(devices)}; with --across-devices it must be "
                "one on each side, so compare one file of each"
            )
    if old == new:
        return None
    return f"Different devices: OLD was measured on {old[0]}; NEW on {new[0]}. The ratios are not of the code alone."


def _key(record: Record, across_devices: bool) -> Key:
    config = json.dumps(record.config, sort_keys=True, default=str)
    device = "" if across_devices else device_of(record)
    work = record.problem, record.direction, record.algorithm, record.precision, device
    return *work, config, record.workload, record.layer


def _by_time(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.when)  # records of the same time keep their order in the files


def _partners(left: dict[Key, Record], right: dict[Key, Record]) -> dict[Key, Key]:
    """For each key of NEW that has a partner, the key of OLD; both arguments are in the order of time."""
    found = {key: key for key in right if key in left}
    for parts in ((WORK, CONFIG), (WORK, PLACE), (WORK,)):
        known = set(found.values())
        rest: dict[Key, tuple[list[Key], list[Key]]] = defaultdict(lambda: ([], []))
        for side, keys in enumerate(([k for k in left if k not in known], [k for k in right if k not in found])):
            for key in keys:
                rest[tuple(word for part in parts for word in key[part])][side].append(key)
        for olds, news in rest.values():
            if CONFIG in parts:
                found |= zip(reversed(news), reversed(olds), strict=False)
            elif len(olds) == 1 and (len(news) == 1 or left[olds[0]].outcome != "passed"):
                found |= dict.fromkeys(news, olds[0])
            elif len(news) == 1 and olds and right[news[0]].outcome != "passed":
                found[news[0]] = olds[-1]
    return found


def _listed(devices: Iterable[str]) -> str:
    return " and ".join(devices)


def differences(pairs: Iterable[Pair]) -> list[Difference]:
    """The facts about device, environment, config, seed and method of sampling in which the two sides differ.

    Of the clocks that were read while samples were taken, the range of their lowest values is compared.
    """
    facts: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    clocks: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for both in pairs:
        for side, record in enumerate((both.old, both.new)):
            for what, value in _facts(record).items():
                facts[what][side].add(value)
            for series in record.timing.series if record.timing else ():
                if series.clocks is not None:
                    clocks["lowest SM clock while sampling"][side].append(series.clocks.during.sm_mhz)
                    clocks["lowest memory clock while sampling"][side].append(series.clocks.during.memory_mhz)
    found = [Difference(what, _values(old), _values(new)) for what, (old, new) in facts.items() if old != new]
    for what, (old_mhz, new_mhz) in clocks.items():
        if (old_text := _range(old_mhz)) != (new_text := _range(new_mhz)):
            found.append(Difference(what, old_text, new_text))
    return found


def _facts(record: Record) -> dict[str, str]:
    facts = _flat("device: ", record.device) | _flat("", record.environment) | {"seed": str(record.seed)}
    if record.config:
        facts[f"config of {record.algorithm}"] = json.dumps(record.config, sort_keys=True, default=str)
    for series in record.timing.series if record.timing else ():
        facts[f"how {series.cache} samples are made"] = series.method
    return facts


def _flat(prefix: str, facts: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in facts.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        found |= _flat(f"{name}: ", value) if isinstance(value, dict) else {name: str(value)}
    return found


def _values(values: set[str]) -> str:
    shown = sorted(values)[:MOST_VALUES]
    more = [f"{len(values) - MOST_VALUES} more"] if len(values) > MOST_VALUES else []
    return ", ".join([*shown, *more]) or "–"


def _range(mhz: list[int]) -> str:
    if not mhz:
        return "–"
    return f"{min(mhz)} MHz" if min(mhz) == max(mhz) else f"{min(mhz)} to {max(mhz)} MHz"
