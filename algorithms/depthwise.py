"""Depthwise convolution: every output channel sees one input channel, so that there is no sum over channels.

    y[n,k,p,q] = bias[k] + Σ_{r,s} x[n, k // (K/C), p·u − top + r·d_h, q·v − left + s·d_w] · w[k,0,r,s]
                 0 ≤ r < R, 0 ≤ s < S; groups = C, and K/C is the depth multiplier

Layouts   x (N, C, H, W), w (K, 1, R, S), y (N, K, P, Q), contiguous float32; the filter in dynamic shared memory.
Index map blockIdx.x → (n, k, p tile, q tile), q tile fastest · threadIdx.y, threadIdx.x → p, q in the tile · loops
          over r, s. A block has one k, and so one filter.
Cost      2·N·K·P·Q·R·S FLOPs, about R·S/4 per byte: the memory is the limit.
Source    Sifre 2014, "Rigid-motion scattering for image classification", §6.2; Chollet 2017, "Xception", §2.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda, float32

from algorithms.indexing import unflatten_on_device
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import MAX_SHARED_BYTES, MAX_THREADS_PER_BLOCK, Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.problem import ConvProblem


@dataclass(frozen=True, kw_only=True)
class Config:
    """Rows and columns of outputs in a block, a thread each."""

    tile_p: int = 8
    tile_q: int = 16

    def __post_init__(self) -> None:
        if min(self.tile_p, self.tile_q) < 1 or self.tile_p * self.tile_q > MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: tiles are at least 1, and tile_p · tile_q at most {MAX_THREADS_PER_BLOCK}")


class Depthwise(Algorithm):
    """One input channel per output channel."""

    name: ClassVar[str] = "depthwise"
    family: ClassVar[Family] = "direct"

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        return Config(), Config(tile_q=32), Config(tile_p=4, tile_q=32)

    def limits(self, problem: ConvProblem) -> str | None:
        if problem.groups != problem.c:
            return f"groups = {problem.groups} is not c = {problem.c}: every channel must be a group of its own"
        if 4 * problem.r * problem.s > MAX_SHARED_BYTES:
            return (
                f"a filter of {problem.r} × {problem.s} takes {4 * problem.r * problem.s:,} bytes; "
                f"a block has {MAX_SHARED_BYTES:,} bytes of shared memory"
            )
        return None

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return DepthwisePlan(problem, device, config)


class DepthwisePlan(Plan):
    """One launch over all tiles of all channels."""

    def run(self, x: Array, y: Array) -> None:
        problem, config = self.problem, self.config
        tiles = -(-problem.p // config.tile_p), -(-problem.q // config.tile_q)
        top_left = problem.padding[0][0], problem.padding[1][0]
        self.device.launch(
            "multiply", make_kernel(config),
            problem.n * problem.k * tiles[0] * tiles[1], (config.tile_q, config.tile_p),
            x, self.weights, self.bias, y, problem.stride, top_left, problem.dilation, tiles,
            shared_bytes=4 * problem.r * problem.s,
        )  # fmt: skip


@cache
def make_kernel(config: Config) -> Kernel:
    """The kernel of a config, for problems of any size."""
    tile_p, tile_q = config.tile_p, config.tile_q

    @cuda.jit
    def depthwise(
        x: Array, w: Array, bias: Array, y: Array, stride: Any, top_left: Any, dilation: Any, tiles: Any
    ) -> None:
        # map
        n, k, p_tile, q_tile = unflatten_on_device(cuda.blockIdx.x, y.shape[1], tiles[0], tiles[1])
        c = k // (y.shape[1] // x.shape[1])
        p = p_tile * tile_p + cuda.threadIdx.y
        q = q_tile * tile_q + cuda.threadIdx.x

        # load the filter
        w_tile = cuda.shared.array(0, float32)
        thread = cuda.threadIdx.y * tile_q + cuda.threadIdx.x
        for tap in range(thread, w.shape[2] * w.shape[3], tile_p * tile_q):
            w_tile[tap] = w[k, 0, tap // w.shape[3], tap % w.shape[3]]
        cuda.syncthreads()
        if p >= y.shape[2] or q >= y.shape[3]:
            return  # the grid is rounded up to whole tiles; no barrier follows

        # accumulate
        total = float32(bias[k])
        for r in range(w.shape[2]):
            h = p * stride[0] - top_left[0] + r * dilation[0]
            if 0 <= h < x.shape[2]:
                for s in range(w.shape[3]):
                    j = q * stride[1] - top_left[1] + s * dilation[1]
                    if 0 <= j < x.shape[3]:
                        total += x[n, c, h, j] * w_tile[r * w.shape[3] + s]

        # store
        y[n, k, p, q] = total

    return depthwise
