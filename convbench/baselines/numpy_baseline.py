"""The baseline `numpy`: one matrix product for each filter tap, on the CPU.

    y[n,k] += w[k,:,r,s] @ x[n,:, r·d_h + p·u, s·d_w + q·v]    for each r, s; gradients by the same products transposed

The products are computed in the accumulating dtype, by the BLAS that NumPy was built with.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from convbench.algorithm import Algorithm, Family, Plan
from convbench.baselines.library import HostPlan, padded
from convbench.devices import Array, Host
from convbench.problem import DTYPES, Direction, Dtype


class NumpyPlan(HostPlan):
    """Shared code of the three directions: the elements that each tap reads, and the division into groups."""

    def taps(self, dense: Host) -> Iterator[tuple[int, int, Host]]:
        """Yield r, s and the elements that the tap reads, for each tap.

        The elements are a view (N, G, C/G, P, Q) of `dense`, a padded map (N, C, ·, ·).
        """
        problem = self.problem
        (u, v), (d_h, d_w) = problem.stride, problem.dilation
        for r in range(problem.r):
            for s in range(problem.s):
                seen = dense[:, :, r * d_h :: u, s * d_w :: v][:, :, : problem.p, : problem.q]
                yield r, s, seen.reshape(problem.n, problem.groups, -1, problem.p, problem.q)

    def by_group(self, array: Array) -> Host:
        """Split the channels of (N, K, P, Q) into groups: (N, G, K/G, P, Q)."""
        host = np.asarray(array, self.accumulator)
        return host.reshape(host.shape[0], self.problem.groups, -1, *host.shape[2:])

    def filters(self) -> Host:
        """The weights by group, (G, K/G, C/G, R, S)."""
        w: Host = np.asarray(self.weights, self.accumulator)
        return w.reshape((self.problem.groups, -1, *self.problem.w_shape[1:]))


class NumpyForward(NumpyPlan):
    """The plan that computes y."""

    def compute(self, *read: Array) -> Host:
        problem, w = self.problem, self.filters()
        y = np.zeros((problem.n, problem.groups, w.shape[1], problem.p, problem.q), self.accumulator)
        for r, s, seen in self.taps(padded(problem, read[0], self.accumulator)):
            y += np.einsum("gkc,ngcpq->ngkpq", w[..., r, s], seen, optimize=True)
        biased: Host = y.reshape(problem.y_shape) + np.asarray(self.bias, self.accumulator).reshape(1, -1, 1, 1)
        return biased


class NumpyBackwardData(NumpyPlan):
    """The plan that computes dx."""

    def compute(self, *read: Array) -> Host:
        problem, w, dy = self.problem, self.filters(), self.by_group(read[0])
        (top, bottom), (left, right) = problem.padding
        dense = np.zeros((problem.n, problem.c, problem.h + top + bottom, problem.w + left + right), self.accumulator)
        (u, v), (d_h, d_w) = problem.stride, problem.dilation
        for r in range(problem.r):
            for s in range(problem.s):
                part = np.einsum("gkc,ngkpq->ngcpq", w[..., r, s], dy, optimize=True)
                target = dense[:, :, r * d_h :: u, s * d_w :: v][:, :, : problem.p, : problem.q]
                target += part.reshape(target.shape)
        return dense[:, :, top : top + problem.h, left : left + problem.w]


class NumpyBackwardWeights(NumpyPlan):
    """The plan that computes dw."""

    def compute(self, *read: Array) -> Host:
        problem, dy = self.problem, self.by_group(read[1])
        dw = np.empty(
            (problem.groups, dy.shape[2], problem.c // problem.groups, problem.r, problem.s), self.accumulator
        )
        for r, s, seen in self.taps(padded(problem, read[0], self.accumulator)):
            dw[..., r, s] = np.einsum("ngkpq,ngcpq->gkc", dy, seen, optimize=True)
        return dw.reshape(problem.w_shape)


class Numpy(Algorithm):
    """The baseline of NumPy on the CPU."""

    name: ClassVar[str] = "numpy"
    family: ClassVar[Family] = "baseline"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": NumpyForward, "backward_data": NumpyBackwardData, "backward_weights": NumpyBackwardWeights,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
    any_order: ClassVar[bool] = True
