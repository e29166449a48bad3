"""Direct convolution from shared memory: a block stages the input that its tile of outputs needs, channel by channel.

    y[n,k,p,q] = bias[k] + Σ_c Σ_{r,s} x_tile[p'·u + r·d_h, q'·v + s·d_w] · w_tile[k', r, s]
                 0 ≤ c < C/G, 0 ≤ r < R, 0 ≤ s < S; p = tile_p·i + p', q = tile_q·j + q', k = tile_k·l + k' in its group

Layouts   x (N, C, H, W), w (K, C/G, R, S), y (N, K, P, Q), contiguous float32; in dynamic shared memory x_tile
          (halo_h, halo_w) with halo_h = (tile_p − 1)·u + (R − 1)·d_h + 1 and halo_w alike, then w_tile (tile_k, R, S).
Index map blockIdx.x → (n, k tile, p tile, q tile), q tile fastest · threadIdx.y → p', threadIdx.x → q' · loops over c,
          then r, s, then k' in registers; k tiles never straddle two groups.
Cost      2·N·K·P·Q·C/G·R·S FLOPs; an input element is read from memory K/G / tile_k times, plus the halo.
Source    NVIDIA 2007, V. Podlozhnyuk, "Image convolution with CUDA", on tiles with an apron in shared memory.
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
    """Outputs of one block: tile_k filters by tile_p rows by tile_q columns, a thread for each (row, column)."""

    tile_k: int = 4  # accumulators of one thread: each staged input element is used so many times
    tile_p: int = 8
    tile_q: int = 16

    def __post_init__(self) -> None:
        if min(self.tile_k, self.tile_p, self.tile_q) < 1 or self.tile_p * self.tile_q > MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: tiles are at least 1, and tile_p · tile_q at most {MAX_THREADS_PER_BLOCK}")

    def halo(self, problem: ConvProblem) -> tuple[int, int]:
        """Height and width of the input that one tile of outputs reads."""
        return (
            (self.tile_p - 1) * problem.stride[0] + (problem.r - 1) * problem.dilation[0] + 1,
            (self.tile_q - 1) * problem.stride[1] + (problem.s - 1) * problem.dilation[1] + 1,
        )

    def shared_bytes(self, problem: ConvProblem) -> int:
        """Bytes of the staged input and weights."""
        halo_h, halo_w = self.halo(problem)
        return 4 * (halo_h * halo_w + self.tile_k * problem.r * problem.s)


class DirectTiled(Algorithm):
    """The definition, from tiles staged in shared memory."""

    name: ClassVar[str] = "direct_tiled"
    family: ClassVar[Family] = "direct"

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        """Those whose tile fits in shared memory, the largest first; none if even the smallest does not."""
        every = (Config(), Config(tile_p=4), Config(tile_p=4, tile_q=8), Config(tile_k=1, tile_p=1, tile_q=32))
        return tuple(config for config in every if config.shared_bytes(problem) <= MAX_SHARED_BYTES)

    def limits(self, problem: ConvProblem) -> str | None:
        if self.configs(problem):
            return None
        least = Config(tile_k=1, tile_p=1, tile_q=32)
        halo_h, halo_w = least.halo(problem)
        return (
            f"its smallest tile reads {halo_h} × {halo_w} of input, {least.shared_bytes(problem):,} bytes with the "
            f"filter; a block has {MAX_SHARED_BYTES:,} bytes of shared memory"
        )

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return DirectTiledPlan(problem, device, config)


class DirectTiledPlan(Plan):
    """One launch over all tiles of outputs."""

    def run(self, x: Array, y: Array) -> None:
        problem, config = self.problem, self.config
        k_tiles = -(-problem.k // problem.groups // config.tile_k) * problem.groups
        tiles = k_tiles, -(-problem.p // config.tile_p), -(-problem.q // config.tile_q)
        top_left = problem.padding[0][0], problem.padding[1][0]
        self.device.launch(
            "multiply", make_kernel(config),
            problem.n * tiles[0] * tiles[1] * tiles[2], (config.tile_q, config.tile_p),
            x, self.weights, self.bias, y, problem.stride, top_left, problem.dilation, problem.groups,
            tiles, config.halo(problem),
            shared_bytes=config.shared_bytes(problem),
        )  # fmt: skip


@cache
def make_kernel(config: Config) -> Kernel:
    """The kernel of a config, for problems of any size."""
    tile_k, tile_p, tile_q = config.tile_k, config.tile_p, config.tile_q

    @cuda.jit
    def direct_tiled(
        x: Array, w: Array, bias: Array, y: Array, stride: Any, top_left: Any, dilation: Any, groups: int,
        tiles: Any, halo: Any,
    ) -> None:  # fmt: skip
        # map
        n, k_tile, p_tile, q_tile = unflatten_on_device(cuda.blockIdx.x, tiles[0], tiles[1], tiles[2])
        k_per_group = y.shape[1] // groups
        tiles_per_group = tiles[0] // groups
        g = k_tile // tiles_per_group
        first_k = k_tile % tiles_per_group * tile_k  # within the group
        thread = cuda.threadIdx.y * tile_q + cuda.threadIdx.x
        p = p_tile * tile_p + cuda.threadIdx.y
        q = q_tile * tile_q + cuda.threadIdx.x
        first_h = p_tile * tile_p * stride[0] - top_left[0]
        first_w = q_tile * tile_q * stride[1] - top_left[1]
        taps = w.shape[2] * w.shape[3]
        halo_size = halo[0] * halo[1]
        shared = cuda.shared.array(0, float32)
        x_tile = shared[:halo_size]
        w_tile = shared[halo_size:]
        totals = cuda.local.array(tile_k, float32)
        for k in range(tile_k):
            totals[k] = float32(0)

        for c in range(w.shape[1]):
            # load: rows and columns past the image are zeros, and so are filters past the group
            for element in range(thread, halo_size, tile_p * tile_q):
                h = first_h + element // halo[1]
                j = first_w + element % halo[1]
                if 0 <= h < x.shape[2] and 0 <= j < x.shape[3]:
                    x_tile[element] = x[n, g * w.shape[1] + c, h, j]
                else:
                    x_tile[element] = float32(0)
            for element in range(thread, tile_k * taps, tile_p * tile_q):
                k = first_k + element // taps
                tap = element % taps
                if k < k_per_group:
                    w_tile[element] = w[g * k_per_group + k, c, tap // w.shape[3], tap % w.shape[3]]
                else:
                    w_tile[element] = float32(0)
            cuda.syncthreads()
            # accumulate
            for r in range(w.shape[2]):
                for s in range(w.shape[3]):
                    row = cuda.threadIdx.y * stride[0] + r * dilation[0]
                    value = x_tile[row * halo[1] + cuda.threadIdx.x * stride[1] + s * dilation[1]]
                    for k in range(tile_k):
                        totals[k] += value * w_tile[k * taps + r * w.shape[3] + s]
            cuda.syncthreads()  # the next channel overwrites the tiles

        # store
        if p < y.shape[2] and q < y.shape[3]:
            for k in range(tile_k):
                if first_k + k < k_per_group:
                    y[n, g * k_per_group + first_k + k, p, q] = totals[k] + bias[g * k_per_group + first_k + k]

    return direct_tiled
