"""Algorithms with one common mistake each. The contract battery must reject every one."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from algorithms.direct.plain import Config, DirectPlan, DirectWeightsPlan
from cases.wrong_kernels import THREADS, clear_first, copy_all_but_last, direct_in_half, direct_in_some_order
from convbench.algorithm import Algorithm, Family, Plan, adapted
from convbench.devices import Device
from convbench.problem import DTYPES, ConvProblem, Direction, Dtype


class WithoutMistake(DirectPlan):
    """The correct direct method; each subclass changes one thing."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, Config(threads=THREADS))


class WrongAt(WithoutMistake):
    """One image is wrong, whatever the problem."""

    image: ClassVar[int] = 0

    def run(self, x, y):
        super().run(x, y)
        host = self.device.download(y)
        host[self.image] += 1
        self.device.write(y, host)


class WeightsWithoutMistake(DirectWeightsPlan):
    """The correct direct method for dw."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, Config(threads=THREADS))


# ---- forward


class ChangedGeometry(WithoutMistake):
    """The kernel gets a geometry that is not the problem's."""

    changes: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device, config)
        for name, change in self.changes.items():
            object.__setattr__(self.geometry, name, change(problem))


class OffByOnePadding(ChangedGeometry):
    changes = {"top_left": lambda problem: (problem.padding[0][0] + 1, problem.padding[1][0])}


class SwappedStrides(ChangedGeometry):
    changes = {"stride": lambda problem: problem.stride[::-1]}


class DilationIgnored(ChangedGeometry):
    changes = {"dilation": lambda problem: (1, 1)}


class SymmetricPaddingOnly(ChangedGeometry):
    """Uses the padding of the far side for both sides."""

    changes = {"top_left": lambda problem: (problem.padding[0][1], problem.padding[1][1])}


class DroppedLastTile(WithoutMistake):
    def run(self, source, target):
        short = target.reshape(-1)[: max(1, target.size // THREADS) * THREADS]
        whole = self.device.empty(target.shape, target.dtype)
        super().run(source, whole)
        self.device.write(short, self.device.download(whole).reshape(-1)[: short.size])


class GroupsMixedUp(WithoutMistake):
    def prepare(self):
        super().prepare()
        rolled = np.roll(self.device.download(self.filters), self.problem.k // self.problem.groups, axis=0)
        self.filters = self.device.upload(rolled)


class BiasOnTheWrongChannel(WithoutMistake):
    def prepare(self):
        super().prepare()
        self.addend = self.device.upload(np.roll(self.device.download(self.addend), 1))


class FlippedFilter(WithoutMistake):
    """The convolution of mathematics, which flips the filter."""

    def prepare(self):
        super().prepare()
        self.filters = self.device.upload(self.device.download(self.filters)[:, :, ::-1, ::-1])


class UnwrittenElement(WithoutMistake):
    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device, config)
        self.whole = self.scratch(problem.y_shape)

    def run(self, source, target):
        super().run(source, self.whole)
        grid = -(-target.size // THREADS)
        self.device.launch("unpack", copy_all_but_last, grid, THREADS, self.whole, target)


class RunsOnceOnly(WithoutMistake):
    """The second run of a plan computes nothing."""

    ran = False

    def run(self, source, target):
        if not self.ran:
            super().run(source, target)
        self.ran = True


class ChangesItsInput(WithoutMistake):
    def run(self, source, target):
        super().run(source, target)
        self.device.launch("unpack", clear_first, 1, 1, source)


class Float16Accumulation(WithoutMistake):
    def run(self, source, target):
        geometry = self.geometry
        self.device.launch(
            "multiply", direct_in_half, -(-target.size // THREADS), THREADS, source, self.filters, self.addend, target,
            geometry.stride, geometry.top_left, geometry.dilation, geometry.groups,
        )  # fmt: skip


class NonDeterministicReduction(WithoutMistake):
    """Sums in another order in every run, as atomic additions do; the order changes the last bits."""

    runs = 0

    def run(self, source, target):
        self.runs += 1
        geometry = self.geometry
        self.device.launch(
            "multiply", direct_in_some_order, -(-target.size // THREADS), THREADS,
            source, self.filters, self.addend, target,
            geometry.stride, geometry.top_left, geometry.dilation, geometry.groups, self.runs % 2,
        )  # fmt: skip


class TruncatesWhatItStores(WithoutMistake):
    """Truncates to bfloat16, the upper half of a float32, instead of rounding."""

    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device, config)
        self.wide = self.scratch(problem.y_shape, np.float32)

    def run(self, source, target):
        super().run(source, self.wide if self.problem.dtype == "bfloat16" else target)
        if self.problem.dtype == "bfloat16":
            bits = self.device.download(self.wide).view(np.uint32) & np.uint32(0xFFFF0000)
            self.device.write(target, bits.view(np.float32).astype(target.dtype))


# ---- gradients


class FilterNotFlipped(WithoutMistake):
    """Slides the filter over dy as over x."""

    def prepare(self):
        super().prepare()
        self.filters = self.device.upload(self.device.download(self.filters)[:, :, ::-1, ::-1])


class ChannelsNotSwapped(WithoutMistake):
    """Uses w[c, k] as w[k, c] if C and K are equal."""

    def load(self, weights=None, bias=None):
        if weights.shape[0] == weights.shape[1]:
            weights = self.device.upload(self.device.download(weights).swapaxes(0, 1))
        super().load(weights, bias)


class StrideForgotten(ChangedGeometry):
    """Ignores the zeros that the stride puts between the elements of dy."""

    changes = {"spread": lambda problem: (1, 1)}


class LastImageOnly(WeightsWithoutMistake):
    def run(self, x, dy, dw):
        super().run(x[self.problem.n - 1 :], dy[self.problem.n - 1 :], dw)


class SumsOverTheWrongAxis(WeightsWithoutMistake):
    """Exchanges the loops over p and q."""

    def run(self, x, dy, dw):
        if self.problem.p == self.problem.q:
            dy = self.device.upload(self.device.download(dy).swapaxes(2, 3))
        super().run(x, dy, dw)


# ---- around the plan


class WrongBiasGradient(adapted.AdaptedPlan):
    """Sums over the channels instead of the images."""

    def run(self, *arrays, **_):
        super().run(*arrays)
        if len(arrays) == 4:
            _, dy, _, dbias = arrays
            sums = self.device.download(self._seen("dy", dy)).sum((1, 2, 3))
            self.device.write(dbias, np.resize(sums, dbias.shape).astype(dbias.dtype))


class WrongPadding(adapted.AdaptedPlan):
    """Pads by a rule of its own."""

    mode: ClassVar[str]
    numpys: ClassVar[str]

    def _entering(self, name, array):
        entered = super()._entering(name, array)
        if name == "x" and self.problem.padding_mode == self.mode:
            x = self.device.download(self._seen("x", array))
            padded = np.pad(x, ((0, 0), (0, 0), *self.problem.padding), mode=self.numpys)
            self.device.write(entered, padded)
        return entered


class ReflectOffByOne(WrongPadding):
    """Repeats the edge."""

    mode, numpys = "reflect", "symmetric"


class CircularTakenAsReplicate(WrongPadding):
    mode, numpys = "circular", "edge"


class NHWCReadAsNCHW(adapted.AdaptedPlan):
    def _seen(self, name, array):
        if name == "x" and self.problem.layout == "NHWC":
            return array.reshape(self.problem.x_shape)
        return super()._seen(name, array)


class RSCKReadAsKRSC(adapted.AdaptedPlan):
    def _seen(self, name, array):
        if name == "w" and self.problem.filter_layout == "RSCK":
            k, c, r, s = self.problem.w_shape
            return self.device.transposed(array.reshape(k, r, s, c), (0, 3, 1, 2))
        return super()._seen(name, array)


def algorithm_of(wrong: type[Plan]) -> Algorithm:
    """An algorithm with the wrong plan in the plan's direction; its other directions are correct."""
    around = issubclass(wrong, adapted.AdaptedPlan)

    class Wrong(Algorithm):
        name: ClassVar[str] = f"wrong_{wrong.__name__}"
        family: ClassVar[Family] = "direct"
        dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
        plans: ClassVar[Mapping[Direction, type[Plan]]] = {
            "forward": WithoutMistake, "backward_data": WithoutMistake, "backward_weights": WeightsWithoutMistake,
        } | ({} if around else {DIRECTIONS.get(wrong, "forward"): wrong})  # fmt: skip

        def plan(self, problem, device, *, direction="forward", config=None):
            made = super().plan(problem, device, direction=direction, config=config)
            return wrong(problem, made.inner) if around and isinstance(made, adapted.AdaptedPlan) else made

    return Wrong()


# the direction of each plan that is not for `forward`
DIRECTIONS: dict[type[Plan], Direction] = {
    FilterNotFlipped: "backward_data",
    ChannelsNotSwapped: "backward_data",
    StrideForgotten: "backward_data",
    LastImageOnly: "backward_weights",
    SumsOverTheWrongAxis: "backward_weights",
}

# words of the battery's message about each plan
WRONG = {
    OffByOnePadding: "elements are wrong",
    SwappedStrides: "elements are wrong",
    DroppedLastTile: "is nan",
    DilationIgnored: "elements are wrong",
    GroupsMixedUp: "elements are wrong",
    BiasOnTheWrongChannel: "elements are wrong",
    FlippedFilter: "elements are wrong",
    SymmetricPaddingOnly: "elements are wrong",
    UnwrittenElement: "is nan",
    RunsOnceOnly: "two runs of one plan differ",
    ChangesItsInput: "changed its input x",
    Float16Accumulation: "on integers, exactly",
    NonDeterministicReduction: "two runs of one plan differ",
    TruncatesWhatItStores: "on random numbers",
    FilterNotFlipped: "dx[",
    ChannelsNotSwapped: "dx[",
    StrideForgotten: "dx[",
    LastImageOnly: "dw[",
    SumsOverTheWrongAxis: "dw[",
    WrongBiasGradient: "dbias[",
    ReflectOffByOne: "elements are wrong",
    CircularTakenAsReplicate: "elements are wrong",
    NHWCReadAsNCHW: "elements are wrong",
    RSCKReadAsKRSC: "elements are wrong",
}
