"""The two ceilings of a device: time ≥ max(FLOPs / peak, bytes / bandwidth).

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model". The ceilings are those
of NVIDIA's data sheets, float32 without tensor cores; no kernel reaches either.
"""

from dataclasses import dataclass

from convbench.problem import ConvProblem


@dataclass(frozen=True)
class Ceilings:
    """Peak float32 TFLOP/s and memory bandwidth in TB/s."""

    name: str
    tflops: float
    tbytes: float

    def floor_us(self, problem: ConvProblem) -> float:
        """The least time of a direct-class method on a float32 problem; Winograd and FFT may beat its FLOP side."""
        return max(self.compute_us(problem), self.memory_us(problem))

    def compute_us(self, problem: ConvProblem) -> float:
        return problem.flops / self.tflops / 1e6

    def memory_us(self, problem: ConvProblem) -> float:
        return problem.min_bytes / self.tbytes / 1e6

    def limit(self, problem: ConvProblem) -> str:
        """Which ceiling is the lower one."""
        return "compute" if self.compute_us(problem) >= self.memory_us(problem) else "memory"


KNOWN = (
    Ceilings("NVIDIA H200 SXM", 66.9, 4.8),
    Ceilings("NVIDIA H100 SXM", 66.9, 3.35),
    Ceilings("NVIDIA A100 80GB SXM", 19.5, 2.039),
    Ceilings("NVIDIA GeForce RTX 4090", 82.6, 1.008),
    Ceilings("NVIDIA L4", 30.3, 0.3),
)
