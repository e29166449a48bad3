"""The data and the references of one problem: of all outputs, of two images, or of a few elements."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from convbench.problem import ConvProblem, Direction
from convbench.reference import KINDS, Float64, Kind, Places, compute, data, samples

MOST_WHOLE_MACS = 20_000_000  # of a problem whose samples are wrong, and whose every element is then compared


class Case:
    """One problem's data and references, computed when first needed and shared by all algorithms."""

    kinds: Sequence[Kind] = KINDS  # kinds of data that `verify` may use
    places: Mapping[str, Places] | None = None  # of the elements that are compared, unless all are

    def __init__(self, problem: ConvProblem, seed: int, direction: Direction = "forward") -> None:
        self.problem, self.seed, self.direction = problem, seed, direction
        self._made: dict[tuple[Kind, int, bool], tuple[data.Tensors, dict[str, Float64]]] = {}

    def of(self, kind: Kind, headroom: int = 1, *, again: bool = False) -> tuple[data.Tensors, dict[str, Float64]]:
        """The inputs of a kind, and the outputs in float64; the headroom only matters for integers.

        `again` gives other inputs of the same kind.
        """
        key = kind, headroom if kind == "integers" else 1, again
        if key not in self._made:
            given = data.tensors(self.problem, self.direction, self.seed + again, kind, headroom=headroom)
            with np.errstate(invalid="ignore", over="ignore"):  # some kinds of data give ∞ − ∞, or overflow
                self._made[key] = given, compute(self.judged, self.direction, self.part(given))
        return self._made[key]

    @property
    def judged(self) -> ConvProblem:
        """The problem whose outputs are compared: here the whole problem."""
        return self.problem

    @property
    def whole(self) -> "Case | None":
        """The case that compares every element, where this one compares only some; None if that takes too long."""
        return None

    def part(self, tensors: data.Tensors) -> data.Tensors:
        """The part of the problem's inputs or outputs that belongs to the problem `judged`: here all of them."""
        return tensors


class SampledCase(Case):
    """A case that compares only the first and the last image, on random numbers.

    The reference of a whole batch would take too long at the size of a network's layers. Every image is computed.
    Gradients by the weights are compared as a whole, because every image contributes to them.
    """

    kinds: Sequence[Kind] = ("uniform",)

    @property
    def judged(self) -> ConvProblem:
        if self.direction == "backward_weights" or self.problem.n <= 2:
            return self.problem
        return replace(self.problem, n=2)

    def part(self, tensors: data.Tensors) -> data.Tensors:
        if self.judged is self.problem:
            return tensors
        return {
            name: value if name in ("w", "bias") else value[:: self.problem.n - 1] for name, value in tensors.items()
        }


class SpotCase(Case):
    """A case that compares only some elements of each output, because the reference of all would take too long.

    The elements are corners, places at the borders of tiles, and random ones, which the seed of the case chooses. Each
    is computed by itself (`convbench.reference.samples`). If one is wrong, all elements are compared where that is
    possible, so that the message is the usual one.
    """

    def __init__(self, problem: ConvProblem, seed: int, direction: Direction = "forward") -> None:
        super().__init__(problem, seed, direction)
        self.places = self._at = dict[str, Places](samples.choose(problem, direction, seed).items())

    def of(self, kind: Kind, headroom: int = 1, *, again: bool = False) -> tuple[data.Tensors, dict[str, Float64]]:
        key = kind, headroom if kind == "integers" else 1, again
        if key not in self._made:
            given = data.tensors(self.problem, self.direction, self.seed + again, kind, headroom=headroom)
            with np.errstate(invalid="ignore", over="ignore"):
                self._made[key] = (
                    given,
                    {
                        name: samples.values_at(self.problem, self.direction, given, name, places)
                        for name, places in self._at.items()
                    },
                )
        return self._made[key]

    @property
    def whole(self) -> Case | None:
        return Case(self.problem, self.seed, self.direction) if self.problem.macs <= MOST_WHOLE_MACS else None

    def part(self, tensors: data.Tensors) -> data.Tensors:
        return {name: value[self._at[name]] if name in self._at else value for name, value in tensors.items()}
