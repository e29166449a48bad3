"""What a wrong result looks like: where it is wrong, and which known mistake gives it.

A person who looks for the bug wants to know whether a border, the last tile or every second column is wrong, and
whether the numbers are those of a flipped filter. `explain` says both in one line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.measurement.mistakes import Setting, mistakes, reads, setting
from convbench.problem import ConvProblem, Direction
from convbench.reference import Float64

# a mistake is looked for only where computing it is cheap: multiply-adds of one of them, about 0.1 s in NumPy
MOST_MACS = 20_000_000
MOST_ROUNDED_STEPS = 4096  # terms of a sum that is repeated with every addition rounded
ROUNDED = 2.0**-20  # what sums in float32 of a few terms differ from the exact ones, relative
CLOSE = 1e-3  # of the error: a mistake that leaves no more than that of it unexplained is the mistake

AXES: dict[str, tuple[str, ...]] = {
    "y": ("image", "output channel", "row", "column"), "dx": ("image", "input channel", "row", "column"),
    "dw": ("filter", "channel of the filter", "tap row", "tap column"), "dbias": ("output channel",),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A wrong output, with what it was computed from."""

    problem: ConvProblem
    direction: Direction
    given: Mapping[str, Any]  # the inputs by name
    name: str  # of the output
    actual: npt.NDArray[Any]
    expected: Float64
    wrong: npt.NDArray[np.bool_]


def explain(failure: Failure) -> str:
    """One line: where the result is wrong, and the known mistake that gives it, if there is one."""
    found = [place(failure)]
    if mistake := mistake_of(failure):
        found.append(f"this is the result of a known mistake: {mistake}")
    return "; ".join(found)


# ---- where


def place(failure: Failure) -> str:
    """Which elements are wrong, in words."""
    wrong, actual = failure.wrong, np.asarray(failure.actual, np.float64)
    unwritten = wrong & np.isnan(actual) & ~np.isnan(failure.expected)
    words = f"NaN, as if never written: {_extent(failure, unwritten)}" if unwritten.any() else ""
    if unwritten.any() and (unwritten == wrong).all():
        return words
    rest = f"wrong: {_extent(failure, wrong & ~unwritten)}"
    return f"{words}; {rest}" if words else rest


def _extent(failure: Failure, marked: npt.NDArray[np.bool_]) -> str:
    if marked.all():
        return "every element"
    flat = np.flatnonzero(marked)
    axes = AXES[failure.name]
    touched = [np.flatnonzero(marked.any(tuple(other for other in range(marked.ndim) if other != axis)))
               for axis in range(marked.ndim)]  # fmt: skip
    told = [
        words
        for axis, indices in enumerate(touched)
        if (words := _indices(axes[axis], indices, marked.shape[axis])) is not None
    ]
    inside = int(np.prod([len(indices) for indices in touched]))
    is_suffix = len(flat) > 1 and flat[0] + len(flat) == marked.size
    if is_suffix and not (len(told) == 1 and len(flat) == inside):
        return f"the last {len(flat):,} of {marked.size:,} elements in memory, as if the last tile were missing"
    border = _border(marked)
    if border is not None:
        told.append(border)
    if not told:
        return f"{len(flat):,} of {marked.size:,} elements, in no regular pattern along any axis"
    some = "" if border is not None or len(flat) == inside else f"some of the elements ({len(flat):,}) in "
    return some + ", ".join(told)


def _indices(axis: str, indices: npt.NDArray[np.intp], size: int) -> str | None:
    """The indices of an axis that have wrong elements, in words; None for all of them."""
    count = len(indices)
    if count == size:
        return None
    if count == 1:
        at = int(indices[0])
        word = " (the last)" if at == size - 1 else " (the first)" if at == 0 else ""
        return f"{axis} {at}{word} alone"
    steps = set(np.diff(indices).tolist())
    if steps == {1}:
        first, last = int(indices[0]), int(indices[-1])
        word = f", the last {count}" if last == size - 1 else f", the first {count}" if first == 0 else ""
        return f"{axis}s {first} to {last} of {size}{word}"
    if len(steps) == 1 and count >= 3:
        (step,) = steps
        ordinal = {2: "second", 3: "third"}.get(step, f"{step}th")
        return f"every {ordinal} {axis}, from {int(indices[0])}"
    if len(indices) == 2 and tuple(indices) == (0, size - 1):
        return f"the first and the last {axis}"
    return f"{axis}s {', '.join(map(str, indices[:6].tolist()))}{' …' if count > 6 else ''} of {size}"


def _border(marked: npt.NDArray[np.bool_]) -> str | None:
    """The widths of the frame that is wrong, if what is wrong is a frame around the last two axes."""
    if marked.ndim != 4 or min(marked.shape[2:]) < 3:
        return None
    seen = np.asarray(marked.any((0, 1)))
    inner = np.argwhere(~seen)
    if len(inner) == 0:
        return None
    (top, left), (bottom, right) = inner.min(0).tolist(), inner.max(0).tolist()
    if seen[top : bottom + 1, left : right + 1].any():
        return None
    widths = {"top": top, "bottom": seen.shape[0] - 1 - bottom, "left": left, "right": seen.shape[1] - 1 - right}
    sides = [
        f"{width} {'row' if side in ('top', 'bottom') else 'column'}{'s' if width > 1 else ''} at the {side}"
        for side, width in widths.items()
        if width
    ]
    return f"the border alone: {' and '.join(sides)}" if len(sides) > 1 else None


# ---- why


def mistake_of(failure: Failure) -> str | None:
    """The known mistake whose result this is; None where there is none, or where looking would take too long."""
    if failure.problem.macs > MOST_MACS:
        return None
    actual = np.asarray(failure.actual, np.float64)
    if np.isfinite(actual).all() and np.isfinite(failure.expected).all():
        for told, compute in mistakes(failure.problem, failure.direction, failure.given, failure.name):
            if _explains(failure, compute()):
                return told
    return next(_of_rounding(failure, actual), None)


def _explains(failure: Failure, result: npt.NDArray[Any]) -> bool:
    """Whether the result of a mistake is the actual one: exactly, or up to a small part of the error."""
    if result.shape != failure.actual.shape:
        return False
    actual, stored = (
        np.asarray(values, np.float64) for values in (failure.actual, result.astype(failure.actual.dtype))
    )
    if np.array_equal(actual, stored, equal_nan=True):
        return True
    with np.errstate(invalid="ignore"):
        return bool(np.abs(actual - stored).max() <= CLOSE * np.abs(actual - failure.expected).max())


def _of_rounding(failure: Failure, actual: Float64) -> Iterator[str]:
    """Mistakes of precision: the values are nearly right."""
    dtype = failure.actual.dtype
    is_narrow = dtype.name in ("bfloat16", "float16")
    if is_narrow and (np.abs(actual) <= np.abs(failure.expected) * (1 + ROUNDED)).all():
        yield f"stored by truncation: every value is cut off towards zero instead of rounded to {dtype.name}"
    if failure.direction == "backward_weights" or failure.name == "dbias":
        return
    at = setting(failure.problem, failure.direction, failure.given)
    if at.filters[0].size > MOST_ROUNDED_STEPS:
        return
    for name in ("float16", "bfloat16"):
        if _explains(failure, _summed_in(np.dtype(name), at)):
            yield f"sums accumulated in {name}"


def _summed_in(dtype: npt.DTypeLike, at: Setting) -> npt.NDArray[Any]:
    """The sum in the order c, r, s of the definition, each partial sum rounded to a dtype, products in float32."""
    n, sources = at.source.shape[:2]
    per_group = at.filters.shape[0] // at.groups
    filters = at.filters.astype(np.float32).reshape(at.groups, per_group, *at.filters.shape[1:])
    total = np.broadcast_to(
        at.addend.astype(dtype).reshape(1, at.groups, per_group, 1, 1), (n, at.groups, per_group, *at.outputs)
    ).copy()
    taps = product(range(at.filters.shape[2]), range(at.filters.shape[3]))
    read_by = {
        (r, s): reads(at, r, s, at.outputs).astype(np.float32).reshape(n, at.groups, -1, *at.outputs) for r, s in taps
    }
    with np.errstate(over="ignore", invalid="ignore"):
        for c in range(sources // at.groups):
            for (r, s), read in read_by.items():
                term = read[:, :, None, c] * filters[None, :, :, c, r, s, None, None]
                total = (total.astype(np.float32) + term).astype(dtype)
    return total.reshape(n, -1, *at.outputs)
