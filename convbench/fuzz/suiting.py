"""Fit drawn shapes to an algorithm: find problems that it does not refuse, and the rows that it has problems for.

The only way to learn what an algorithm computes is to ask what it refuses. A drawn shape that it refuses is changed to
meet usual limits of methods (stride 1, a 3 × 3 filter, one channel in a group, …), by as few changes as are needed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from itertools import combinations, product
from typing import Any

from convbench.algorithm import Algorithm, Family
from convbench.devices import Device
from convbench.errors import ConfigError, OutOfDeviceMemoryError, RefusedError
from convbench.fuzz.cases import Announce, FuzzCase, config_text
from convbench.fuzz.large import LESS, Large
from convbench.fuzz.rows import Row, plain_of
from convbench.fuzz.shapes import NO_PADDING, SMALLER, TILES, Shape, is_small
from convbench.problem import FILTER_LAYOUTS, LAYOUTS, ConvProblem, Direction

Change = Callable[[Shape], Shape]
Changes = tuple[Change, ...]

# changes that meet the limits of methods, the most usual limit first
CHANGES: Changes = (
    lambda shape: replace(shape, stride=(1, 1)),
    lambda shape: replace(shape, dilation=(1, 1)),
    lambda shape: replace(shape, style="plain", r=3, s=3),
    lambda shape: replace(shape, c=1, groups=max(shape.groups, shape.c)),
    lambda shape: replace(shape, k=1),
    lambda shape: replace(shape, groups=1),
    lambda shape: replace(shape, s=shape.r),
    lambda shape: replace(shape, mode="zeros"),
    lambda shape: replace(shape, beyond=False, sides=((shape.sides[0][0],) * 2, (shape.sides[1][0],) * 2)),
    lambda shape: replace(shape, beyond=False, sides=NO_PADDING),
    lambda shape: replace(shape, bias=False),
    lambda shape: replace(shape, r=1, s=1),
    lambda shape: replace(shape, c=-(-shape.c // 4) * 4, k=-(-shape.k // 4) * 4),
    lambda shape: replace(shape, c=-(-shape.c // 16) * 16, k=-(-shape.k // 16) * 16),
    lambda shape: replace(shape, n=1),
)
MOST_CHANGES = 3  # at once

# a shape with every property that a method may refuse
AWKWARD = Shape(
    style="plain", n=2, groups=2, c=3, k=2, p=3, q=4, r=2, s=5, stride=(2, 3), dilation=(3, 2), sides=((1, 2), (3, 0)),
    beyond=False, unread=(0, 0), mode="zeros", bias=True,
)  # fmt: skip


class Suit:
    """The problems, configs and rows of one algorithm on one device, for some directions.

    Parameters
    ----------
    announce : called before the algorithm is asked about a problem, with the plainest case of it: who repeats that case
        asks the same; and with None by `rest`
    """

    def __init__(
        self,
        algorithm: Algorithm,
        device: Device,
        directions: Sequence[Direction],
        announce: Announce = lambda _: None,
    ) -> None:
        self.algorithm, self.device, self.directions, self.announce = algorithm, device, directions, announce
        self._needs: dict[Row, Changes | None] = {}
        self._asked: tuple[ConvProblem, Direction, str] | None = None  # what is announced

    def rest(self) -> None:
        """Announce that no more questions follow for now."""
        self._asked = None
        self.announce(None)

    def refuses(self, problem: ConvProblem, direction: Direction) -> str | None:
        """The reason why the algorithm or the device refuses a problem; None if neither does.

        If the algorithm raises an error when it is asked, this gives None: the error comes again when the case is run.
        """
        self._ask(problem, direction)
        try:
            return self.algorithm.refuses(problem, direction) or self.device.refuses(problem)
        except (Exception, SystemExit):  # noqa: BLE001  (the code of a plugin may raise anything)
            return None

    def configs(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """The algorithm's configs for a problem that it does not refuse; empty if asking for them raises an error."""
        self._ask(problem, direction)
        try:
            return self.algorithm.configs_for(problem, direction)
        except (Exception, SystemExit):  # noqa: BLE001  (the code of a plugin may raise anything)
            return ()

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """All configs that the algorithm offers for a problem; empty if asking for them raises an error."""
        self._ask(problem, direction)
        try:
            return self.algorithm.space_for(problem, direction)
        except (Exception, SystemExit):  # noqa: BLE001  (the code of a plugin may raise anything)
            return ()

    def can_plan(self, problem: ConvProblem, direction: Direction, config: Any) -> bool:
        """Whether the device can have a plan with a config. A search also tries configs that some devices lack."""
        configs = self.configs(problem, direction)
        self._ask(problem, direction, config_text(config, configs[0]) if configs else "")
        try:
            self.algorithm.plan(problem, self.device, direction=direction, config=config)
        except (ConfigError, OutOfDeviceMemoryError, RefusedError):
            return False
        except (Exception, SystemExit):  # noqa: BLE001  (the error comes again when the case is run)
            return True
        return True

    def _ask(self, problem: ConvProblem, direction: Direction, config: str = "") -> None:
        """Announce a question, unless it is about the same as the one before: a draw has up to a hundred questions."""
        before, self._asked = self._asked, (problem, direction, config)
        if before is None or before[0] is not problem or before[1:] != (direction, config):
            name = self.algorithm.name
            self.announce(
                FuzzCase(
                    algorithm=name, direction=direction, problem=problem, kind="integers", seed=0, config=config
                )
            )  # fmt: skip

    def problem(self, shape: Shape, row: Row, large: Large | None = None) -> ConvProblem | None:
        """The problem of a shape, changed as little as possible to be accepted; None if no change helps.

        It is small, except for the axis that is to be large.
        """
        needs = self.needs(row)
        if needs is None:
            return None
        for changes in ((), needs, *((*needs, change) for change in CHANGES), *combinations(CHANGES, 2)):
            if large is None:
                problem = _made(shape, row, changes)
            else:
                problem = _made_large(shape, row, changes, large, self.algorithm.family)
            if self.refuses(problem, row.direction) is None:
                return problem
        return None

    def needs(self, row: Row) -> Changes | None:
        """The fewest changes after which the algorithm accepts the shape `AWKWARD` in a row; None if none suffice."""
        key = replace(row, config=0, mode=None, strided=None, bias=None, thin=None)
        if key not in self._needs:
            tried = (changes for count in range(MOST_CHANGES + 1) for changes in combinations(CHANGES, count))
            accepted = (c for c in tried if self.refuses(_made(AWKWARD, key, c), row.direction) is None)
            self._needs[key] = next(accepted, None)
        return self._needs[key]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows that the algorithm has problems for, with the first dtype, layouts and config first."""
        able = [direction for direction in self.directions if direction in self.algorithm.plans]
        found = []
        for direction, dtype, layout, filters in product(able, self.algorithm.dtypes, LAYOUTS, FILTER_LAYOUTS):
            row = Row(direction=direction, dtype=dtype, layout=layout, filter_layout=filters, config=0)
            problem = self.problem(AWKWARD, row)
            if problem is not None:
                count = len(self.configs(problem, direction))
                found += [replace(row, config=config) for config in range(max(1, count))]
        return tuple(found)

    @cached_property
    def tiles(self) -> tuple[int, ...]:
        """Sizes of tiles: the usual ones, and those of the algorithm's configs."""
        found = set(TILES)
        for row in plain_of(self.rows):
            problem = self.problem(AWKWARD, row)
            for config in () if problem is None else self.configs(problem, row.direction):
                names = [field.name for field in fields(config)] if is_dataclass(config) else []
                found |= {getattr(config, name) for name in names if re.match(r"tile|.*_tile$", name)}
        return tuple(sorted(tile for tile in found if isinstance(tile, int) and tile > 1))


def _made(shape: Shape, row: Row, changes: Changes) -> ConvProblem:
    """The problem of a shape in a row after some changes, made smaller if it is too large."""
    for smaller in SMALLER:
        problem = _changed(shape, row, changes)
        if is_small(problem):
            return problem
        shape = smaller(shape)
    return _changed(shape, row, changes)


def _made_large(shape: Shape, row: Row, changes: Changes, large: Large, family: Family) -> ConvProblem:
    """The same with one large axis, which is halved if nothing else can be made smaller."""
    shape = large.of(shape)
    for less in LESS:
        problem = _changed(shape, row, changes)
        if large.fits(problem, row.direction, family):
            return problem
        shape = large.stretched(less(shape))
    while large.size > 1 and not large.fits(_changed(shape, row, changes), row.direction, family):
        large = replace(large, size=large.size // 2)
        shape = large.stretched(shape)
    return _changed(shape, row, changes)


def _changed(shape: Shape, row: Row, changes: Changes) -> ConvProblem:
    shape = row.hold(shape)
    for change in changes:
        shape = change(shape)
    return shape.problem(row.dtype, row.layout, row.filter_layout)
