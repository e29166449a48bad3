"""The frame: a table with one row for the latest record of each measurement.

Every other table, picture and file of a report is made from it.
"""

import json
import shlex
from collections.abc import Iterable
from math import inf
from statistics import median
from typing import Any

import pandas as pd

from convbench.problem import ConvProblem
from convbench.problem.notation import own
from convbench.records import Record, Series, Timing, latest

SIZES = "n", "c", "h", "w", "k", "r", "s", "p", "q", "flops", "min_bytes"
STATISTICS = (
    "cache", "median_us", "low_us", "high_us", "spread", "samples", "throttled", "host_us", "queue_us", "warm_us",
    "warm_low_us", "warm_high_us", "warm_throttled", "cold_us", "cold_low_us", "cold_high_us", "cold_throttled",
    "slowed", "warm_slowed", "cold_slowed", "floor_us", "prepare_us", "compile_s", "phases_us",
)  # fmt: skip
COLUMNS = (
    "row", "workload", "layer", "count", "problem", "direction", "dtype", "precision", "layout", "algorithm", "family",
    "config", "device", "clock", "is_gpu", "is_native", "outcome", "reason", *STATISTICS, "tflops", "fraction", "exact",
    "rms_error_ulp", "worst_error_ulp", "workspace_bytes", *SIZES, "intensity", "seed", "commit", "when", "command",
)  # fmt: skip


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row for the latest record of each measurement, in the order in which the measurements first occur.

    Times are in microseconds unless the column's name says otherwise. These columns belong to `cache`, the first cache
    state of the record: `median_us`, its 95 % interval `low_us` to `high_us`, `spread` (interquartile range over
    median), `samples`, `throttled` and `host_us` (the host's median). `queue_us` is the time that the host needs to
    queue one run on a GPU. `tflops` counts the FLOPs of the direct method, and `intensity` is these FLOPs per byte of
    `min_bytes`. `slowed` says that all samples were taken while the GPU was slowed down: there is a median of them, but
    neither an interval nor a spread. `is_native` says that a baseline computed on the processor itself, while other
    times of the device are emulated or simulated. `fraction` is the used part of the algorithm's error bound.
    `rms_error_ulp` and `worst_error_ulp` are the error on random numbers, in units of the last place of the output's
    magnitude (`convbench.measurement.true_error`). `command` repeats the measurement. Values that a record does not
    have are None or NaN.
    """
    problems: dict[str, dict[str, Any]] = {}
    rows = []
    for row, record in enumerate(latest(records)):
        if record.problem not in problems:
            problems[record.problem] = _of_problem(own.parse(record.problem))
        rows.append(_row(row, record, problems[record.problem]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(row: int, record: Record, problem: dict[str, Any]) -> dict[str, Any]:
    timing = record.timing
    found = {
        **dict.fromkeys(("slowed", "warm_slowed", "cold_slowed"), False),
        "row": row, "workload": record.workload, "layer": record.layer, "count": record.count,
        "problem": record.problem, "direction": record.direction, "precision": record.precision,
        "algorithm": record.algorithm, "family": record.family,
        "config": json.dumps(record.config, sort_keys=True, default=str) if record.config else "{}",
        "device": str(record.device["name"]), "clock": str(record.device["clock"]),
        "is_gpu": bool(record.device["is_gpu"]), "is_native": is_native(record),
        "outcome": record.outcome, "reason": record.reason, "fraction": record.fraction, "exact": record.exact,
        "rms_error_ulp": record.rms_error_ulp, "worst_error_ulp": record.worst_error_ulp,
        "workspace_bytes": record.workspace_bytes, "seed": record.seed,
        "commit": _text(record.environment.get("commit")), "when": record.when, "command": command_of(record),
        **problem,
    }  # fmt: skip
    if timing is not None:
        found |= _of_timing(timing) | {"tflops": problem["flops"] / timing.median_us / 1e6}
    return found


def _of_problem(problem: ConvProblem) -> dict[str, Any]:
    sizes = {name: _number(getattr(problem, name)) for name in SIZES}
    intensity = sizes["flops"] / sizes["min_bytes"]
    return {**sizes, "intensity": intensity, "dtype": problem.dtype, "layout": problem.layout}


def _number(size: int) -> float:
    """A size as a number that a frame can hold; sizes from 2⁶³ on are rounded, because records may have any size."""
    if size < 2**63:
        return size
    try:
        return float(size)
    except OverflowError:
        return inf


def _of_timing(timing: Timing) -> dict[str, Any]:
    first = timing.first
    found: dict[str, Any] = {
        **_of_series("", first), "cache": first.cache, "samples": len(first.samples_us), "slowed": is_slowed(first),
        "spread": None if is_slowed(first) or len(first.counted_us) == 1 else first.spread,
        "throttled": len(first.throttled), "host_us": median(first.host_us),
        "median_us": first.median_us, "floor_us": timing.floor_us, "prepare_us": timing.prepare_us,
        "compile_s": timing.compile_s, "queue_us": timing.queue_us, "phases_us": timing.phases_us,
    }  # fmt: skip
    for series in timing.series:
        found |= _of_series(f"{series.cache}_", series)
        found |= {f"{series.cache}_us": series.median_us, f"{series.cache}_throttled": len(series.throttled)}
        found |= {f"{series.cache}_slowed": is_slowed(series)}
    return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _of_series(prefix: str, series: Series) -> dict[str, float]:
    interval = None if is_slowed(series) else series.interval_us
    return {} if interval is None else {f"{prefix}low_us": interval[0], f"{prefix}high_us": interval[1]}


def is_slowed(series: Series) -> bool:
    """Whether all samples of a series were taken while the GPU was slowed down, so that there is none that counts."""
    return len(set(series.throttled)) == len(series.samples_us)


def is_native(record: Record) -> bool:
    """Whether the times are those of a library on the processor itself, though its device is emulated or simulated."""
    return record.family == "baseline" and not record.device["is_gpu"]


def command_of(record: Record) -> str:
    """The command that repeats a measurement, quoted for a POSIX shell."""
    device = "cuda" if record.device["is_gpu"] else str(record.device["name"])
    words = [
        "convbench", "bench", record.problem, "--algorithm", record.algorithm, "--direction", record.direction,
        "--device", device,
    ]  # fmt: skip
    if record.seed:
        words += ["--seed", str(record.seed)]
    return " ".join([*words[:2], f"'{record.problem}'", *map(shlex.quote, words[3:])])
