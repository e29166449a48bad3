"""Records with known true times, for the tests of comparisons and reports."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from convbench.records import Clocks, Reading, Record, Series, Timing

GPU = {
    "name": "NVIDIA H200", "clock": "CUDA events", "is_gpu": True, "compute_capability": "9.0", "multiprocessors": 132,
    "sm_clock_mhz": 1980.0, "memory_clock_mhz": 3201.0, "memory_bus_bits": 6144, "l2_bytes": 62914560,
    "memory_bytes": 150_000_000_000, "cuda_driver": "13.0", "driver": "580.65",
}  # fmt: skip
EMULATOR = {"name": "emulator", "clock": "CPU wall clock, emulated on CPU", "is_gpu": False}
ENVIRONMENT = {
    "python": "3.11.7", "packages": {"convbench": "0.1.0", "numpy": "2.4.0"}, "system": "Linux 6.1 x86_64",
    "cpu": "a processor", "cpu_count": 2, "commit": "0123456789abcdef0123456789abcdef01234567",
}  # fmt: skip
FAMILIES = {
    "direct": "direct", "direct_tiled": "direct", "im2col_gemm": "gemm", "implicit_gemm": "gemm",
    "winograd_2x2_3x3": "winograd", "winograd_4x4_3x3": "winograd", "fft_tiled": "fft", "cudnn": "baseline",
}  # fmt: skip
IDLE = Reading(sm_mhz=1980, memory_mhz=3201, temperature_c=41, power_w=240.0)


def series(
    random: np.random.Generator, true_us: float, *, samples: int = 30, noise: float = 0.02, cache: str = "warm"
) -> Series:
    """Samples with a known median and relative Gaussian noise."""
    us = true_us * (1 + noise * random.standard_normal(samples))
    return Series(
        cache=cache, method="blocking kernel, CUDA events", samples_us=tuple(np.round(us, 3).tolist()),
        host_us=tuple(np.round(random.uniform(4, 6, samples), 3).tolist()), stop="samples",
        clocks=Clocks(before=IDLE, during=IDLE, after=IDLE),
    )  # fmt: skip


def timed(
    random: np.random.Generator, true_us: float, *, samples: int = 30, noise: float = 0.02, cold: float | None = 1.3,
    **fields: Any,
) -> Record:  # fmt: skip
    """A passed record with a known time; `cold` is the factor for a cold cache, or None for no such series."""
    both = [series(random, true_us, samples=samples, noise=noise)]
    if cold is not None:
        both.append(series(random, true_us * cold, samples=samples, noise=noise, cache="cold"))
    timing = Timing(
        clock="CUDA events", host_clock="time to queue the launches", series=tuple(both), floor_us=true_us / 4,
        prepare_us=true_us / 10, queue_us=12.5, compile_s=1.25,
        phases_us={"transform": true_us / 4, "multiply": true_us * 3 / 4},
    )  # fmt: skip
    fraction = float(random.uniform(0.05, 0.6))
    errors = {"rms_error_ulp": 1 / fraction, "worst_error_ulp": 6 / fraction}  # in another order than the fractions
    return record(
        outcome="passed", timing=timing, fraction=fraction, workspace_bytes=2**20, **(errors | fields)
    )  # fmt: skip


def sampled(us: Sequence[float], *, cache: str = "warm", throttled: Sequence[int] = (), **fields: Any) -> Record:
    """A passed record with these samples."""
    only = Series(
        cache=cache, method="blocking kernel, CUDA events", samples_us=tuple(map(float, us)), host_us=(5.0,) * len(us),
        throttled=tuple(throttled), stop="samples",
    )  # fmt: skip
    timing = Timing(
        clock="CUDA events", host_clock="time to queue the launches", series=(only,), prepare_us=1.0,
        phases_us={"multiply": 1.0}, compile_s=0.0,
    )  # fmt: skip
    return record(outcome="passed", timing=timing, fraction=0.5, workspace_bytes=0, **fields)


def record(**fields: Any) -> Record:
    """A record with these fields, and plausible values in the others."""
    algorithm = fields.get("algorithm", "direct")
    given: dict[str, Any] = {
        "problem": "n1c64h56w56-k64r3s3-pad1", "direction": "forward", "algorithm": algorithm,
        "family": FAMILIES.get(algorithm, "direct"), "precision": "float32", "config": {}, "device": GPU,
        "workload": "synthetic", "layer": "conv1", "count": 1, "seed": 0, "environment": ENVIRONMENT,
        "when": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    return Record(**(given | fields))


def network(
    random: np.random.Generator, *, layers: int = 8, algorithms: Sequence[str] = tuple(FAMILIES), scale: float = 1.0,
    **fields: Any,
) -> Iterator[Record]:  # fmt: skip
    """The records of a network whose channels double as its maps halve; Winograd refuses every third layer."""
    for number in range(layers):
        level = number * 4 // layers
        c, h, r = 64 * 2**level, 56 // 2**level, 1 if number % 3 == 2 else 3
        problem = f"n{1 + number // 4}c{c}h{h}w{h}-k{c}r{r}s{r}" + ("-pad1" if r == 3 else "")
        for place, algorithm in enumerate(algorithms):
            names = {"problem": problem, "layer": f"conv{number}", "algorithm": algorithm, **fields}
            if r == 1 and "winograd" in algorithm:
                yield record(outcome="refused", reason="filter 1×1: it takes 3×3", **names)
            else:
                yield timed(random, scale * (20 + 7 * place) * (1 + number % 4), **names)
