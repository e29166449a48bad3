"""Shrink a failing case to the smallest one that fails in the same way, with Hypothesis.

Every field of a case gets a list of values, from the plainest to its own: 1, 2, … up to its size; float32 and its
dtype; no padding up to its padding. A case is then an index into each list. Hypothesis starts from the last indices,
which it is given as bytes, one for each list, and looks for smaller ones that still fail.

The sizes are those of `shapes.Shape`, which are sizes of the output; the input follows from them.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import Flaky

from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.shapes import Shape
from convbench.problem import USUAL_FILTERS

PLACES = 256  # number of indices that a byte can hold


def shrink(
    case: FuzzCase, fails: Callable[[FuzzCase], bool], *, until: Callable[[], bool] = lambda: False
) -> tuple[FuzzCase | None, bool]:
    """The smallest failing case of those that Hypothesis tries.

    Parameters
    ----------
    fails : whether a case fails in the same way as the given one
    until : called before every trial; if it returns true, the search ends with the smallest case so far

    Returns
    -------
    The case, or None if not even the given one failed again; and whether the search was completed.
    """
    lists = _lists(case)
    failed: list[FuzzCase] = []

    @settings(
        database=InMemoryExampleDatabase(), phases=(Phase.reuse, Phase.shrink), derandomize=False, deadline=None,
        print_blob=False, report_multiple_bugs=False, verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.tuples(*[st.integers(0, PLACES - 1)] * len(lists)))
    def trial(places: tuple[int, ...]) -> None:
        if until():
            raise _Ended
        values = [values[min(place, len(values) - 1)] for values, place in zip(lists, places, strict=True)]
        tried = _case(case, *values)
        if fails(tried):
            failed.append(tried)
            raise _FailedError

    try:
        with suppress(_FailedError):
            cast("Any", trial).hypothesis.fuzz_one_input(bytes(len(values) - 1 for values in lists))
            return None, True
        trial()
    except _FailedError:
        return failed[-1], True
    except (_Ended, Flaky):
        pass
    return min(failed, key=_size, default=None), False  # a case failed only sometimes, or the time was over


class _FailedError(Exception):
    """The case of a trial failed. Hypothesis minimises cases that raise this."""


class _Ended(BaseException):
    """The search must end now. Hypothesis lets it through, as it does KeyboardInterrupt: it is no Exception."""


def _lists(case: FuzzCase) -> list[Sequence[Any]]:
    """The values to try for each field, in the order in which `_case` takes them."""
    problem, shape = case.problem, Shape.of(case.problem)
    words = (
        ("integers", "uniform", "normal", case.kind), ("", case.config), ("float32", problem.dtype),
        ("NCHW", problem.layout), (None, problem.filter_layout), ("zeros", problem.padding_mode),
        (False, problem.bias), (0, 1, 2, case.seed),
    )  # fmt: skip
    numbers = (
        *((1, size) for size in (shape.groups, *shape.stride, *shape.dilation)),
        *((0, size) for size in (*shape.sides[0], *shape.sides[1], *shape.unread)),
        *((1, size) for size in (shape.n, shape.c, shape.k, shape.p, shape.q, shape.r, shape.s)),
    )
    return [
        *(values[: values.index(values[-1]) + 1] for values in words),
        *(tuple(dict.fromkeys((*range(least, min(own, least + PLACES - 1)), own))) for least, own in numbers),
    ]


def _case(like: FuzzCase, *values: Any) -> FuzzCase:
    kind, config, dtype, layout, filter_layout, mode, bias, seed, *numbers = values
    groups, u, v, d_h, d_w, top, bottom, left, right, below, behind, n, c, k, p, q, r, s = numbers
    shape = replace(
        Shape.of(like.problem), groups=groups, stride=(u, v), dilation=(d_h, d_w), sides=((top, bottom), (left, right)),
        unread=(below, behind), n=n, c=c, k=k, p=p, q=q, r=r, s=s, mode=mode, bias=bias,
    )  # fmt: skip
    problem = shape.problem(dtype, layout, filter_layout or USUAL_FILTERS[layout])
    return replace(like, problem=problem, kind=kind, config=config, seed=seed)


def _size(case: FuzzCase) -> tuple[int, int, str]:
    return case.problem.macs, len(str(case)), str(case)
