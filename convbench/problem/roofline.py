"""Computes the two ceilings of a GPU (the roofline model): time ≥ max(FLOPs / peak, bytes / bandwidth).

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model". The ceilings of known
GPUs are from NVIDIA's data sheets, for float32 without tensor cores. The ceilings of the GPU in use are computed from
the values that its driver gives: number of multiprocessors, highest clocks, width of the memory bus. No kernel reaches
either ceiling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convbench.problem.problem import ConvProblem

# Fused multiply-adds per multiprocessor and clock, by compute capability and precision of the products. Where tensor
# cores have the precision, the rate is theirs, without sparsity. Sources: CUDA C++ Programming Guide, "Arithmetic
# Instructions", and the white papers of the architectures (V100, TU102, A100, GA102, AD102, H100).
FMA_PER_CLOCK: dict[str, dict[str, int]] = {
    "6.0": {"float64": 32, "float32": 64, "float16": 128},
    "6.1": {"float64": 4, "float32": 128},
    "7.0": {"float64": 32, "float32": 64, "float16": 512},
    "7.5": {"float64": 2, "float32": 64, "float16": 512},
    "8.0": {"float64": 64, "float32": 64, "tf32": 512, "float16": 1024, "bfloat16": 1024},
    "8.6": {"float64": 2, "float32": 128, "tf32": 256, "float16": 512, "bfloat16": 512},
    "8.9": {"float64": 2, "float32": 128, "tf32": 256, "float16": 512, "bfloat16": 512},
    "9.0": {"float64": 128, "float32": 128, "tf32": 1024, "float16": 2048, "bfloat16": 2048},
}
TRANSFERS_PER_CLOCK = 2  # per cycle of the memory clock that the driver gives


@dataclass(frozen=True)
class Ceilings:
    """Peak TFLOP/s of one precision (float32 if the name has no other), and memory bandwidth in TB/s."""

    name: str
    tflops: float
    tbytes: float

    def floor_us(self, problem: ConvProblem) -> float:
        """The least time of a direct method on a problem. Winograd and FFT may need less, because they save FLOPs."""
        return max(self.compute_us(problem), self.memory_us(problem))

    def compute_us(self, problem: ConvProblem) -> float:
        return problem.flops / self.tflops / 1e6

    def memory_us(self, problem: ConvProblem) -> float:
        return problem.min_bytes / self.tbytes / 1e6

    def limit(self, problem: ConvProblem) -> str:
        """The ceiling that sets the least time: "compute" or "memory"."""
        return "compute" if self.compute_us(problem) >= self.memory_us(problem) else "memory"


KNOWN = (
    Ceilings("NVIDIA H200 SXM", 66.9, 4.8),
    Ceilings("NVIDIA H100 SXM", 66.9, 3.35),
    Ceilings("NVIDIA A100 80GB SXM", 19.5, 2.039),
    Ceilings("NVIDIA GeForce RTX 4090", 82.6, 1.008),
    Ceilings("NVIDIA L4", 30.3, 0.3),
)


def of_device(description: Mapping[str, Any], precision: str = "float32") -> Ceilings | None:
    """The ceilings of a GPU, from its `Device.describe()`.

    None where the device is not a GPU, or its description or the table above lacks a value.
    """
    rates = FMA_PER_CLOCK.get(str(description.get("compute_capability")), {})
    needed = "multiprocessors", "sm_clock_mhz", "memory_clock_mhz", "memory_bus_bits"
    if "tf32" in rates:
        rates = rates | {"3xtf32": rates["tf32"] // 3}  # three tf32 products make one
    if precision not in rates or not description.get("is_gpu") or any(not description.get(key) for key in needed):
        return None
    multiprocessors, sm_mhz, memory_mhz, bus_bits = (float(description[key]) for key in needed)
    return Ceilings(
        f"{description['name']}, {precision}",
        tflops=2 * rates[precision] * multiprocessors * sm_mhz / 1e6,
        tbytes=TRANSFERS_PER_CLOCK * memory_mhz * bus_bits / 8 / 1e6,
    )
