"""Wraps the plan of an algorithm in a plan for any problem, which does the work that is the same for every algorithm.

The algorithm's plan only computes zero-padded problems, in an order of axes that it accepts, and no gradient of the
bias. The plan around it does the rest:

- other padding modes: the padding is written out before the inner plan runs, or its result is folded back afterwards;
- layouts: arrays are passed as views with the axes of the equation, and copied if the algorithm needs them packed;
- the gradient of the bias: it is summed after the inner plan has run.

Each of these is a launch with a phase of its own (`pack`, `unpack`, `reduce`).
"""

from typing import Any

from convbench.algorithm.bias_gradient import launch_bias_gradient
from convbench.algorithm.packing import launch_copy
from convbench.algorithm.padding import launch_fold_back, launch_pad
from convbench.algorithm.plan import Plan
from convbench.devices import Array
from convbench.problem import ConvProblem, operands


class AdaptedPlan(Plan):
    """A plan for any problem. It wraps the algorithm's own plan, which only sees zero padding and the axes it accepts.

    `problem` is the caller's problem, `inner` the plan of the problem that the algorithm itself computes.
    """

    def __init__(self, problem: ConvProblem, inner: Plan) -> None:
        super().__init__(problem, inner.direction, inner.device, inner.config)
        self.inner = inner
        self.workspace_bytes = inner.workspace_bytes
        self.padded = problem.padding_mode != "zeros"
        names = (*operands.inputs(problem, self.direction), *operands.outputs(problem, self.direction))
        self.copies = {name: self._copy_of(name) for name in names if self._needs_copy(name)}
        self.scratch_arrays += inner.scratch_arrays

    def load(self, weights: Array = None, bias: Array = None) -> None:
        self.inner.load(None if weights is None else self._entering("w", weights), bias)

    def run(self, *arrays: Any, **_: Any) -> None:
        read = operands.READ[self.direction]
        given = dict(zip((*read, *operands.outputs(self.problem, self.direction)), arrays, strict=True))
        main = operands.WRITTEN[self.direction][0]
        target = self._seen(main, given[main])
        inside = self.copies.get(main, target)
        self.inner.run(*(self._entering(name, given[name]) for name in read), inside)
        if main == "dx" and self.padded:
            launch_fold_back(self.device, self.problem, inside, target, self.accumulator)
        elif inside is not target:
            launch_copy(self.device, "unpack", inside, target)
        if "dbias" in given:
            launch_bias_gradient(self.device, self._seen("dy", given["dy"]), given["dbias"], self.accumulator)

    def _needs_copy(self, name: operands.Name) -> bool:
        repadded = self.padded and name in ("x", "dx")
        return repadded or operands.order(self.problem, name) != operands.order(self.inner.problem, name)

    def _copy_of(self, name: operands.Name) -> Array:
        """An empty array for a tensor in the form that the algorithm needs.

        A padded gradient has the accumulating dtype, because folding it back still sums its elements.
        """
        inner = self.inner.problem
        dtype = self.accumulator if name == "dx" and self.padded else inner.dtype
        allocate = self.kept if name == "w" else self.scratch
        array = allocate(operands.memory_shape(inner, name), dtype)
        return self.device.transposed(array, operands.from_memory(inner, name))

    def _entering(self, name: operands.Name, array: Array) -> Array:
        """An input in the form that the algorithm needs; queues a copy where that is necessary."""
        seen = self._seen(name, array)
        if name not in self.copies:
            return seen
        if name == "x" and self.padded:
            launch_pad(self.device, self.problem, seen, self.copies[name])
        else:
            launch_copy(self.device, "pack", seen, self.copies[name])
        return self.copies[name]

    def _seen(self, name: operands.Name, array: Array) -> Array:
        """A view of a caller's array with its axes in the order of the equation."""
        return self.device.transposed(array, operands.from_memory(self.problem, name))
