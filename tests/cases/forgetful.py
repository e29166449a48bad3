"""Plans that keep something of their first run: right as long as nothing changes."""

from typing import ClassVar

import numpy as np

from cases.wrong_algorithms import WithoutMistake


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
