"""Records with a known value in every field; each function makes one, with some fields changed."""

from convbench.problem import ConvProblem
from convbench.records import Predicted, Record, Series, Timing


def series(samples_us, cache="warm", **changes) -> Series:
    fields = {
        "cache": cache, "method": "by hand", "samples_us": tuple(samples_us), "host_us": (1.0,) * len(samples_us),
        "stop": "samples",
    }  # fmt: skip
    return Series(**fields | changes)


def timing_of(samples_us, **changes) -> Timing:
    fields = {
        "clock": "CUDA events", "host_clock": "time to queue", "series": (series(samples_us),), "prepare_us": 5.0,
        "phases_us": {"multiply": 2.0}, "compile_s": 0.5,
    }  # fmt: skip
    return Timing(**fields | changes)


TIMING = timing_of((3.0, 1.0, 2.0))


PROBLEM = ConvProblem(c=1, h=5, w=5, k=2, r=3, s=3)


def record(**changes) -> Record:
    fields = {
        "problem": str(PROBLEM), "direction": "forward", "algorithm": "direct", "family": "direct",
        "precision": "float32", "config": {"threads": 256},
        "device": {"name": "NVIDIA H200", "clock": "CUDA events", "is_gpu": True},
        "outcome": "passed", "workload": "mine", "layer": "conv1", "count": 1, "seed": 0, "timing": TIMING,
        "fraction": 0.25, "rms_error_ulp": 2.5, "worst_error_ulp": 12.5, "exact": True, "workspace_bytes": 0,
        "environment": {"python": "3.11"}, "when": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    return Record(**fields | changes)


def failed(outcome="wrong", **changes) -> Record:
    return record(outcome=outcome, reason="for the test", timing=None, **changes)


def timed(us: float, **changes):
    timing = timing_of((us, us, us), prepare_us=1.0, phases_us={"pack": 1.0, "multiply": 3.0}, compile_s=0.0)
    return record(timing=timing, **changes)


def predicted(us: float, **changes) -> Predicted:
    """A predicted time whose bounds are 1.5 times as far."""
    fields = {
        "gpu": "NVIDIA H200 SXM", "us": us, "low_us": us / 1.5, "high_us": us * 1.5, "bound": "the memory",
        "bottleneck": "Bound by the memory, most of it by line 7, `y[i] = x[i]`.", "kernel": "copy",
        "phases_us": {"multiply": us}, "error": 0.2, "blocks": 4,
    }  # fmt: skip
    return Predicted(**fields | changes)


def unpredicted(reason: str, **changes) -> Predicted:
    """A prediction without a time."""
    return Predicted(**{"gpu": "NVIDIA H200 SXM", "error": 0.2, "blocks": 4, "reason": reason} | changes)
