"""Direct convolution, one thread per output element.

    y[n,k,p,q] = bias[k] + Σ_{c,r,s} x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w] · w[k,c,r,s]
                 0 ≤ c < C/G, 0 ≤ r < R, 0 ≤ s < S, g = k // (K/G)

Layouts   x (N, C, H, W), w (K, C/G, R, S), y (N, K, P, Q), contiguous float32.
Index map blockIdx.x · threads + threadIdx.x → (n, k, p, q), q fastest · loops over c, r, s.
Cost      2·N·K·P·Q·C/G·R·S FLOPs; every input element is read up to K/G·R·S times, from cache at best.
Source    Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", §2 and relationship 15.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda, float32

from algorithms.indexing import unflatten_on_device
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import MAX_THREADS_PER_BLOCK, Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.problem import ConvProblem


@dataclass(frozen=True, kw_only=True)
class Config:
    """Threads in a block, a multiple of the warp's 32 unless the problem is smaller."""

    threads: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: a block holds 1 to {MAX_THREADS_PER_BLOCK} threads")


class Direct(Algorithm):
    """The definition, one thread per output element."""

    name: ClassVar[str] = "direct"
    family: ClassVar[Family] = "direct"

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        return Config(), Config(threads=128), Config(threads=64)

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return DirectPlan(problem, device, config)


class DirectPlan(Plan):
    """One launch over all outputs."""

    def run(self, x: Array, y: Array) -> None:
        problem, threads = self.problem, self.config.threads
        top_left = problem.padding[0][0], problem.padding[1][0]
        self.device.launch(
            "multiply", make_kernel(self.config), -(-y.size // threads), threads,
            x, self.weights, self.bias, y, problem.stride, top_left, problem.dilation, problem.groups,
        )  # fmt: skip


@cache
def make_kernel(config: Config) -> Kernel:
    """The kernel of a config, for problems of any size."""
    threads = config.threads

    @cuda.jit
    def direct(
        x: Array, w: Array, bias: Array, y: Array, stride: Any, top_left: Any, dilation: Any, groups: int
    ) -> None:
        # map
        flat = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if flat >= y.size:
            return  # the grid is rounded up to whole blocks
        n, k, p, q = unflatten_on_device(flat, y.shape[1], y.shape[2], y.shape[3])
        first_c = k // (y.shape[1] // groups) * w.shape[1]

        # load and accumulate
        total = float32(bias[k])
        for c in range(w.shape[1]):
            for r in range(w.shape[2]):
                h = p * stride[0] - top_left[0] + r * dilation[0]
                if 0 <= h < x.shape[2]:
                    for s in range(w.shape[3]):
                        j = q * stride[1] - top_left[1] + s * dilation[1]
                        if 0 <= j < x.shape[3]:
                            total += x[n, first_c + c, h, j] * w[k, c, r, s]

        # store
        y[n, k, p, q] = total

    return direct
