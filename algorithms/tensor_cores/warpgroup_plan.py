"""The plans and configs of `warpgroup_gemm`, for compute capability 9.0 alone."""

from itertools import product
from typing import ClassVar

import numpy as np

from algorithms.correlation import Correlation
from algorithms.gemm import WAITS
from algorithms.tensor_cores.packing import Kind
from algorithms.tensor_cores.plan import PackedPlan
from algorithms.tensor_cores.warpgroup_gemm import WIDTHS, WarpgroupConfig, make_split_kernel, make_warpgroup_kernel
from convbench.devices import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Direction

ONLY = 9, 0  # the compute capability whose GPUs have wgmma
THREADS = 256
SHARED_BYTES, SYSTEM_BYTES = 228 * 1024, 1024  # of a multiprocessor of that compute capability; of each block its own
# tile_m, tile_o, blocks
TILES = ((64, 128, 2), (128, 128, 2), (128, 128, 1), (256, 128, 1), (128, 256, 1))
SPLIT_TILES = ((64, 128, 1), (128, 128, 1), (128, 64, 2))


class WarpgroupPlan(PackedPlan):
    """A product by `warpgroup_gemm`, which takes split filters in two arrays. The split is made once per weights."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: WarpgroupConfig) -> None:
        if device.compute_capability not in (None, ONLY):
            has = ".".join(map(str, device.compute_capability or ()))
            raise ConfigError(
                f"{config}: wgmma is for compute capability 9.0 alone; device {device.name} has {has}: take a Config"
            )
        super().__init__(problem, direction, device, config)
        self.low = self.kept(self.words.shape, np.uint32) if self.kind == "float32" else self.words

    @property
    def factors(self) -> tuple[Array, ...]:
        return self.words, self.low

    @property
    def shared_bytes(self) -> int:
        return int(self.config.shared_bytes(self.kind))

    def kernel(self, baked: tuple[int, ...] | None) -> Kernel:
        return make_warpgroup_kernel(self.config, self.kind, self.geometry.is_spread, baked)

    def prepare(self) -> None:
        super().prepare()
        if self.kind == "float32":
            flat = self.words.reshape(self.words.size), self.low.reshape(self.low.size)
            grid = -(-self.words.size // THREADS)
            self.device.launch("transform", make_split_kernel(), grid, THREADS, *flat)


class WarpgroupTf32Plan(WarpgroupPlan):
    """Factors rounded to TF32."""

    kind: ClassVar[Kind] = "tf32"


class WarpgroupSplitPlan(WarpgroupPlan):
    """Factors of float32, split."""

    kind: ClassVar[Kind] = "float32"


class WarpgroupF16Plan(WarpgroupPlan):
    """Factors of float16."""

    kind: ClassVar[Kind] = "float16"


class WarpgroupBf16Plan(WarpgroupPlan):
    """Factors of bfloat16."""

    kind: ClassVar[Kind] = "bfloat16"


PLANS = {plan.kind: plan for plan in (WarpgroupTf32Plan, WarpgroupSplitPlan, WarpgroupF16Plan, WarpgroupBf16Plan)}


def space(geometry: Correlation, kind: Kind) -> list[WarpgroupConfig]:
    """Return every config that is not mostly edge and that a multiprocessor holds, compiled for this problem alone.

    With sizes as arguments, some of these kernels need more registers than a thread has.
    """
    found = []
    for (m, o, blocks), stages in product(SPLIT_TILES if kind == "float32" else TILES, WAITS):
        config = WarpgroupConfig(tile_m=m, tile_o=o, blocks=blocks, stages=stages, is_specialised=True)
        fits = blocks * (config.shared_bytes(kind) + SYSTEM_BYTES) <= SHARED_BYTES
        if fits and (m < 2 * geometry.targets_per_group or m == min(WIDTHS)):
            found.append(config)
    return found
