"""The layers of a survey: their groups, the target of each group, their algorithms, and the order of measurement.

A layer's group follows from its geometry and direction; for dense 3 × 3 layers, it also follows from the network in the
layer's name. The order takes one layer of each group in turn, so that every group has its share however short the time
is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from convbench.algorithm import Algorithm, registry
from convbench.errors import ContractError
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.workload import Layer

PLAIN = "direct", "im2col_gemm"  # left out to save time: other algorithms are improvements of them
LEAST_TAPS_OF_FFT = 25  # the same as in `convbench.layer.automatic`
NARROW: dict[Dtype, int] = {"float16": 3, "bfloat16": 3}  # how many layers of a group are also measured in a dtype
NARROW_GROUPS = "ResNet-50 3×3", "VGG 3×3", "1×1"
BASELINES = "cudnn", "cudnn_tf32"
Takes = Callable[[Algorithm, ConvProblem, Direction], bool]


@dataclass(frozen=True)
class Target:
    """The ratio that a group should reach, and a more ambitious one."""

    ratio: float
    stretch: float


# by group and by the precision of products; a target is for the median over the layers of the group
TARGETS: dict[tuple[str, str], Target] = {
    ("ResNet-50 3×3", "float32"): Target(1.6, 2.0),
    ("VGG 3×3", "float32"): Target(2.0, 3.0),
    ("1×1", "float32"): Target(1.05, 1.2),
    ("1×1", "float32 or 3xTF32"): Target(1.7, 2.0),
    ("stem 7×7", "float32"): Target(1.2, 1.6),
    ("depthwise 3×3", "float32"): Target(1.5, 3.0),
    ("5×5", "float32"): Target(2.5, 3.5),
    ("dilated 3×3", "float32"): Target(1.2, 1.4),
    ("all", "TF32"): Target(0.7, 1.0),
    ("all", "float16"): Target(0.7, 1.0),
    ("all", "bfloat16"): Target(0.7, 1.0),
}
GROUPS = *dict.fromkeys(group for group, _ in TARGETS if group != "all"), "other"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A layer to be timed, and the algorithms that compute it."""

    layer: Layer
    group: str
    algorithms: tuple[str, ...]  # by name, baselines included
    formats: tuple[str, ...] = ("NCHW", "NHWC")

    @property
    def problems(self) -> tuple[ConvProblem, ...]:
        """The layer's problem in each memory layout."""
        problem = self.layer.problem
        found = (problem, replace(problem, layout="NHWC", filter_layout="KRSC"))
        return tuple(one for one in found if one.layout in self.formats)


def group_of(layer: Layer) -> str:
    """The group of a layer. Gradients have groups of their own, because the targets are those of the forward pass."""
    if layer.direction != "forward":
        return f"{group_of(replace(layer, direction='forward'))} {layer.direction}"
    problem, taps = layer.problem, (layer.problem.r, layer.problem.s)
    if problem.groups > 1:
        return "depthwise 3×3" if problem.groups == problem.c and taps == (3, 3) else "other"
    if taps == (3, 3) and problem.dilation != (1, 1):
        return "dilated 3×3"
    if taps == (3, 3):
        return {"vgg": "VGG 3×3", "res": "ResNet-50 3×3"}.get(layer.name[:3].lower(), "other")
    return {(1, 1): "1×1", (5, 5): "5×5", (7, 7): "stem 7×7"}.get(taps, "other")


class _Field:
    """All algorithms that may be timed. They are looked up only once, because a look-up takes time."""

    def __init__(self, names: Sequence[str] | None, takes: Takes) -> None:
        self.is_named, self.takes = names is not None, takes
        self.ours = [registry.get(name) for name in (registry.names() if names is None else names)]
        self.theirs = [registry.get(name) for name in BASELINES]

    def of(self, layer: Layer, group: str) -> Measured | None:
        """A layer with the algorithms to time on it; None if there are none besides baselines.

        These are the algorithms that were named or, if none was named, those that may be the fastest; the baselines are
        added. For a gradient, every algorithm that computes it may be the fastest. In a narrow dtype, only the
        algorithms made for it may be the fastest, although others can compute it.
        """
        problem = layer.problem
        ours = [one for one in self.ours if self.takes(one, *layer.work)]
        if not self.is_named:
            if layer.direction == "forward":
                ours = [one for one in ours if not _cannot_win(one.name, problem)]
            ours = [one for one in ours if problem.dtype == "float32" or one.dtypes == (problem.dtype,)]
        theirs = [one for one in self.theirs if self.takes(one, *layer.work)]
        names = tuple(one.name for one in (*ours, *theirs))
        return Measured(layer=layer, group=group, algorithms=names) if ours else None


def may_take(algorithm: Algorithm, problem: ConvProblem, direction: Direction) -> bool:
    """Whether an algorithm does not refuse a problem. If its code fails, its run asks again, and records it."""
    try:
        return algorithm.refuses(problem, direction) is None
    except ContractError:
        return True


def _cannot_win(name: str, problem: ConvProblem) -> bool:
    """Whether a method needs so much more work for a problem than others that timing it is useless."""
    taps = problem.r * problem.s
    if problem.groups == problem.c > 1:
        return name != "depthwise"
    if name in PLAIN or (name == "direct_tiled" and taps == 1):
        return True
    return name == "fft_tiled" and taps < LEAST_TAPS_OF_FFT


def plan(layers: Sequence[Layer], names: Sequence[str] | None = None, takes: Takes = may_take) -> list[Measured]:
    """The layers to be timed, in the order of measurement. A layer that only baselines compute is left out.

    Parameters
    ----------
    takes : whether an algorithm may be timed on a problem in a direction
    """
    field = _Field(names, takes)
    queues: dict[str, list[Measured]] = {}
    for layer in layers:
        if measured := field.of(layer, group_of(layer)):
            queues.setdefault(measured.group, []).append(measured)
    strict = dict(queues)
    for dtype, count in NARROW.items():
        for group in NARROW_GROUPS:
            for measured in strict.get(group, [])[:count]:
                layer = replace(measured.layer, problem=replace(measured.layer.problem, dtype=dtype))
                if narrow := field.of(layer, group):
                    queues.setdefault(dtype, []).append(narrow)
    return [one for wave in zip_longest(*queues.values()) for one in wave if one is not None]
