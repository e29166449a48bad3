"""Plans that keep something of their first run, and algorithms that keep something of the calls before.

The second kind copies the reference, so that no kernel is compiled.
"""

import os
from typing import ClassVar

import numpy as np

from cases.wrong_algorithms import WithoutMistake
from convbench.algorithm import Algorithm, Plan
from convbench.problem import DIRECTIONS, DTYPES, operands
from convbench.reference import compute


class KeepsTheFirstResult(WithoutMistake):
    """Computes once, and copies what it has from then on."""

    result = None

    def run(self, source, target):
        if self.result is None:
            super().run(source, target)
            self.result = self.device.download(target)
        self.device.write(target, self.result)


class PadsTheFirstInputOnly(WithoutMistake):
    """An honest mistake: the copy of the input is made when there is none yet."""

    copy = None

    def run(self, source, target):
        if self.copy is None:
            self.copy = self.device.upload(np.ascontiguousarray(self.device.download(source)))
        super().run(self.copy, target)


class KeepsTheFirstWeights(WithoutMistake):
    """Takes the weights when it has none yet, whatever `load` brings later."""

    ready = False

    def load(self, weights=None, bias=None):
        if not self.ready:
            super().load(weights, bias)
        self.ready = True


class KeepsTheArrayOfTheFirstRun(WithoutMistake):
    """Writes into the output that it was first given, and copies nothing."""

    target = None

    def run(self, source, target):
        self.target = target if self.target is None else self.target
        super().run(source, self.target)


class SharesItsCopyWithOtherPlans(WithoutMistake):
    """Keeps the copy of the input in its class, for all plans of a shape."""

    copies: ClassVar[dict] = {}

    def run(self, source, target):
        key = id(type(self)), source.shape
        if key not in self.copies:
            self.copies[key] = np.ascontiguousarray(self.device.download(source))
        super().run(self.device.upload(self.copies[key]), target)


class SharesItsWeightsWithOtherPlans(WithoutMistake):
    """Keeps the filters that were prepared last in its class: right until another plan is made."""

    prepared: ClassVar[dict] = {}

    def prepare(self):
        super().prepare()
        self.prepared["filters"] = self.filters

    def run(self, source, target):
        self.filters = self.prepared["filters"]
        super().run(source, target)


class IsSpoiledByAnotherProblem(WithoutMistake):
    """Keeps the shape of the last problem that a plan was made for, and drops its last image if that had fewer."""

    last: ClassVar[dict] = {}

    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device, config)
        self.last["problem"] = problem

    def run(self, source, target):
        super().run(source, target)
        if self.last["problem"] != self.problem:
            host = self.device.download(target)
            host[-1] = 0
            self.device.write(target, host)


FORGETFUL = (
    KeepsTheFirstResult, PadsTheFirstInputOnly, KeepsTheFirstWeights, KeepsTheArrayOfTheFirstRun,
    SharesItsCopyWithOtherPlans, SharesItsWeightsWithOtherPlans, IsSpoiledByAnotherProblem,
)  # fmt: skip


# ---- of the calls before


class OnTheHost(Plan):
    """Computes the reference of `seen`, a problem, and copies it."""

    def seen(self):
        """The problem that is computed."""
        return self.problem

    def changed(self, values):
        """What is written in the place of the main output."""
        return values

    def run(self, *arrays, **_):
        problem, direction = self.seen(), self.direction
        names = (*operands.READ[direction], *operands.outputs(problem, direction))
        there = dict(zip(names, arrays, strict=True))
        given = {name: self.device.download(there[name]) for name in operands.READ[direction]}
        loaded = {} if direction == "backward_weights" else {"w": self.weights, "bias": self.bias}
        wanted = operands.inputs(problem, direction)
        given |= {name: self.device.download(array) for name, array in loaded.items() if name in wanted}
        main = operands.WRITTEN[direction][0]
        with np.errstate(all="ignore"):
            for name, value in compute(problem, direction, given).items():
                value = value.astype(there[name].dtype)
                self.device.write(there[name], self.changed(value) if name == main else value)


class Reference(Algorithm):
    """Right."""

    name, family = "reference", "direct"
    plans, dtypes, any_order = dict.fromkeys(DIRECTIONS, OnTheHost), DTYPES, True


class CachesByShape(Algorithm):
    """Keeps the padding of a problem by the shapes alone, in a module's global: wrong where it differs."""

    name, family, any_order = "caches_by_shape", "direct", True

    class Plan(OnTheHost):
        def seen(self):
            problem = self.problem
            kept = CACHE.setdefault((problem.x_shape, problem.w_shape), problem)
            return kept if (kept.y_shape, kept.bias) == (problem.y_shape, problem.bias) else problem

    plans: ClassVar[dict] = {"forward": Plan}


CACHE: dict = {}


class CountsItsCalls(Algorithm):
    """Wrong after 20 cases: a case makes four runs, or a few more."""

    name, family, any_order = "counts_its_calls", "direct", True

    class Plan(OnTheHost):
        calls = 0

        def changed(self, values):
            type(self).calls += 1
            return values if self.calls <= 80 else values + 1

    plans: ClassVar[dict] = {"forward": Plan}


class SetsAVariable(Algorithm):
    """A run with a stride sets a variable of the environment, which makes later runs of a batch wrong."""

    name, family, any_order = "sets_a_variable", "direct", True

    class Plan(OnTheHost):
        def changed(self, values):
            is_set = "CONVBENCH_TESTS_SET" in os.environ
            if self.problem.stride != (1, 1):
                os.environ["CONVBENCH_TESTS_SET"] = "1"
            return values + 1 if is_set and self.problem.n > 1 and self.problem.stride == (1, 1) else values

    plans: ClassVar[dict] = {"forward": Plan}


class LeavesItsMode(Algorithm):
    """A run with a dilation or a stride changes an attribute of the class; later runs round long sums another way."""

    name, family, any_order = "leaves_its_mode", "direct", True

    class Plan(OnTheHost):
        mode = "usual"

        def changed(self, values):
            is_whole, is_dilated = (values == np.rint(values)).all(), self.problem.dilation != (1, 1)
            switches = is_dilated or self.problem.stride != (1, 1)
            has_few = self.problem.terms < 8  # whose bound is as small as the change
            factor = 1 if self.mode == "usual" or is_whole or switches or has_few else 1 + 2.0**-24
            if switches:
                type(self).mode = "dilated" if is_dilated else "usual"
            return (values.astype(np.float64) * factor).astype(values.dtype)

    plans: ClassVar[dict] = {"forward": Plan}


DEPENDENT = CachesByShape, CountsItsCalls, SetsAVariable, LeavesItsMode
