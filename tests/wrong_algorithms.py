"""Algorithms with one mistake each, all such as people make. The contract battery must reject every one."""

from typing import Any, ClassVar

import numpy as np
from numba import cuda
from numba.cuda.types import float16

from algorithms.direct import Config, DirectPlan, make_kernel
from algorithms.indexing import unflatten_on_device
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import Array, Device
from convbench.problem import ConvProblem

THREADS = 32


class WithoutMistake(DirectPlan):
    """The direct method as it should be; subclasses change one thing."""

    def __init__(self, problem: ConvProblem, device: Device) -> None:
        super().__init__(problem, device, Config(threads=THREADS))
        self.kernel = make_kernel(self.config)
        self.stride, self.dilation = problem.stride, problem.dilation
        self.top_left = problem.padding[0][0], problem.padding[1][0]

    def run(self, x: Array, y: Array) -> None:
        self.launch(x, y, blocks=-(-y.size // THREADS))

    def launch(self, x: Array, y: Array, *, blocks: int) -> None:
        self.device.launch(
            "multiply", self.kernel, blocks, THREADS,
            x, self.weights, self.bias, y, self.stride, self.top_left, self.dilation, self.problem.groups,
        )  # fmt: skip


class OffByOnePadding(WithoutMistake):
    def run(self, x, y):
        self.top_left = self.problem.padding[0][0] + 1, self.problem.padding[1][0]
        super().run(x, y)


class SwappedStrides(WithoutMistake):
    def run(self, x, y):
        self.stride = self.problem.stride[::-1]
        super().run(x, y)


class DroppedLastTile(WithoutMistake):
    def run(self, x, y):
        self.launch(x, y, blocks=max(1, y.size // THREADS))


class DilationIgnored(WithoutMistake):
    def run(self, x, y):
        self.dilation = 1, 1
        super().run(x, y)


class GroupsMixedUp(WithoutMistake):
    def prepare(self):
        filters = np.roll(self.device.download(self.weights), self.problem.k // self.problem.groups, axis=0)
        self.weights = self.device.upload(filters)


class BiasOnTheWrongChannel(WithoutMistake):
    def prepare(self):
        self.bias = self.device.upload(np.roll(self.device.download(self.bias), 1))


class FlippedFilter(WithoutMistake):
    """Convolution as mathematicians mean it."""

    def prepare(self):
        self.weights = self.device.upload(self.device.download(self.weights)[:, :, ::-1, ::-1])


class SymmetricPaddingOnly(WithoutMistake):
    """Takes the far side's padding for both."""

    def run(self, x, y):
        self.top_left = self.problem.padding[0][1], self.problem.padding[1][1]
        super().run(x, y)


class UnwrittenElement(WithoutMistake):
    def __init__(self, problem, device):
        super().__init__(problem, device)
        self.whole = self.scratch(problem.y_shape)

    def run(self, x, y):
        super().run(x, self.whole)
        self.device.launch("unpack", copy_all_but_last, -(-y.size // THREADS), THREADS, self.whole, y)


class RunsOnceOnly(WithoutMistake):
    """Keeps no promise for the second run."""

    ran = False

    def run(self, x, y):
        if not self.ran:
            super().run(x, y)
        self.ran = True


class ChangesItsInput(WithoutMistake):
    def run(self, x, y):
        super().run(x, y)
        self.device.launch("unpack", clear_first, 1, 1, x)


class Float16Accumulation(WithoutMistake):
    def __init__(self, problem, device):
        super().__init__(problem, device)
        self.kernel = direct_in_half


@cuda.jit
def copy_all_but_last(source, target):
    i = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if i < target.size - 1:
        n, k, p, q = unflatten_on_device(i, target.shape[1], target.shape[2], target.shape[3])
        target[n, k, p, q] = source[n, k, p, q]


@cuda.jit
def clear_first(x):
    x[0, 0, 0, 0] = 0


@cuda.jit
def direct_in_half(x, w, bias, y, stride, top_left, dilation, groups):
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= y.size:
        return
    n, k, p, q = unflatten_on_device(flat, y.shape[1], y.shape[2], y.shape[3])
    first_c = k // (y.shape[1] // groups) * w.shape[1]
    total = float16(bias[k])
    for c in range(w.shape[1]):
        for r in range(w.shape[2]):
            for s in range(w.shape[3]):
                h = p * stride[0] - top_left[0] + r * dilation[0]
                j = q * stride[1] - top_left[1] + s * dilation[1]
                if 0 <= h < x.shape[2] and 0 <= j < x.shape[3]:
                    total = float16(total + float16(x[n, first_c + c, h, j] * w[k, c, r, s]))
    y[n, k, p, q] = total


def algorithm_of(plan: type[WithoutMistake]) -> Algorithm:
    """The wrong plan as an algorithm like any other."""

    class Wrong(Algorithm):
        name: ClassVar[str] = f"wrong_{plan.__name__}"
        family: ClassVar[Family] = "direct"

        def make_plan(self, problem: ConvProblem, device: Device, config: Any) -> Plan:
            return plan(problem, device)

    return Wrong()


# and what the battery must say about each
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
}
