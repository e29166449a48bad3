"""Algorithms that the fuzzer must judge: the direct method, each with one mistake or one unusual behaviour."""

import os
from dataclasses import replace
from typing import ClassVar

import numpy as np

from algorithms.direct.plain import Config, Direct, DirectPlan, DirectWeightsPlan
from cases.wrong_kernels import THREADS, clear_first, copy_all_but_last, write_far_away


class DilationIgnored(Direct):
    name: ClassVar[str] = "dilation_ignored"

    class Plan(DirectPlan):
        def __init__(self, *args):
            super().__init__(*args)
            self.geometry = replace(self.geometry, dilation=(1, 1))

    plans = {**Direct.plans, "forward": Plan}


class ThreeBugs(Direct):
    """Forward ignores the dilation and adds the bias to the wrong channel; dw raises an error for large strides."""

    name: ClassVar[str] = "three_bugs"

    class Plan(DilationIgnored.Plan):
        def prepare(self):
            self.addend = self.device.upload(np.roll(self.device.download(self.bias), 1))

    class WeightsPlan(DirectWeightsPlan):
        def run(self, x, dy, dw):
            if max(self.problem.stride) > 2:
                raise RuntimeError(f"stride {self.problem.stride[0]} isn't for me")
            super().run(x, dy, dw)

    plans = {**Direct.plans, "forward": Plan, "backward_weights": WeightsPlan}


class Changed(Direct):
    """The direct method with `forward` only, whose plan runs the given function."""

    def __init__(self, run):
        self.plans = {"forward": type("Plan", (DirectPlan,), {"run": run})}


class LastElementForgotten(Changed):
    name: ClassVar[str] = "last_element_forgotten"

    def __init__(self):
        def run(plan, x, y):
            whole = plan.device.empty(y.shape, y.dtype)
            DirectPlan.run(plan, x, whole)
            plan.device.launch("unpack", copy_all_but_last, -(-y.size // THREADS), THREADS, whole, y)

        super().__init__(run)


class RunsOnce(Changed):
    name: ClassVar[str] = "runs_once"

    def __init__(self):
        def run(plan, x, y):
            if not hasattr(plan, "ran"):
                DirectPlan.run(plan, x, y)
            plan.ran = True

        super().__init__(run)


class ChangesItsInput(Changed):
    name: ClassVar[str] = "changes_its_input"

    def __init__(self):
        def run(plan, x, y):
            DirectPlan.run(plan, x, y)
            plan.device.launch("unpack", clear_first, 1, 1, x)

        super().__init__(run)


class WritesFarAway(Changed):
    """An index far outside the array, which the checks report."""

    name: ClassVar[str] = "writes_far_away"

    def __init__(self):
        super().__init__(lambda plan, x, y: plan.device.launch("multiply", write_far_away, 1, 1, y))


class BlockTooLarge(Changed):
    name: ClassVar[str] = "block_too_large"

    def __init__(self):
        super().__init__(lambda plan, x, y: plan.device.launch("multiply", clear_first, 1, 2048, y))


class TooGreedy(Changed):
    name: ClassVar[str] = "too_greedy"

    def __init__(self):
        super().__init__(lambda plan, x, y: plan.scratch((2**50,)))


class TakesTheProcessDown(Changed):
    """Ends the process, as a wild pointer can without checks."""

    name: ClassVar[str] = "takes_the_process_down"

    def __init__(self):
        def run(plan, x, y):
            if plan.problem.bias:
                os.abort()
            DirectPlan.run(plan, x, y)

        super().__init__(run)


class EndsWhenAsked(Direct):
    """Ends the process, as if all were well, when it is asked what it refuses."""

    name: ClassVar[str] = "ends_when_asked"

    def limits(self, problem, direction):
        os._exit(0)


class Picky(Direct):
    """Has the limits of several methods at once."""

    name: ClassVar[str] = "picky"
    dtypes = ("float64",)

    def configs(self, problem, direction):
        assert self.limits(problem, direction) is None, "asked for a problem that is refused"
        return Config(threads=32), Config(threads=64)

    def limits(self, problem, direction):
        rules = {
            "stride": problem.stride == (1, 1), "taps": problem.r == problem.s == 3, "channels": problem.c % 4 == 0,
        }  # fmt: skip
        return next((f"{what} of {problem}" for what, holds in rules.items() if not holds), None)


class RefusesAll(Direct):
    name: ClassVar[str] = "refuses_all"

    def limits(self, problem, direction):
        return "never"


class CannotBeAsked(Direct):
    name: ClassVar[str] = "cannot_be_asked"

    def limits(self, problem, direction):
        raise ZeroDivisionError("of no use")
