"""The data that the page's scripts read: records as columns, packed so that 50,000 of them fit on a page.

A column of text is a list of distinct words and a code for each row. Numbers are rounded, to more digits than the page
shows.
"""

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from convbench.records import Record, Series
from convbench.report.chapters import Chapter, label_of
from convbench.report.units import rate_unit

TEXTS = (
    "workload", "layer", "problem", "direction", "dtype", "precision", "algorithm", "family", "config", "device",
    "outcome", "reason", "commit", "cache", "when",
)  # fmt: skip
SLOWED = "no rank: all of its samples were taken while slowed down"
TIMES = (
    "median_us",
    "low_us",
    "high_us",
    "other_us",
    "other_low_us",
    "other_high_us",
)  # these have five digits, because intervals are narrow
NUMBERS = (
    "spread", "tflops", "fraction", "rms_error_ulp", "worst_error_ulp", "workspace_bytes", "prepare_us", "compile_s",
    "host_us", "queue_us", "floor_us", "samples", "of_best",
)  # fmt: skip
# A sample is packed as one of these characters, none of which JSON or HTML would escape. There are more of them than
# rows of pixels in the picture of the samples.
STEPS = "".join(chr(code) for code in range(33, 127) if chr(code) not in "\"\\<>&'")


def payload(records: Sequence[Record], chapters: Sequence[Chapter]) -> dict[str, Any]:
    """The columns of all records, without their samples; `chapters` are the chapters of these records."""
    if not records:
        return {"rows": 0, "texts": {"when": {"words": [], "codes": []}}, "environments": {"words": [], "codes": []}}
    frame = pd.concat([chapter.frame for chapter in chapters]).sort_values("row")
    headings = {row: chapter.heading for chapter in chapters for row in chapter.frame.row.tolist()}
    best = pd.concat([chapter.passed.speed for chapter in chapters]).reindex(frame.index)
    frame = _with_other_cache(frame).assign(of_best=best)
    frame["reason"] = frame.reason.where(~frame.slowed, SLOWED)
    native = frame.is_native & (frame.outcome == "passed")
    clocks = list(dict.fromkeys((record.device["clock"], record.device["is_gpu"]) for record in records))
    places = {clock: place for place, clock in enumerate(clocks)}
    commands = (
        command.replace(problem, "\0p").replace(algorithm, "\0a")
        for command, problem, algorithm in zip(
            *(frame[n].tolist() for n in ("command", "problem", "algorithm")), strict=True
        )
    )
    return {
        "rows": len(records),
        "clocks": [_clock(clock, is_gpu, frame) for clock, is_gpu in clocks],
        "clock": [places[record.device["clock"], record.device["is_gpu"]] for record in records],
        "texts": {name: _coded(frame[name].astype(object).where(frame[name].notna(), "").astype(str)) for name in TEXTS}
        | {"command": _coded(commands), "chapter": _coded(headings[row] for row in frame.row.tolist())},
        "numbers": {name: rounded(frame[name], 5) for name in TIMES}
        | {name: rounded(frame[name], 4) for name in NUMBERS},
        "exact": [int(record.exact) for record in records],
        "native": [int(one) for one in native],
        "phases": _phases(records),
        "environments": _environments(records),
        "readings": _coded(_reading(record) for record in records),
        "steps": STEPS,
    }


def rounded(values: "pd.Series[Any]", digits: int) -> list[float | int | None]:
    """Values rounded to a number of significant digits; None for values that are missing or infinite."""
    given = values.to_numpy(dtype=float, na_value=np.nan)
    known = np.where(np.isfinite(given), given, 0.0)
    places = digits - 1 - np.floor(np.log10(np.abs(np.where(known == 0, 1.0, known))))
    # only non-negative powers of ten are exact, so dividing by one gives the number closest to the decimal digits
    up, down = 10.0 ** np.clip(places, 0, 300), 10.0 ** np.clip(-places, 0, 300)
    near = np.rint(known / down * up) / up * down
    finite = np.isfinite(given).tolist()
    return [(int(v) if v.is_integer() else v) if f else None for v, f in zip(near.tolist(), finite, strict=True)]


def _with_other_cache(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with columns for the times of the other cache state: the one that the record does not lead with."""
    warm = frame.cache == "cold"
    names = {"other_us": "us", "other_low_us": "low_us", "other_high_us": "high_us"}
    return frame.assign(**{to: frame[f"warm_{of}"].where(warm, frame[f"cold_{of}"]) for to, of in names.items()})


def _clock(clock: str, is_gpu: bool, frame: pd.DataFrame) -> dict[str, Any]:
    """A clock, with the label for column heads, and with units in which most times and the best rate are at least 1."""
    times = frame[(frame.clock == clock) & (frame.is_gpu == is_gpu)]
    typical = times.median_us.median()
    unit, per = next(((u, size) for u, size in (("s", 1e6), ("ms", 1e3)) if typical >= size), ("µs", 1))
    rate, scale = rate_unit(times.tflops)
    return {
        "clock": clock, "is_gpu": is_gpu, "label": label_of(clock, is_gpu, times[times.outcome == "passed"].is_native),
        "native": label_of(clock, is_gpu, [True]), "unit": unit, "us": per, "rate": rate, "scale": scale,
    }  # fmt: skip


def _coded(values: Iterable[Hashable]) -> dict[str, list[Any]]:
    """The distinct values in the order in which they first occur, and for each row the index of its value."""
    places: dict[Hashable, int] = {}
    codes = [places.setdefault(value, len(places)) for value in values]
    return {"words": list(places), "codes": codes}


def _environments(records: Sequence[Record]) -> dict[str, list[Any]]:
    coded = _coded(json.dumps({"seed": r.seed} | r.device | r.environment, default=str) for r in records)
    return {"words": [json.loads(word) for word in coded["words"]], "codes": coded["codes"]}


def _phases(records: Sequence[Record]) -> dict[str, list[Any]]:
    """The names of all phases; and for each row, alternately, the index of a name and its microseconds."""
    names: dict[str, int] = {}
    rows = []
    for record in records:
        phases = record.timing.phases_us.items() if record.timing else ()
        parts = ((names.setdefault(name, len(names)), float(f"{us:.4g}")) for name, us in phases)
        rows.append([part for pair in parts for part in pair])
    return {"names": list(names), "rows": rows}


def _reading(record: Record) -> str:
    """The GPU's clocks, temperature and power while the first series was taken."""
    clocks = record.timing.first.clocks if record.timing else None
    if clocks is None:
        return ""
    seen = clocks.during
    throttle = f", slowed down by {', '.join(seen.throttle)}" if seen.throttle else ""
    return f"{seen.sm_mhz} MHz, memory {seen.memory_mhz} MHz, {seen.temperature_c} °C, {seen.power_w:.0f} W{throttle}"


def samples(records: Sequence[Record], room: int) -> dict[str, Any]:
    """The series of each row: the index of its description, its range, and one character for each sample.

    All samples are included unless they take more than `room` characters. Then each series has as many as there is room
    for, at even distances. A fifth entry of a series, if there is one, has the indices of its throttled samples. A
    sixth has the number of samples taken, if fewer are included.
    """
    total = sum(len(record.timing.series) for record in records if record.timing)
    most = max(room // max(total, 1) - 24, 2)  # 24 characters for the rest of a series
    said: dict[tuple[str, str, str, str], int] = {}
    rows = []
    for record in records:
        row: list[list[Any]] = []
        for one in record.timing.series if record.timing else ():
            key = one.cache, one.method, one.stop, record.timing.host_clock if record.timing else ""
            row.append([said.setdefault(key, len(said)), *_packed(one, most)])
        rows.append(row)
    return {"said": [dict(zip(("cache", "method", "stop", "host"), key, strict=True)) for key in said], "rows": rows}


def _packed(series: Series, most: int) -> list[Any]:
    us, slowed = series.samples_us, set(series.throttled)
    taken = len(us)
    if taken > most:
        shown = [round(place * (taken - 1) / (most - 1)) for place in range(most)]
        us, slowed = (
            tuple(us[place] for place in shown),
            {place for place, of in enumerate(shown) if of in slowed} if slowed else slowed,
        )
    low, high = min(us), max(us)
    steps = (len(STEPS) - 1) / (high - low) if high > low else 0.0
    packed = "".join([STEPS[int((one - low) * steps + 0.5)] for one in us])
    more = [sorted(slowed), taken] if taken > len(us) else [sorted(slowed)] if slowed else []
    return [float(f"{low:.5g}"), float(f"{high:.5g}"), packed, *more]
