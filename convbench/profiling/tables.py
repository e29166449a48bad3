"""Write profiles as JSON and CSV, with Nsight Compute's names beside ours."""

import csv
import io
from typing import Any

from convbench.emulator import Counters, Profile
from convbench.profiling import nsight
from convbench.profiling.predicted import PredictedPlan
from convbench.profiling.runs import ProfiledPlan

_DERIVED = "excessive_wavefronts", "excessive_sectors", "moved_bytes", "lanes_active"


def to_json(found: ProfiledPlan, times: PredictedPlan | None = None) -> dict[str, Any]:
    """Everything that was counted and predicted, for machines."""
    told: dict[str, Any] = {
        "algorithm": found.algorithm.name,
        "problem": str(found.problem),
        "direction": found.direction,
        "config": str(found.config),
        "architecture": found.architecture.name,
        "names_of_nsight_compute": {name: list(others) for name, others in nsight.NAMES.items()},
        "kernels": [
            {"stage": launch.stage, "phase": launch.phase, **profile_json(launch.profile)} for launch in found.launches
        ],
    }
    if times is None:
        return told
    for kernel, time in zip(told["kernels"], times.launches, strict=True):
        kernel["prediction"] = {
            "predicted_us": time.us,
            "low_us": time.interval[0],
            "high_us": time.interval[1],
            "bound_by": time.bound,
            "bottleneck": time.sentence,
            "limits_us": time.limits,
        }
    words = {"gpu": times.chip.name, "predicted_run_us": times.run_us, "note": times.launches[0].caption}
    return {**told, "prediction": words}


def profile_json(profile: Profile) -> dict[str, Any]:
    """One profile."""
    return {
        "kernel": profile.kernel,
        "grid": list(profile.grid),
        "block": list(profile.block),
        "dynamic_shared_bytes": profile.shared_bytes,
        "blocks": profile.blocks,
        "counted_blocks": profile.counted_blocks,
        "is_scaled": profile.is_scaled,
        "not_counted": profile.uncounted,
        "l1_hit_rate": profile.l1_hit_rate,
        "l2_hit_rate": profile.l2_hit_rate,
        "dram_bytes": profile.total.dram_bytes if profile.l2_bytes else None,
        "total": _counters(profile.total),
        "by_line": [
            {"file": file, "line": line, **_counters(counters)} for (file, line), counters in profile.by_line.items()
        ],
        "by_array": {name: _counters(counters) for name, counters in profile.by_array.items()},
        "by_pipe": {name: counters.instructions for name, counters in profile.by_pipe.items()},
        "unasked_float64": [{"file": file, "line": line} for file, line in profile.float64_lines],
        "instructions": [
            {
                "ptx": i.text,
                "file": i.file,
                "line": i.line,
                "pipe": i.pipe,
                "array": i.array,
                "bytes": i.width,
                "is_store": i.is_store,
                "marks": i.marks,
                **_counters(i.counters),
            }
            for i in profile.instructions
        ],
    }


def _counters(counters: Counters) -> dict[str, float]:
    return {**counters.by_name(), **{name: getattr(counters, name) for name in _DERIVED}}


def to_csv(found: ProfiledPlan) -> str:
    """A row for each line of each kernel. Columns have our names, then those of Nsight Compute."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ours = [*Counters().by_name(), *_DERIVED]
    theirs = [others[0] for others in nsight.NAMES.values()]
    writer.writerow(["launch", "kernel", "file", "line", *ours, *theirs])
    for number, launch in enumerate(found.launches):
        for (file, line), counters in launch.profile.by_line.items():
            mine = _counters(counters)
            joined = nsight.values(counters)
            writer.writerow(
                [number, launch.profile.kernel, file, line, *(mine[name] for name in ours)]
                + [joined[name] for name in nsight.NAMES]
            )
    return out.getvalue()
