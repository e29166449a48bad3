"""Verification: run an algorithm, and compare its outputs with a float64 reference.

There are two regimes:

    exact      The inputs are integers. An algorithm that claims to be exact on them must match bit for bit.
    bounded    The inputs are other numbers. Each element must be within the bound of the algorithm's error model.

In both regimes the arrays are guarded against writes out of bounds, and two runs of one plan must agree bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import inf, isfinite

import numpy as np
import numpy.typing as npt

from convbench.algorithm import Algorithm, contract
from convbench.devices import Device
from convbench.errors import KernelError
from convbench.measurement.case import Case
from convbench.measurement.diagnosis import Failure, explain
from convbench.measurement.reuse import run_both
from convbench.measurement.true_error import TrueError, true_error
from convbench.problem import operands
from convbench.reference import ACCUMULATOR, Float64, Kind, data, error_model

LARGEST = float(np.finfo(np.float64).max)  # caps the bound: an infinite difference is wrong whatever the bound is


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of comparing every element of a tensor with its bound."""

    name: str  # of the tensor
    compared: int  # number of elements
    wrong: int  # number of elements that are beyond their bound
    fraction: float  # part of the bound that the worst element uses: 0 for an exact match, 1 at the limit
    worst_index: tuple[int, ...]
    worst_actual: float
    worst_expected: float
    places: npt.NDArray[np.bool_] = field(repr=False, compare=False)  # where it is wrong
    seed: int | None = None  # of the samples, if only samples were compared

    @property
    def passed(self) -> bool:
        return self.wrong == 0

    def __str__(self) -> str:
        where = ",".join(map(str, self.worst_index))
        what = "elements" if self.seed is None else f"samples, chosen by seed {self.seed},"
        return (
            f"{self.name}[{where}] is {self.worst_actual!r}, expected {self.worst_expected!r}: "
            f"{self.fraction:.3g} of the bound; {self.wrong:,} of {self.compared:,} {what} are wrong"
        )


def compare(
    *,
    actual: operands.Values,
    expected: Float64,
    bound: npt.ArrayLike,
    rounding: npt.ArrayLike = 0.0,
    free: npt.ArrayLike = False,
    name: str = "y",
) -> Comparison:
    """Compare elementwise: an element passes if |actual − expected| ≤ bound. NaN never passes for a number.

    Where NaN or an infinity is expected, only the same value passes. Where `free` is true, an actual NaN or infinity
    passes whatever is expected.

    A result may be stored in fewer bits than it was computed in. The part of the bound that allows for this `rounding`
    is the same for every algorithm, so that the reported fraction is that of the rest of the bound.

    Raises
    ------
    ValueError
        the array is empty, or the two shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"nothing to compare: actual has shape {actual.shape}, expected {expected.shape}")
    if actual.size == 0:
        raise ValueError(f"nothing to compare: shape {actual.shape} has no elements")
    actual64 = actual.astype(np.float64)
    same = (actual64 == expected) | (np.isnan(actual64) & np.isnan(expected))
    excused = np.asarray(free, bool) & ~np.isfinite(actual64)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(same | excused, 0.0, np.abs(actual64 - expected))
        allowed = np.broadcast_to(np.asarray(bound, np.float64), expected.shape)
        right = difference <= np.minimum(allowed, LARGEST)
        common = np.asarray(rounding, np.float64)
        beyond = np.maximum(difference - common, 0)
        fraction = np.where(beyond == 0, 0.0, beyond / (allowed - common))
    fraction = np.where(np.isnan(fraction), inf, fraction)
    worst = np.unravel_index(int(np.argmax(fraction)), fraction.shape)
    return Comparison(
        name=name,
        compared=actual.size,
        wrong=int(np.count_nonzero(~right)),
        fraction=float(fraction[worst]),
        worst_index=tuple(map(int, worst)),
        worst_actual=float(actual[worst]),
        worst_expected=float(expected[worst]),
        places=~right,
    )


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The verdict on one algorithm and problem; `reason` is None if it passed."""

    exact: bool  # whether the exact regime was run, and matched bit for bit
    fraction: float | None  # part of the bound that was used, in the bounded regime; None if it was not reached
    reason: str | None
    digest: str | None = None  # SHA-256 of the outputs on uniform numbers
    error: TrueError | None = None  # of y, dx or dw on uniform numbers; None if the algorithm did not get so far
    failure: Failure | None = field(default=None, repr=False, compare=False)  # of a wrong result, for `explain`
    bits: str | None = None  # SHA-256 of the outputs on all data
    samples: int | None = None  # elements of the main output that were compared, unless all were

    @property
    def passed(self) -> bool:
        return self.reason is None

    @property
    def explained(self) -> str | None:
        """The reason; for wrong values also where they are, and which known mistake gives them."""
        if self.failure is None:
            return self.reason
        return f"{self.reason}; {explain(self.failure)}"


def verify(algorithm: Algorithm, case: Case, device: Device, *, config: object = None) -> Verification:
    """Run an algorithm in every regime that applies, and judge it. It must not refuse the case's problem.

    A device that sees a kernel do something forbidden raises KernelError; its message becomes the reason.
    """
    wanted: tuple[Kind, ...] = ("integers", "uniform") if algorithm.error_model.exact_headroom else ("uniform",)
    kinds = [kind for kind in wanted if kind in case.kinds]
    return verify_kinds(algorithm, case, device, kinds, config=config)


def verify_kinds(
    algorithm: Algorithm, case: Case, device: Device, kinds: Sequence[Kind], *, config: object = None
) -> Verification:
    """Run and judge an algorithm on the given kinds of data; the first wrong result ends it.

    Data are taken in pairs, because a plan must also be right on data that are not its first (`reuse`). The last of an
    odd number of kinds is paired with other data of its own kind.
    """
    exact, fraction, digest, bits = False, None, None, sha256()
    true: TrueError | None = None
    for first in range(0, len(kinds), 2):
        pair = [(kind, False) for kind in kinds[first : first + 2]]
        pair += [(kinds[first], True)] * (2 - len(pair))
        headroom = algorithm.error_model.exact_headroom or 1
        earlier, later = (case.of(kind, headroom, again=again)[0] for kind, again in pair)
        try:
            # the later data first, because they are repeated: sums of integers are the same in any order
            runs = run_both(algorithm, case.problem, case.direction, device, config, (later, earlier))
        except KernelError as error:
            return Verification(exact=exact, fraction=fraction, reason=str(error))
        if runs.fault is not None:
            return Verification(exact=exact, fraction=fraction, reason=runs.fault)
        bits.update(f"{digest_of(runs.first)} {digest_of(runs.second)}".encode())
        results_of = dict(zip(pair, (runs.second, runs.first), strict=True))
        if ("uniform", False) in results_of:  # measured first, so that a wrong result has its error, too
            true = _error(case, results_of["uniform", False])
        for (kind, again), results in results_of.items():
            on_integers = kind == "integers" and algorithm.error_model.exact_headroom is not None
            verdict = _judged(algorithm, case, kind, results, config, exactly=on_integers, again=again)
            if not on_integers and isfinite(verdict.fraction):  # infinite where NaN was computed
                fraction = max(fraction or 0.0, verdict.fraction)
            judged = case
            if not verdict.passed and (whole := case.whole) is not None:
                entire = _judged(algorithm, whole, kind, results, config, exactly=on_integers, again=again)
                judged, verdict = (case, verdict) if entire.passed else (whole, entire)
            if not verdict.passed:
                words = {"integers": "integers, exactly" if on_integers else "integers", "uniform": "random numbers"}
                told = f"on {words.get(kind, f'{kind} numbers')}{' of a second run' if again else ''}: {verdict}"
                is_whole = judged.places is None
                failure = _failure(judged, kind, verdict, results, headroom, again=again) if is_whole else None
                return Verification(exact=exact, fraction=fraction, reason=told, error=true, failure=failure)
            exact |= on_integers
            if kind == "uniform" and not again:
                digest = digest_of(results)
    compared = None if case.places is None else len(next(iter(case.places.values()))[0])
    return Verification(
        exact=exact, fraction=fraction, reason=None, digest=digest, error=true, bits=bits.hexdigest(), samples=compared
    )


def _error(case: Case, results: Mapping[str, operands.Values]) -> TrueError:
    """The true error of the main output on uniform numbers."""
    expected = case.of("uniform")[1]
    main = next(iter(expected))
    return true_error(actual=case.part(dict(results))[main], expected=expected[main], dtype=case.problem.dtype)


def _failure(
    case: Case, kind: Kind, verdict: Comparison, results: Mapping[str, operands.Values], headroom: int, *, again: bool
) -> Failure:
    """What `diagnosis.explain` needs to know of a wrong result."""
    given, expected = case.of(kind, headroom, again=again)
    return Failure(
        problem=case.judged, direction=case.direction, given=case.part(given), name=verdict.name,
        actual=case.part(dict(results))[verdict.name], expected=expected[verdict.name], wrong=verdict.places,
    )  # fmt: skip


def _judged(
    algorithm: Algorithm,
    case: Case,
    kind: Kind,
    results: Mapping[str, operands.Values],
    config: object,
    *,
    exactly: bool,
    again: bool = False,
) -> Comparison:
    """The comparison of the output that is worst: one with wrong elements first, then the largest fraction."""
    problem, direction = case.judged, case.direction
    config = algorithm.resolved(case.problem, direction, config)
    given, expected = case.of(kind, algorithm.error_model.exact_headroom or 1, again=again)
    given, results = case.part(given), case.part(dict(results))
    bounds: Mapping[str, npt.ArrayLike] = dict.fromkeys(expected, 0.0)
    free: Mapping[str, npt.ArrayLike] = dict.fromkeys(expected, False)
    if not exactly:
        finite = given
        if kind == "nonfinite":
            finite = {name: np.where(np.isfinite(value), value, 0) for name, value in given.items()}
            free = _reached(algorithm, case, given, expected, config)
        # the config belongs to the whole problem, and need not be a config of a part of it
        bounds = contract.bounds(
            algorithm, problem, direction, finite,
            expected={name: np.where(np.isfinite(value), value, 0.0) for name, value in expected.items()},
            config=config, independent=kind in data.INDEPENDENT, places=case.places,
        )  # fmt: skip
    narrow = not exactly and ACCUMULATOR[problem.dtype] != problem.dtype
    verdicts = [
        compare(
            actual=results[name], expected=expected[name], bound=bounds[name], free=free[name], name=name,
            rounding=error_model.storage_rounding(problem.dtype, expected[name], bounds[name]) if narrow else 0.0,
        )
        for name in expected
    ]  # fmt: skip
    worst = max(verdicts, key=lambda verdict: (verdict.wrong > 0, verdict.fraction))
    if case.places is None:
        return worst
    (number,) = worst.worst_index
    place = tuple(int(axis[number]) for axis in case.places[worst.name])
    return replace(worst, worst_index=place, seed=case.seed)


def _reached(
    algorithm: Algorithm, case: Case, given: data.Tensors, expected: Mapping[str, Float64], config: object
) -> Mapping[str, npt.ArrayLike]:
    """For each output, the elements to which the method may have spread a NaN or an infinity of the inputs."""
    if algorithm.error_model.carries_nonfinite:
        return dict.fromkeys(expected, False)
    marks = {name: np.ones(value.shape) for name, value in given.items() if name != "bias"}
    map_name = data.MAP[case.direction]
    marks[map_name] = (~np.isfinite(given[map_name])).astype(np.float64)
    resolved = algorithm.resolved(case.problem, case.direction, config)
    main = next(iter(expected))
    places = None if case.places is None else case.places[main]
    reach = contract.reach(algorithm, case.problem, case.direction, marks, resolved, places) > 0
    return {name: reach if name == main else False for name in expected}


def digest_of(results: Mapping[str, operands.Values]) -> str:
    """A digest of the outputs' bytes: it is equal if all bits are equal."""
    return sha256(b"".join(value.tobytes() for value in results.values())).hexdigest()
