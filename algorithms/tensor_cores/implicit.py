"""The algorithms that multiply on tensor cores. Each has its own precision, and none is strict float32.

    implicit_gemm_tf32    float32 whose factors are rounded to the 11 bits of TF32
    implicit_gemm_3xtf32  float32 whose factors are split into two parts of 11 bits: three products for each
    implicit_gemm_f16     float16, implicit_gemm_bf16 bfloat16, as they are; sums are float32 in all four

Errors    u is 2⁻²⁴. Tensor cores add blocks of at least 4 exact products to an accumulator: they align all addends with
          the largest, cut each to no fewer than 24 bits, and the sum again: every time by less than 2u of what the
          addends are at most, Σ|f|·|x|. Cuts go towards zero, so that chance does not make them cancel: one for each
          product that is not zero, and two for each block. TF32 rounds a factor by 2⁻¹¹ of it at most, 2¹³ u, and each
          product has its own. Split: a part of 11 bits and one of 11 more leave less than 2u of a factor out, the
          product that is not made is less than 4u of the whole one, and only the sum of one step is ever cut; those of
          the steps are added by roundings like any. A factor below 2⁻¹¹³ has a second part that begins below the
          smallest normal number, and loses 2⁻¹³⁶.
Source    Fasi, Higham, Mikaitis & Pranesh 2021, "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science
          7:e330, and Khattak & Mikaitis 2025, "Accurate models of NVIDIA tensor cores", arXiv 2512.07004, for blocks
          and cuts; Markidis et al. 2018, arXiv 1803.04014, for products of residuals; Ootomo & Yokota 2022, arXiv
          2203.03341, for sums outside the tensor cores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from algorithms.correlation import HUGE_MACS, LARGE_MACS, Correlation
from algorithms.gemm import WAITS
from algorithms.tensor_cores.packing import PER_WORD, SIDE, STEP, Kind, words_of_filter
from algorithms.tensor_cores.plan import PackedPlan
from algorithms.tensor_cores.warp_gemm import Config, make_kernel
from algorithms.tensor_cores.warpgroup_gemm import WarpgroupConfig
from algorithms.tensor_cores.warpgroup_plan import ONLY as WARPGROUP_CAPABILITY
from algorithms.tensor_cores.warpgroup_plan import PLANS as WARPGROUP_PLANS
from algorithms.tensor_cores.warpgroup_plan import space as warpgroup_space
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import MAX_GRID, Device, Kernel
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.reference import ErrorModel

MOST_PIXELS = 2**31 - 1  # of a map or of all outputs: the kernel counts them in 32 bits
MULTIPROCESSORS = 132  # of an H200: what a default fills, if it can
FEWEST_IN_BLOCK = 4  # products that tensor cores add at once
ROUNDED = 2.0**14  # u: both factors, each by 2⁻¹¹
LEFT_OUT = 8.0  # u: 2 of each factor, and 4 of the product

# tile_m, tile_o, warp_m, warp_o, blocks; for products of one part, where the larger a warp's part the less of shared
# memory's bandwidth it takes, and of three, whose sums take twice the registers
TILES = ((128, 128, 64, 64, 2), (64, 128, 64, 32, 3), (64, 64, 32, 32, 4), (32, 32, 16, 16, 4))
SPLIT_TILES = ((64, 128, 64, 32, 2), (128, 128, 64, 32, 1), (64, 64, 32, 32, 3), (32, 32, 16, 16, 4))


class TensorGemmPlan(PackedPlan):
    """A product by `warp_gemm`, which takes the words of the filters as they are."""

    @property
    def shared_bytes(self) -> int:
        return int(self.config.shared_bytes)

    def kernel(self, baked: tuple[int, ...] | None) -> Kernel:
        return make_kernel(self.config, self.kind, self.geometry.is_spread, baked)


class Tf32Plan(TensorGemmPlan):
    """Factors rounded to TF32."""

    kind: ClassVar[Kind] = "tf32"


class SplitPlan(TensorGemmPlan):
    """Factors of float32, split in registers."""

    kind: ClassVar[Kind] = "float32"


class F16Plan(TensorGemmPlan):
    """Factors of float16."""

    kind: ClassVar[Kind] = "float16"


class Bf16Plan(TensorGemmPlan):
    """Factors of bfloat16."""

    kind: ClassVar[Kind] = "bfloat16"


def blocks_of(geometry: Correlation, config: Config | WarpgroupConfig) -> int:
    """Count the blocks into which a config cuts the product."""
    outputs = geometry.n * geometry.outputs[0] * geometry.outputs[1]
    return geometry.groups * -(-geometry.targets_per_group // config.tile_m) * -(-outputs // config.tile_o)


def cuts(products: float, padded: float) -> float:
    """Bound the cuts of a sum of so many products, in u. `padded` counts the products with zeros too."""
    return 2.0 * (products + 2 * padded / FEWEST_IN_BLOCK)


def _padded_terms(problem: ConvProblem, direction: Direction, kind: Kind) -> int:
    """Count the products of an output, including those with the zeros that fill words and steps."""
    geometry = Correlation.of(problem, direction)
    taps = geometry.taps[0] * geometry.taps[1]
    return words_of_filter(geometry.sources_per_group, taps, kind) * PER_WORD[kind]


def _certain(kind: Kind) -> Callable[[ConvProblem, Direction, Any], float]:
    """Make the function for the part of the error, in u, that does not cancel by chance."""

    def certain(problem: ConvProblem, direction: Direction, config: Any = None) -> float:
        terms = Correlation.of(problem, direction).terms
        if kind == "float32":
            return LEFT_OUT + cuts(3 * min(terms, STEP), 3 * STEP)
        return (ROUNDED if kind == "tf32" else 0.0) + cuts(terms, _padded_terms(problem, direction, kind))

    return certain


def _bias_alone(problem: ConvProblem, direction: Direction, config: Any = None) -> float:
    """Count the roundings to nearest: only the bias is added by an instruction that rounds so."""
    return float(problem.bias and direction == "forward")


def _steps_and_bias(problem: ConvProblem, direction: Direction, config: Any = None) -> float:
    """Count the roundings to nearest: those of the sums of the steps, and that of the bias."""
    return _padded_terms(problem, direction, "float32") / STEP + _bias_alone(problem, direction)


class TensorCores(Algorithm):
    """The base of the four algorithms."""

    family: ClassVar[Family] = "gemm"
    least_compute_capability: ClassVar[tuple[int, int] | None] = (8, 0)
    tiles: ClassVar[tuple[tuple[int, int, int, int, int], ...]] = TILES
    kind: ClassVar[Kind]

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        geometry = Correlation.of(problem, direction)
        for size in (geometry.size, geometry.outputs):
            if (pixels := geometry.n * size[0] * size[1]) > MOST_PIXELS:
                return f"{pixels:,} pixels: {self.name} counts them in 32 bits"
        if (rows := geometry.groups * -(-geometry.sources_per_group // SIDE)) > MAX_GRID[1]:
            return f"{problem.groups} groups: {self.name} packs {rows:,} rows of blocks, a grid has {MAX_GRID[1]:,}"
        return None

    def configs(self, problem: ConvProblem, direction: Direction) -> Sequence[Config]:
        if problem.macs < LARGE_MACS:
            return (Config(),)
        geometry, is_huge = Correlation.of(problem, direction), problem.macs >= HUGE_MACS
        found = [
            Config(
                tile_m=m,
                tile_o=o,
                warp_m=wm,
                warp_o=wo,
                blocks=blocks,
                is_specialised=is_huge,
                unroll=4 if is_huge else 1,  # what is written out takes Numba three times as long
            )
            for m, o, wm, wo, blocks in self.tiles
        ]

        def worth(config: Config) -> tuple[bool, bool]:
            """Prefer a tile that is not mostly edge, then one with enough blocks; of equals the first is taken."""
            fits = config.tile_m < 2 * geometry.targets_per_group or config.tile_m == min(
                tile[0] for tile in self.tiles
            )
            return fits, blocks_of(geometry, config) >= MULTIPROCESSORS

        best = max(found, key=worth)
        return best, replace(best, is_specialised=not is_huge), *(config for config in found if config != best)

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        return WARPGROUP_PLANS[self.kind] if isinstance(config, WarpgroupConfig) else self.plans[direction]

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Config | WarpgroupConfig]:
        """Return each tile with every number of stages. Configs by warps are for this problem alone, or for any."""
        by_warps = [
            Config(
                tile_m=m, tile_o=o, warp_m=wm, warp_o=wo, blocks=blocks, stages=stages, unroll=4,
                is_specialised=is_specialised,
            )
            for m, o, wm, wo, blocks in self.tiles for stages in WAITS for is_specialised in (True, False)
        ]  # fmt: skip
        return [*by_warps, *warpgroup_space(Correlation.of(problem, direction), self.kind)]

    def rivals(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[WarpgroupConfig]:
        """For large problems on Hopper, return the largest wgmma tile among those that leave least of the GPU idle."""
        if device.compute_capability != WARPGROUP_CAPABILITY or problem.macs < LARGE_MACS:
            return ()
        geometry = Correlation.of(problem, direction)

        def worth(config: WarpgroupConfig) -> tuple[int, int, int]:
            filled = min(blocks_of(geometry, config), MULTIPROCESSORS * config.blocks)
            return filled // config.blocks, config.tile_m * config.tile_o, config.stages

        return (max(warpgroup_space(geometry, self.kind), key=worth),)


class ImplicitGemmTf32(TensorCores):
    """float32 whose factors are rounded to TF32."""

    name: ClassVar[str] = "implicit_gemm_tf32"
    kind: ClassVar[Kind] = "tf32"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": Tf32Plan, "backward_data": Tf32Plan}
    error_model: ClassVar[ErrorModel] = ErrorModel(count=_bias_alone, certain=_certain("tf32"), exact_headroom=None)

    def precision(self, problem: ConvProblem) -> str:
        return "tf32"


class ImplicitGemm3xTf32(TensorCores):
    """float32 by three products of TF32. An infinity becomes a NaN, because its second part is ∞ − ∞."""

    name: ClassVar[str] = "implicit_gemm_3xtf32"
    kind: ClassVar[Kind] = "float32"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": SplitPlan, "backward_data": SplitPlan}
    tiles: ClassVar[tuple[tuple[int, int, int, int, int], ...]] = SPLIT_TILES
    error_model: ClassVar[ErrorModel] = ErrorModel(
        count=_steps_and_bias, certain=_certain("float32"), carries_nonfinite=False, underflow=2.0**13,
        exact_headroom=2,  # a first part may be larger than the whole
    )  # fmt: skip

    def precision(self, problem: ConvProblem) -> str:
        return "3xtf32"


class ImplicitGemmF16(TensorCores):
    """float16 without any change to the factors."""

    name: ClassVar[str] = "implicit_gemm_f16"
    kind: ClassVar[Kind] = "float16"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": F16Plan, "backward_data": F16Plan}
    dtypes: ClassVar[tuple[Dtype, ...]] = ("float16",)
    error_model: ClassVar[ErrorModel] = ErrorModel(count=_bias_alone, certain=_certain("float16"))


class ImplicitGemmBf16(TensorCores):
    """bfloat16 without any change to the factors."""

    name: ClassVar[str] = "implicit_gemm_bf16"
    kind: ClassVar[Kind] = "bfloat16"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": Bf16Plan, "backward_data": Bf16Plan}
    dtypes: ClassVar[tuple[Dtype, ...]] = ("bfloat16",)
    error_model: ClassVar[ErrorModel] = ErrorModel(count=_bias_alone, certain=_certain("bfloat16"))
