"""Winograd's minimal filtering in three stages, each a fast kernel: transform, batched product, transform back.

    target tile = Aᵀ [ Σ_l (G f_{m,l} Gᵀ) ⊙ (Bᵀ d_l B) ] A,   M[b, m, t] = Σ_l U[b, l, m] · V[b, l, t],   b = ξν·G + g

Layouts   as in `algorithms.winograd.transforms` and `algorithms.gemm.batched`, whose i and j are m and t.
Index map that of these modules: first a thread transforms one tile of a channel of the source, then a block computes
          one tile of a product, last a thread transforms back one tile of a channel of the target.
Cost      (α/m)² multiplications per output and channel instead of 9. V and M are written and read once; they have α²/m²
          numbers for each element of the source and of the target.
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4.1, algorithm 1.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import product

import numpy as np

from algorithms.copies import is_aligned, lacks_copies
from algorithms.correlation import Correlation, CorrelationPlan
from algorithms.gemm import Tile, launch_batched_gemm, padded
from algorithms.pairs import lacks_pairs
from algorithms.tiling import Tiling
from algorithms.winograd.matrices import Transforms
from algorithms.winograd.transforms import (
    THREADS,
    Places,
    make_filter_kernel,
    make_input_kernel,
    make_output_kernel,
)
from convbench.devices import Array, Device
from convbench.problem import ConvProblem

MULTIPROCESSORS = 132  # of the chip that the rules below were made for; the kernels run on others too

SMALL = Tile()
NARROW = Tile(tile_i=64, tile_j=128, tile_l=16, thread_i=8, thread_j=8, blocks=3)
LARGE = Tile(tile_i=128, tile_j=128, tile_l=16, thread_i=8, thread_j=16)
TILES = (
    SMALL, NARROW, LARGE,
    Tile(tile_i=64, tile_j=128, tile_l=16, thread_i=8, thread_j=8, stages=3, blocks=3),
    Tile(tile_i=64, tile_j=256, tile_l=16, thread_i=8, thread_j=16),
    Tile(tile_i=128, tile_j=128, tile_l=16, thread_i=8, thread_j=8),
    Tile(tile_i=128, tile_j=128, tile_l=8, thread_i=8, thread_j=8, stages=4),
    Tile(tile_i=128, tile_j=128, tile_l=8, thread_i=8, thread_j=16, stages=3),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StagedConfig(Tile):
    """The tile of the batched product, and two choices.

    Parameters
    ----------
    is_specialised : whether the kernels are compiled for one problem's sizes
    is_packed : whether one instruction adds two neighbouring products, which only compute capabilities 10.0 and 10.3
        can do (`algorithms.pairs`)
    """

    is_specialised: bool = False
    is_packed: bool = False

    def lacks(self, problem: ConvProblem, device: Device) -> str | None:
        """The reason why these kernels cannot compute the problem on the device; None if they can."""
        if problem.dtype == "float64":
            return "the three stages compute in float32, not in float64"
        if lacks_copies(device):
            return f"device {device.name} has no asynchronous copies"
        return lacks_pairs(device) if self.is_packed else None

    @property
    def gemm(self) -> Tile:
        """The tile without the other fields."""
        return Tile(**{field.name: getattr(self, field.name) for field in fields(Tile)})


@cache
def staged(tile: Tile, *, is_specialised: bool = False, is_packed: bool = False) -> StagedConfig:
    """The config with a tile."""
    return StagedConfig(**asdict(tile), is_specialised=is_specialised, is_packed=is_packed)


def staged_space() -> Iterator[StagedConfig]:
    """Every config worth trying for a large problem."""
    for is_specialised, is_packed, tile in product((False, True), (False, True), TILES):
        yield staged(tile, is_specialised=is_specialised, is_packed=is_packed)


def staged_for(geometry: Correlation, transforms: Transforms) -> StagedConfig:
    """The default for a large problem: the largest tile that is not half padding and leaves no multiprocessor idle."""
    tiles = geometry.n * Tiling.of(geometry, (transforms.m, transforms.m)).per_image
    rows = geometry.targets_per_group
    if rows <= SMALL.tile_i or tiles <= SMALL.tile_j:
        return staged(SMALL)
    batches = transforms.alpha**2 * geometry.groups
    blocks = batches * -(-rows // LARGE.tile_i) * -(-tiles // LARGE.tile_j)
    return staged(LARGE if rows > NARROW.tile_i and blocks >= LARGE.least_blocks * MULTIPROCESSORS else NARROW)


class Staged:
    """The work of a plan with a `StagedConfig`."""

    def __init__(self, plan: CorrelationPlan, transforms: Transforms) -> None:
        self.plan, self.transforms, config = plan, transforms, plan.config
        self.tile, self.is_specialised, self.is_packed = config.gemm, config.is_specialised, config.is_packed
        geometry = plan.geometry
        self.tiling = Tiling.of(geometry, (transforms.m, transforms.m))
        all_tiles = padded(geometry.n * self.tiling.per_image, self.tile.tile_j)
        self.places = Places.of(geometry, self.tiling, all_tiles)
        batches = transforms.alpha**2 * geometry.groups
        rows = padded(geometry.targets_per_group, self.tile.tile_i)
        self.u = plan.kept((batches, geometry.sources_per_group, rows))
        self.v = plan.scratch((batches, geometry.sources_per_group, all_tiles))
        self.m = plan.scratch((batches, geometry.targets_per_group, all_tiles))

    def prepare(self) -> None:
        """Transform the filters."""
        launch_filters(self.plan, self.transforms, self.u)

    def run(self, source: Array, target: Array) -> None:
        """Transform the source, multiply, and transform back."""
        plan, transforms, places = self.plan, self.transforms, self.places
        blocks, is_single = -(-places.padded_tiles // THREADS), source.dtype == np.float32
        plan.device.launch(
            "transform",
            make_input_kernel(
                transforms, is_single, places.is_dilated or not is_single,  # other dtypes: one kernel for any dilation
                places.of_source if self.is_specialised else None,
            ),
            places.sources * blocks, THREADS, source.reshape(-1), self.v.reshape(-1), places.of_source,
        )  # fmt: skip
        launch_batched_gemm(
            plan.device, self.u, self.v, self.m,
            tile=self.tile, is_specialised=self.is_specialised, is_packed=self.is_packed,
        )  # fmt: skip
        plan.device.launch(
            "unpack",
            make_output_kernel(
                transforms, self.is_wide(target), places.of_target if self.is_specialised else None
            ),
            places.targets * blocks, THREADS, self.m.reshape(-1), plan.addend, target.reshape(-1), places.of_target,
        )  # fmt: skip

    def is_wide(self, target: Array) -> bool:
        """Whether every row of a tile is whole in the target, and one aligned access."""
        whole = not self.places.is_dilated and self.places.outputs[1] % self.transforms.m == 0
        return whole and target.dtype == np.float32 and is_aligned(target)


def launch_filters(plan: CorrelationPlan, transforms: Transforms, u: Array) -> None:
    """Queue the transform of a plan's filters into u, (α²·G, L', M')."""
    groups = plan.geometry.groups
    grid = -(-groups * u.shape[1] * u.shape[2] // THREADS)
    plan.device.launch("transform", make_filter_kernel(transforms), grid, THREADS, plan.filters, u, groups)
