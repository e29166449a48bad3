"""Whether an algorithm computes a problem: the comparison, and the runs that are compared.

Two regimes. Exact: integers, on which an algorithm that claims so must match bit for bit. Bounded: random numbers,
within the algorithm's own error model. The device is guarded in both, and two runs of one plan must agree bit for bit.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import isfinite

import numpy as np
import numpy.typing as npt

from convbench.algorithm import Algorithm, Plan
from convbench.data import Tensors, Values, integer_tensors, random_tensors
from convbench.devices.device import Array, Device
from convbench.devices.guarded import GuardedDevice
from convbench.errors import KernelError
from convbench.problem import ConvProblem
from convbench.reference import Float64, convolve


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of comparing every element with its bound."""

    compared: int
    wrong: int
    fraction: float  # |actual − expected| / bound, of the worst element; 1 is the limit, an exact match 0
    worst_index: tuple[int, ...]
    worst_actual: float
    worst_expected: float

    @property
    def passed(self) -> bool:
        return self.wrong == 0

    def __str__(self) -> str:
        where = ",".join(map(str, self.worst_index))
        return (
            f"y[{where}] is {self.worst_actual!r}, expected {self.worst_expected!r}: {self.fraction:.3g} of the bound; "
            f"{self.wrong:,} of {self.compared:,} elements are wrong"
        )


def compare(*, actual: Values, expected: Float64, bound: npt.ArrayLike) -> Comparison:
    """Compare elementwise; an element passes if |actual − expected| ≤ bound, so that NaN never does.

    Raises
    ------
    ValueError
        when there is nothing to compare: an empty array, or two shapes.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"nothing to compare: actual has shape {actual.shape}, expected {expected.shape}")
    if actual.size == 0:
        raise ValueError(f"nothing to compare: shape {actual.shape} has no elements")
    difference = np.abs(actual.astype(np.float64) - expected)
    allowed = np.broadcast_to(np.asarray(bound, np.float64), expected.shape)
    right = difference <= allowed
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = np.where(difference == 0, 0.0, difference / allowed)
    fraction = np.where(np.isnan(fraction), np.inf, fraction)
    worst = np.unravel_index(int(np.argmax(fraction)), fraction.shape)
    return Comparison(
        compared=actual.size,
        wrong=int(np.count_nonzero(~right)),
        fraction=float(fraction[worst]),
        worst_index=tuple(map(int, worst)),
        worst_actual=float(actual[worst]),
        worst_expected=float(expected[worst]),
    )


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The verdict on one algorithm and problem; `reason` is None if it passed."""

    exact: bool  # whether the exact regime was run, and matched bit for bit
    fraction: float | None  # of the bound, in the bounded regime; None when it did not get that far
    reason: str | None
    digest: str | None = None  # of the output on random numbers

    @property
    def passed(self) -> bool:
        return self.reason is None


class Case:
    """One problem's data and references, computed when first needed and shared by all algorithms."""

    def __init__(self, problem: ConvProblem, seed: int) -> None:
        self.problem, self.seed = problem, seed
        self._integers: dict[int, tuple[Tensors, Float64]] = {}

    def integers(self, headroom: int) -> tuple[Tensors, Float64]:
        """Data on which a claim of exactness with that headroom can be tested, and the exact result."""
        if headroom not in self._integers:
            tensors = integer_tensors(self.problem, self.seed, headroom=headroom)
            self._integers[headroom] = self._with_reference(tensors)
        return self._integers[headroom]

    @cached_property
    def random(self) -> tuple[Tensors, Float64]:
        """Full-entropy data, and the result in float64."""
        return self._with_reference(random_tensors(self.problem, self.seed))

    def _with_reference(self, tensors: Tensors) -> tuple[Tensors, Float64]:
        return tensors, convolve(self.problem, tensors.x, tensors.w, tensors.bias)


def verify(algorithm: Algorithm, case: Case, device: Device, *, config: object = None) -> Verification:
    """Run an algorithm that does not refuse the case's problem, in every regime that applies, and judge it.

    A device that sees a kernel do what it must not raises KernelError: its words are the reason.
    """
    try:
        return _in_all_regimes(algorithm, case, device, config)
    except KernelError as error:
        return Verification(exact=False, fraction=None, reason=str(error))


def _in_all_regimes(algorithm: Algorithm, case: Case, device: Device, config: object) -> Verification:
    problem, headroom = case.problem, algorithm.error_model.exact_headroom
    exact = headroom is not None
    if headroom is not None:
        tensors, expected = case.integers(headroom)
        actual, fault = _run(algorithm, problem, tensors, device, config)
        if fault is None and not (verdict := compare(actual=actual, expected=expected, bound=0.0)).passed:
            fault = f"on integers, exactly: {verdict}"
        if fault is not None:
            return Verification(exact=False, fraction=None, reason=fault)
    tensors, expected = case.random
    actual, fault = _run(algorithm, problem, tensors, device, config)
    if fault is not None:
        return Verification(exact=exact, fraction=None, reason=fault)
    bound = algorithm.error_bound(problem, tensors.x, tensors.w, tensors.bias, expected=expected, config=config)
    verdict = compare(actual=actual, expected=expected, bound=bound)
    reason = None if verdict.passed else f"on random numbers: {verdict}"
    fraction = verdict.fraction if isfinite(verdict.fraction) else None  # a NaN is no number of bounds away
    return Verification(exact=exact, fraction=fraction, reason=reason, digest=digest_of(actual))


def digest_of(values: Values) -> str:
    """Equal for equal bits."""
    return sha256(values.tobytes()).hexdigest()


def _run(
    algorithm: Algorithm, problem: ConvProblem, tensors: Tensors, device: Device, config: object
) -> tuple[Values, str | None]:
    """The output of two equal runs of one plan, and what was wrong with the runs themselves."""
    guarded = GuardedDevice(device)
    plan = algorithm.plan(problem, guarded, config=config)
    inputs = {"x": tensors.x, "w": tensors.w} | ({} if tensors.bias is None else {"bias": tensors.bias})
    arrays = {name: guarded.upload(host) for name, host in inputs.items()}
    plan.load(arrays["w"], arrays.get("bias"))
    y = guarded.empty(problem.y_shape, problem.dtype)
    first, second = (_fresh_run(plan, guarded, arrays["x"], y) for _ in range(2))
    fault = None
    if breaches := guarded.breaches():
        fault = f"out of bounds: {'; '.join(breaches)}"
    elif changed := [name for name, host in inputs.items() if not _same_bits(guarded.download(arrays[name]), host)]:
        fault = f"changed its input {', '.join(changed)}"
    elif not _same_bits(first, second):
        index = tuple(map(int, np.argwhere(first.view(np.uint8) != second.view(np.uint8))[0]))[:-1]
        fault = f"two runs of one plan differ, first near y[{','.join(map(str, index))}, …]"
    return first, fault


def _fresh_run(plan: Plan, guarded: GuardedDevice, x: Array, y: Array) -> Values:
    for array in (*plan.scratch_arrays, y):
        guarded.poison(array)
    plan.run(x, y)
    guarded.synchronize()
    return guarded.download(y)


def _same_bits(a: Values, b: Values) -> bool:
    return a.tobytes() == b.tobytes()
