"""How `algorithms.winograd.fused` is launched: filters transformed once per weights, then one launch over all tiles."""

from dataclasses import dataclass

from algorithms.copies import is_aligned, lacks_copies
from algorithms.correlation import CorrelationPlan
from algorithms.gemm import padded
from algorithms.pairs import lacks_pairs
from algorithms.tiling import Tiling
from algorithms.winograd.fused import POINTS, SHARED_BYTES, THREADS, TILE_L, TILE_M, TILE_T, make_kernel
from algorithms.winograd.matrices import Transforms
from algorithms.winograd.staged import launch_filters
from convbench.devices import Array, Device
from convbench.problem import ConvProblem


@dataclass(frozen=True, kw_only=True)
class FusedConfig:
    """One kernel, and two choices.

    Parameters
    ----------
    is_specialised : whether it is compiled for one problem's sizes
    is_packed : whether one instruction adds two neighbouring products, which only compute capabilities 10.0 and 10.3
        can do (`algorithms.pairs`)
    """

    is_specialised: bool = False
    is_packed: bool = False

    def lacks(self, problem: ConvProblem, device: Device) -> str | None:
        """The reason why this kernel cannot compute the problem on the device; None if it can."""
        if problem.dtype != "float32":
            return f"the fused kernel is for float32, not for {problem.dtype}"
        if problem.dilation != (1, 1):
            return f"the fused kernel is for tiles of neighbours, and dilation is {problem.dilation}"
        if (most := device.max_shared_bytes) < SHARED_BYTES:
            return f"a block of device {device.name} has {most} bytes of shared memory, not {SHARED_BYTES}"
        if lacks_copies(device):
            return f"device {device.name} has no asynchronous copies"
        return lacks_pairs(device) if self.is_packed else None


class Fused:
    """The work of a plan with a `FusedConfig`."""

    def __init__(self, plan: CorrelationPlan, transforms: Transforms) -> None:
        self.plan, self.transforms, geometry = plan, transforms, plan.geometry
        self.tiling = Tiling.of(geometry, (transforms.m, transforms.m))
        rows, depth = padded(geometry.targets_per_group, TILE_M), padded(geometry.sources_per_group, TILE_L)
        self.u = plan.kept((POINTS * geometry.groups, depth, rows))
        self.sizes = (
            geometry.n, geometry.sources, *geometry.size, geometry.targets, *geometry.outputs, geometry.groups,
            depth, rows, *self.tiling.counts, *geometry.top_left,
        )  # fmt: skip
        tiles = -(-geometry.n * self.tiling.per_image // TILE_T)
        self.grid = geometry.groups * tiles * (rows // TILE_M)

    def prepare(self) -> None:
        """Transform the filters."""
        launch_filters(self.plan, self.transforms, self.u)

    def run(self, source: Array, target: Array) -> None:
        """Transform the source, multiply and transform back, in one kernel."""
        is_wide = self.plan.geometry.outputs[1] % 2 == 0 and is_aligned(target)
        config = self.plan.config
        kernel = make_kernel(
            self.transforms, is_wide, config.is_packed, self.sizes if config.is_specialised else None
        )  # fmt: skip
        flat = source.reshape(-1), self.u.reshape(-1), self.plan.addend, target.reshape(-1)
        self.plan.device.launch(
            "multiply", kernel, self.grid, THREADS, *flat, self.sizes, shared_bytes=SHARED_BYTES
        )  # fmt: skip
