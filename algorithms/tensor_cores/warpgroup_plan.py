"""Plans and configs of `algorithms.tensor_cores.warpgroup_gemm`, for `algorithms.tensor_cores.implicit` on compute
capability 9.0 alone.
"""

from itertools import product
from typing import ClassVar

import numpy as np

from algorithms.correlation import Correlation, CorrelationPlan
from algorithms.gemm import WAITS
from algorithms.tensor_cores.packing import (
    Kind,
    launch_pack_filters,
    launch_pack_map,
    words_of_filter,
    words_of_group,
)
from algorithms.tensor_cores.warpgroup_gemm import WIDTHS, WarpgroupConfig, make_split_kernel, make_warpgroup_kernel
from algorithms.tensor_cores.windows import sizes_of
from convbench.devices import Array, Device
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Direction

ONLY = 9, 0  # the compute capability whose GPUs have wgmma
THREADS = 256
SHARED_BYTES, SYSTEM_BYTES = 228 * 1024, 1024  # of a multiprocessor of that compute capability; of each block its own
# tile_m, tile_o, blocks
TILES = ((64, 128, 2), (128, 128, 2), (128, 128, 1), (256, 128, 1), (128, 256, 1))
SPLIT_TILES = ((64, 128, 1), (128, 128, 1), (128, 64, 2))


class WarpgroupPlan(CorrelationPlan):
    """Filters packed, and split, once; for each input the map packed, and one launch over all tiles of the product."""

    kind: ClassVar[Kind]

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: WarpgroupConfig) -> None:
        if device.compute_capability not in (None, ONLY):
            has = ".".join(map(str, device.compute_capability or ()))
            raise ConfigError(
                f"{config}: wgmma is for compute capability 9.0 alone; device {device.name} has {has}: take a Config"
            )
        super().__init__(problem, direction, device, config)
        geometry = self.geometry
        pixels = geometry.n * geometry.size[0] * geometry.size[1]
        per_group, taps = geometry.sources_per_group, geometry.taps[0] * geometry.taps[1]
        self.packed = self.scratch((pixels * geometry.groups * words_of_group(per_group, self.kind),), np.uint32)
        shape = geometry.targets, words_of_filter(per_group, taps, self.kind)
        self.words = self.kept(shape, np.uint32)
        self.low = self.kept(shape, np.uint32) if self.kind == "float32" else self.words

    def prepare(self) -> None:
        super().prepare()
        launch_pack_filters(self.device, "transform", self.kind, self.filters, self.words)
        if self.kind == "float32":
            flat = self.words.reshape(self.words.size), self.low.reshape(self.low.size)
            grid = -(-self.words.size // THREADS)
            self.device.launch("transform", make_split_kernel(), grid, THREADS, *flat)

    def run(self, source: Array, target: Array) -> None:
        geometry, config = self.geometry, self.config
        launch_pack_map(self.device, self.kind, source, self.packed, geometry.groups)
        sizes = sizes_of(geometry, config.tile_m, config.tile_o, self.kind)
        baked = sizes if config.is_specialised else None
        kernel = make_warpgroup_kernel(config, self.kind, geometry.is_spread, baked)
        self.device.launch(
            "multiply", kernel, geometry.groups * sizes[11] * sizes[12], config.threads,
            self.words.reshape(self.words.size), self.low.reshape(self.low.size), self.packed, self.addend,
            target.reshape(target.size), sizes, shared_bytes=config.shared_bytes(self.kind),
        )  # fmt: skip


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
    """Every config that is not mostly edge and that a multiprocessor holds, for this problem alone.

    With sizes as arguments some of them have more to keep than a thread has registers.
    """
    found = []
    for (m, o, blocks), stages in product(SPLIT_TILES if kind == "float32" else TILES, WAITS):
        config = WarpgroupConfig(tile_m=m, tile_o=o, blocks=blocks, stages=stages, is_specialised=True)
        fits = blocks * (config.shared_bytes(kind) + SYSTEM_BYTES) <= SHARED_BYTES
        if fits and (m < 2 * geometry.targets_per_group or m == min(WIDTHS)):
            found.append(config)
    return found
