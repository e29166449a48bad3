"""The groups of layers, what each is to reach, who competes in it, and in which order they are measured.

A layer's group follows from its geometry, and among dense 3 × 3 layers from the network in its name. The order goes
around the groups, one layer of each at a time, so that whatever the time allows, every group has its share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from convbench.algorithm import registry
from convbench.problem import ConvProblem, Dtype
from convbench.workload import Layer

PLAIN = "direct", "im2col_gemm"  # what others are an improvement of: they would only take time
LEAST_TAPS_OF_FFT = 25  # as in `convbench.layer.automatic`
NARROW: dict[Dtype, int] = {"float16": 3, "bfloat16": 3}  # layers of a group that are measured in these, too
NARROW_GROUPS = "ResNet-50 3×3", "VGG 3×3", "1×1"
BASELINES = "cudnn", "cudnn_tf32"


@dataclass(frozen=True)
class Target:
    """The ratio that is to be reached, and the one beyond."""

    ratio: float
    stretch: float


# by group and by how products are made; the median over the layers of the group
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
    """A layer to be timed, and by whom."""

    layer: Layer
    group: str
    algorithms: tuple[str, ...]  # the baselines among them
    formats: tuple[str, ...] = ("NCHW", "NHWC")

    @property
    def problems(self) -> tuple[ConvProblem, ...]:
        """The layer in each order of memory."""
        problem = self.layer.problem
        found = (problem, replace(problem, layout="NHWC", filter_layout="KRSC"))
        return tuple(one for one in found if one.layout in self.formats)


def group_of(layer: Layer) -> str:
    """The group of a layer."""
    problem, taps = layer.problem, (layer.problem.r, layer.problem.s)
    if problem.groups > 1:
        return "depthwise 3×3" if problem.groups == problem.c and taps == (3, 3) else "other"
    if taps == (3, 3) and problem.dilation != (1, 1):
        return "dilated 3×3"
    if taps == (3, 3):
        return {"vgg": "VGG 3×3", "res": "ResNet-50 3×3"}.get(layer.name[:3].lower(), "other")
    return {(1, 1): "1×1", (5, 5): "5×5", (7, 7): "stem 7×7"}.get(taps, "other")


class _Field:
    """Everyone who may compete: found once, for looking a name up takes a while."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self.is_named = names is not None
        self.ours = [registry.get(name) for name in (registry.names() if names is None else names)]
        self.theirs = [registry.get(name) for name in BASELINES]

    def of(self, layer: Layer, group: str) -> Measured | None:
        """A layer with those that may be the fastest for it, or were named, and the library; None without any of ours.

        A narrow dtype has its own algorithms: others are able to compute it as well, but were not made for it.
        """
        problem = layer.problem
        ours = [one for one in self.ours if one.refuses(problem) is None]
        if not self.is_named:
            ours = [one for one in ours if not _cannot_win(one.name, problem)]
            ours = [one for one in ours if problem.dtype == "float32" or one.dtypes == (problem.dtype,)]
        theirs = [one for one in self.theirs if one.refuses(problem) is None]
        names = tuple(one.name for one in (*ours, *theirs))
        return Measured(layer=layer, group=group, algorithms=names) if ours else None


def _cannot_win(name: str, problem: ConvProblem) -> bool:
    """Whether a method makes so much more work of a problem than others that timing it tells nothing."""
    taps = problem.r * problem.s
    if problem.groups == problem.c > 1:
        return name != "depthwise"
    if name in PLAIN or (name == "direct_tiled" and taps == 1):
        return True
    return name == "fft_tiled" and taps < LEAST_TAPS_OF_FFT


def plan(layers: Sequence[Layer], names: Sequence[str] | None = None) -> list[Measured]:
    """Everything to be timed, in the order of its worth; layers that nobody of ours computes are not."""
    field = _Field(names)
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
