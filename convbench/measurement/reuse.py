"""Runs that must not affect each other: one plan on two sets of data, beside another plan, after another problem.

A plan may prepare what depends on its weights and on the shape of its arrays. Anything else that it keeps from one run
to the next is a mistake: a padded copy of the first input, the address of an array, a result. Such a plan is right as
long as its input stays the same, so every check here changes something between two runs of one plan.

    1. a plan runs on the first data                                     → first
    2. a second plan of the same problem runs on the second data         → second
    3. a plan of a small neighbouring problem runs
    4. the first plan runs again on the first data, must repeat `first` bit for bit
    5. the first plan loads the second weights, and runs on the second data in other arrays; must repeat `second`

The caller compares `first` and `second` with the reference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.algorithm import Algorithm
from convbench.devices import Device, GuardedDevice
from convbench.errors import ConfigError, ConvbenchError, OutOfDeviceMemoryError, ProblemError, RefusedError
from convbench.measurement.execution import Execution
from convbench.problem import ConvProblem, Direction, operands

Tensors = Mapping[Any, operands.Values]
Results = dict[str, operands.Values]

SLIGHT = 2.0**-10  # of the largest output: sums in another order differ by less, in any dtype but half precision
SMALL_MACS = 1_000_000  # a problem of no more multiply-adds has a neighbour of nearly its own size


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The outputs on both sets of data, and what was wrong with the runs themselves."""

    first: Results
    second: Results
    fault: str | None = None


def run_both(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device, config: object,
    data: tuple[Tensors, Tensors],
) -> Runs:  # fmt: skip
    """Make the runs above, on guarded arrays.

    Where the device has no room for a second plan beside the first one, the first plan makes all runs: step 2 is left
    out, and step 5 gives `second`. Where it has no room for other arrays, step 5 overwrites those of step 1.

    Raises what `Algorithm.plan` raises, and what the device raises for a kernel.
    """
    guarded = GuardedDevice(device)
    mine = Execution(algorithm, problem, direction, guarded, data[0], config)
    mine.load()
    first = _fresh_run(mine, guarded)
    second = _by_another_plan(algorithm, problem, direction, guarded, config, data[1])
    if fault := _run_neighbour(algorithm, problem, direction, guarded):
        return Runs(first=first, second=first, fault=fault)
    repeated = _fresh_run(mine, guarded)
    changed = _changed(mine, data[0])
    try:
        mine.give(data[1])
    except OutOfDeviceMemoryError:
        mine.overwrite(data[1])
    mine.load()
    on_second = _fresh_run(mine, guarded)
    changed = changed or _changed(mine, data[1])
    fault = None
    if breaches := guarded.breaches():
        fault = f"out of bounds: {'; '.join(breaches)}"
    elif changed:
        fault = f"changed its input {', '.join(changed)}"
    elif place := _difference(first, repeated):
        fault = f"two runs of one plan differ, first at {place}"
    elif second is not None and (place := _difference(second, on_second)):
        fault = (
            f"a used plan differs from a new one on other data: it keeps something of its first run; first at {place}"
        )
    return Runs(first=first, second=on_second if second is None else second, fault=fault)


def _by_another_plan(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, guarded: GuardedDevice, config: object,
    tensors: Tensors,
) -> Results | None:  # fmt: skip
    """The outputs of a new plan; None where there is no room for it."""
    try:
        other = Execution(algorithm, problem, direction, guarded, tensors, config)
        other.load()
    except OutOfDeviceMemoryError:
        return None
    return _fresh_run(other, guarded)


def _run_neighbour(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, guarded: GuardedDevice
) -> str | None:
    """Run a plan of another problem; its result is not looked at. A fault of it, or None."""
    for other in neighbours(problem):
        if algorithm.refuses(other, direction) is not None:
            continue
        ones: Tensors = {
            name: np.ones(operands.shape(other, name), np.float64).astype(other.dtype)
            for name in operands.inputs(other, direction)
        }
        try:
            execution = Execution(algorithm, other, direction, guarded, ones)
            execution.load()
            execution.run()
            guarded.synchronize()
        except (ConfigError, OutOfDeviceMemoryError, RefusedError):
            continue
        except ConvbenchError as error:
            return f"on the way, in a run of {other}: {error}"
        return None
    return None


def neighbours(problem: ConvProblem) -> Iterator[ConvProblem]:
    """Small problems of the same kind and of another size, the best first."""
    if problem.macs <= SMALL_MACS:
        yield replace(problem, n=problem.n + 1)
    spans = (dilation * (taps - 1) + 1 for dilation, taps in zip(problem.dilation, (problem.r, problem.s), strict=True))
    h, w = (
        max(span + stride, sum(sides) + 1)
        for span, stride, sides in zip(spans, problem.stride, problem.padding, strict=True)
    )
    for channels in (4, problem.c // problem.groups):  # of a group
        c, k = channels * problem.groups, max(1, problem.k // problem.c) * channels * problem.groups
        try:
            other = replace(problem, n=2 if problem.n == 1 else 1, h=h, w=w, c=c, k=k)
        except ProblemError:
            continue
        if other != problem:
            yield other


def _fresh_run(execution: Execution, guarded: GuardedDevice) -> Results:
    """One run with NaN in all outputs and in all workspace that a run may not rely on."""
    for array in (*execution.plan.scratch_arrays, *execution.outputs.values()):
        guarded.poison(array)
    execution.run()
    return execution.results()


def _changed(execution: Execution, given: Tensors) -> list[str]:
    """The inputs that are no longer what was uploaded."""
    return [
        name for name, array in execution.inputs.items()
        if execution.read_back(name, array).tobytes() != np.ascontiguousarray(given[name]).tobytes()
    ]  # fmt: skip


def _difference(one: Results, other: Results) -> str | None:
    """The first element that differs in any bit, and what the difference looks like; None where all bits are equal."""
    for name in one:
        if one[name].tobytes() != other[name].tobytes():
            place = np.argwhere(_bits(one[name]) != _bits(other[name]))[0][:-1]
            return f"{name}[{','.join(map(str, place))}]{_likeness(one[name], other[name])}"
    return None


def _likeness(one: operands.Values, other: operands.Values) -> str:
    """What two outputs that should be equal tell of the mistake, if anything."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    if np.isnan(second).all():
        return ": the second run wrote nothing"
    with np.errstate(invalid="ignore"):
        largest, apart = float(np.abs(first).max()), float(np.abs(first - second).max())
    if apart <= SLIGHT * largest:
        return f": by {apart:.2g} at most, so the order of a sum changes from run to run"
    return ""


def _bits(values: operands.Values) -> npt.NDArray[np.uint8]:
    """The bytes of each element, along a new last axis."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(*values.shape, values.itemsize)
