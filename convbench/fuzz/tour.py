"""A tour of all configs of an algorithm: a part of the cases launches one that no case launched before.

An algorithm may choose some of its kernels for large problems alone, or offer them only to a search. Rows never ask for
these, because the configs of a small problem lack them. A tour takes each config from all that the algorithm offers for
a problem (`Algorithm.space_for`), and prefers a config

    1. with a value of a field that no case had, of that dtype and direction
    2. whose kernel no case launched: the class of the config and all of its fields, without the modifiers

until there is none. Then each class of configs has a case with many images, one with many channels, and so on. Where
there are very many configs, some of the later cases are of these.

Modifiers change little of the kernel: the number of parts of a sum, the most tiles at a time, the width of a copy,
whether sizes are compiled in, and whether multiply-adds are packed.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from random import Random
from typing import Any, Literal

from convbench.fuzz.rows import Row, plain_of
from convbench.fuzz.suiting import AWKWARD, Suit
from convbench.problem import ConvProblem, Direction, Dtype

BEGINS = 40  # draws before the tour, whose kernels take long to compile: most faults are found by then
EVERY = 2  # of so many draws from then on, one is of the tour, unless it is complete
OF_LARGE = 3  # of so many cases of the tour, one has a large axis
VALUES_FIRST = 80  # turns before one turn of `OF_SIZES` has a class of configs in a size that the class did not have
OF_SIZES = 2
OF_QUICK = 0.75  # share of configs that are not specialised, if both are equally new
PATIENCE = 3  # turns without a new config, after which only one turn in `BREAK` is taken
BREAK = 8
AGAIN = 2  # of so many turns from then on, one launches such a kernel again, with other sizes
_MODIFIERS = "splits", "most_tiles", "is_specialised", "blocks", "pixels", "is_packed"
_EXACT = "float32", "float64"  # dtypes whose bounds are so small that one missing term of a large sum is seen
Size = Literal["small", "large", "n", "k", "c", "pixels", "columns", "terms", "results", "planes", "filters"]
LARGER: tuple[Size, ...] = "k", "c", "pixels"
ALL_LARGER: tuple[Size, ...] = *LARGER, "n", "columns", "terms", "results", "planes", "filters"
MOST_VALUES = 64  # larger numbers are counts that depend on the problem, and not choices

Facet = tuple[object, ...]
Found = tuple[ConvProblem, Row, Any]


class Tour:
    """The configs that the cases of one algorithm had so far, and the next one.

    Parameters
    ----------
    random : decides between configs that are equally new
    """

    def __init__(self, suit: Suit, random: Random) -> None:
        self.suit, self.random = suit, random
        self.seen: set[Facet] = set()
        self._rows = deque(_rows_of(suit))
        self._lacking = set[Any]()  # configs that had no plan
        self._draws, self._in_vain = 0, 0
        small = ((row, suit.problem(AWKWARD, row)) for row in self._rows)
        self._usual = {type(one) for row, problem in small if problem for one in suit.configs(problem, row.direction)}

    def next(self, problem_of: Callable[[Row, Size], ConvProblem | None]) -> Found | None:
        """The problem, the row and the config of the next case; None if the next case is not of the tour.

        `problem_of` makes the problem of a case for a row and a size. Other sizes than the usual one are asked for if
        the problem has no new config: some configs are only for many channels, filters or outputs.
        """
        self._draws += 1
        turn, beside = divmod(self._draws - BEGINS, EVERY)
        if turn < 0 or beside:
            return None
        usual: Size = "large" if turn % OF_LARGE == 0 else "small"
        if self._in_vain >= PATIENCE and turn % BREAK:
            return self._again(problem_of, usual) if turn % AGAIN == 0 else None
        is_of_sizes = turn >= VALUES_FIRST and turn % OF_SIZES == 0
        of_values, of_sizes = [(one, False) for one in (usual, *LARGER)], [(one, True) for one in ALL_LARGER]
        for size, of_size in (*of_sizes, *of_values) if is_of_sizes else (*of_values, *of_sizes):
            for _ in range(len(self._rows)):
                row = self._rows[0]
                self._rows.rotate(-1)
                problem = problem_of(row, size)
                config = None if problem is None else self._newest(problem, row, size if of_size else None)
                if problem is not None and config is not None:
                    self._in_vain = 0
                    return problem, row, config
        self._in_vain += 1
        return None

    def _again(self, problem_of: Callable[[Row, Size], ConvProblem | None], size: Size) -> Found | None:
        """A case with a class of configs that rows never ask for, because the configs of small problems lack it."""
        for _ in range(len(self._rows)):
            row = self._rows[0]
            self._rows.rotate(-1)
            problem = problem_of(row, size)
            if problem is None:
                continue
            others = [one for one in self.suit.space(problem, row.direction) if type(one) not in self._usual]
            others = [config for config in others if not _is_specialised(config)] or others
            if not others:
                continue
            config = self.random.choice(others)
            if self.suit.can_plan(problem, row.direction, config):
                return problem, row, config
        return None

    def _newest(self, problem: ConvProblem, row: Row, size: Size | None) -> Any:
        """The config for a problem that is the newest; None if none is new, or new in the size if one is given."""
        quick = self.random.random() < OF_QUICK
        found = [
            (self._newness(config, row, size), quick != _is_specialised(config), self.random.random(), config)
            for config in self.suit.space(problem, row.direction)
            if config not in self._lacking
        ]
        for newness, *_, config in sorted(found, key=lambda one: one[:3], reverse=True):
            if newness == (0, 0):
                break
            if self.suit.can_plan(problem, row.direction, config):
                self.seen |= facets(config, row.direction, row.dtype, size)
                return config
            self._lacking.add(config)  # not its kernel: another config with that may have a plan
        return None

    def _newness(self, config: Any, row: Row, size: Size | None) -> tuple[int, int]:
        if size is not None and in_size(config, row.direction, row.dtype, size) in self.seen:
            return 0, 0
        found, kernel = facets(config, row.direction, row.dtype, size), kernel_of(config, row.direction)
        return len(found - self.seen - {kernel}), int(kernel not in self.seen)


def _rows_of(suit: Suit) -> list[Row]:
    """The rows of a tour: of each direction with the plain layouts, every dtype, and the plain one first."""
    return sorted(
        (row for one in plain_of(suit.rows) for row in suit.rows if row.config == 0 and is_like(row, one)),
        key=lambda row: suit.algorithm.dtypes.index(row.dtype),
    )


def _is_specialised(config: Any) -> bool:
    """Whether a kernel is compiled for one problem, which takes long, and which no later run can take from the disk."""
    return bool(getattr(config, "is_specialised", False))


def is_like(row: Row, other: Row) -> bool:
    """Whether two rows have the same direction and layouts."""
    return (row.direction, row.layout, row.filter_layout) == (other.direction, other.layout, other.filter_layout)


def facets(config: Any, direction: Direction, dtype: Dtype, size: Size | None = None) -> set[Facet]:
    """All that a case with a config has: the values of its fields, the kernel, and the class in a size."""
    found = values_of(config, direction, dtype) | {kernel_of(config, direction)}
    return found if size is None else found | {in_size(config, direction, dtype, size)}


def in_size(config: Any, direction: Direction, dtype: Dtype, size: Size) -> Facet:
    """The class of a config in a size, with and without a split sum, by a small and a large bound of the error."""
    return "size", type(config).__name__, direction, size, dtype in _EXACT, getattr(config, "splits", 1) > 1


def values_of(config: Any, direction: Direction, dtype: Dtype) -> set[Facet]:
    """The values of the config's fields, for a direction; and the class of the config, for a dtype."""
    kind = type(config).__name__
    found: set[Facet] = {("class", kind, direction, dtype)}
    if direction == "backward_weights":  # half and double precision have kernels of their own, and no others test them
        found |= {("value", kind, direction, dtype, *pair) for pair in _fields(config)}
    return found | {("value", kind, direction == "backward_weights", *pair) for pair in _fields(config)}


def kernel_of(config: Any, direction: Direction) -> Facet:
    """The kernel that a config names."""
    fixed = (pair for pair in _fields(config) if pair[0] not in _MODIFIERS)
    return ("kernel", type(config).__name__, direction == "backward_weights", *fixed)


def _fields(config: Any) -> list[tuple[str, object]]:
    if not is_dataclass(config):
        return [("", repr(config))]
    values = [(field.name, getattr(config, field.name)) for field in fields(config)]
    return [
        (name, repr(value)) for name, value in values
        if not (isinstance(value, int) and name in _MODIFIERS and value > MOST_VALUES)
    ]  # fmt: skip
