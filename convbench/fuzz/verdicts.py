"""Judge a case, and decide whether two failures are the same bug.

A failure's *cause* is the algorithm, the direction, the kind of fault, and the words of the fault without numbers. Two
bugs may have the same cause. A finding that was shrunk has few *traits* left (strided, dilated, with a bias, …). It
explains another failure of the same cause only if that case has all of these traits too. A failure that lacks one of
them must be another bug.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from convbench.algorithm import Algorithm
from convbench.crew import Loss
from convbench.devices import Device
from convbench.errors import (
    CompileError,
    ConfigError,
    ContractError,
    OutOfDeviceMemoryError,
    RefusedError,
    last_place,
    message_of,
    told,
)
from convbench.fuzz.cases import FuzzCase, config_of
from convbench.fuzz.shapes import is_small
from convbench.interrupts import is_interruption
from convbench.measurement import Case, SpotCase, Verification, diagnosis, verify_kinds
from convbench.problem import USUAL_FILTERS, Direction
from convbench.reference import Kind

Fault = Literal[
    "wrong values", "elements never written", "writes outside its arrays", "changes its input", "two runs differ",
    "keeps its first run", "depends on calls before it", "kernel fault", "does not compile", "cannot be launched",
    "out of memory", "crash", "the process ended", "does not end",
]  # fmt: skip

# how the reasons of `verify_kinds` begin; every other reason is a device's message about a kernel
_REASONS: tuple[tuple[Fault, str], ...] = (
    ("elements never written", r"on (?!large|nonfinite)[^:]*: (\w+)\[[\d,]*\] is nan"),
    ("wrong values", r"on [^:]*: (\w+)\[[\d,]*\] is "),
    ("two runs differ", r"two runs of one plan differ, first at (\w+)"),
    ("keeps its first run", r"a used plan differs from a new one on other data: .* first at (\w+)"),
    ("changes its input", r"changed its input (.*)"),
    ("writes outside its arrays", r"out of bounds: ()"),
)
_LOSSES: dict[Loss, Fault] = {
    "crashed": "the process ended", "timed_out": "does not end", "out_of_memory": "out of memory",
}  # fmt: skip
_NUMBER = re.compile(r"[-+]?\b\d[\w.]*(?:(?<=e)[-+]\d+)?|\bnan\b|-?\binf\b")
MOST_WHOLE_MACS = 500_000_000  # of a problem that a user asks to be compared as a whole
MOST_WORDS = 300  # characters of a fault's words that are kept: an exception's text may be a page long


class Cause(NamedTuple):
    """The properties that failures of one bug have in common."""

    algorithm: str
    direction: Direction
    fault: Fault
    words: str

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.direction}: {self.fault}{f' ({self.words})' if self.words else ''}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of running a case."""

    outcome: Literal["passed", "failed", "refused"]
    reason: str | None = None  # unless it passed
    cause: Cause | None = None  # if it failed
    fraction: float | None = None  # of the error bound, where one applies
    samples: int | None = None  # elements that were compared, unless all were
    bits: str | None = field(default=None, repr=False, compare=False)  # a digest of the outputs of all runs
    found: Verification | None = field(default=None, repr=False, compare=False)  # of wrong values

    @property
    def explanation(self) -> str:
        """Where wrong values are, and which known mistake gives them; "" for another failure. This takes a moment."""
        failure = self.found and self.found.failure
        return diagnosis.explain(failure) if failure else ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A failure, with the smallest case found so far."""

    case: FuzzCase
    cause: Cause
    reason: str
    shrunk: bool = False
    explanation: str = ""  # where wrong values are, and which known mistake gives them
    before: tuple[FuzzCase, ...] = ()  # calls without which it does not fail

    def explains(self, case: FuzzCase, cause: Cause) -> bool:
        """Whether a failure is taken as this bug: it has the same cause, and all traits of this finding's case."""
        return cause == self.cause and traits(self.case) <= traits(case)


def judge(case: FuzzCase, algorithm: Algorithm, device: Device, *, whole: bool = False) -> Verdict:
    """Run a case and judge it. An error of the algorithm becomes the verdict; it is never raised.

    Every element of the outputs is compared if the problem is small. Of other problems, elements that the case's seed
    chooses are compared, or with `whole` every element as long as the reference takes seconds and not minutes.
    """
    problem, direction = case.problem, case.direction
    try:
        if reason := algorithm.refuses(problem, direction) or device.refuses(problem):
            return Verdict(outcome="refused", reason=reason)
        config = config_of(algorithm, case)
        every = is_small(problem) or (whole and problem.macs <= MOST_WHOLE_MACS)
        data, kinds = (Case if every else SpotCase)(problem, case.seed, direction), (case.kind,)
        found = verify_kinds(algorithm, data, device, kinds, config=config)
    except RefusedError as error:
        return Verdict(outcome="refused", reason=message_of(error))
    except BaseException as error:
        if is_interruption(error):
            raise
        fault, reason = _of_exception(error)
        return Verdict(outcome="failed", reason=reason, cause=_cause(case, fault, without_numbers(reason)))
    if found.reason is None:
        return Verdict(outcome="passed", fraction=found.fraction, samples=found.samples, bits=found.bits)
    fault, words = _of_reason(found.reason)
    return Verdict(
        outcome="failed", reason=found.reason, cause=_cause(case, fault, words), fraction=found.fraction, found=found
    )


def lost(case: FuzzCase, loss: Loss, reason: str) -> Finding:
    """The finding for a case whose worker was lost while it ran."""
    cause = _cause(case, _LOSSES[loss], without_numbers(reason))
    return Finding(case=case, cause=cause, reason=reason)


def traits(case: FuzzCase) -> frozenset[str]:
    """The traits of a case: each property in which it is not the plainest. Height and width are not told apart."""
    problem = case.problem
    usual: Kind = "integers"
    present = {
        "batch": problem.n > 1, "strided": problem.stride != (1, 1), "dilated": problem.dilation != (1, 1),
        "padded": any(map(any, problem.padding)), "grouped": problem.groups > 1, "bias": problem.bias,
        problem.padding_mode: problem.padding_mode != "zeros", problem.dtype: problem.dtype != "float32",
        problem.layout: problem.layout != "NCHW",
        problem.filter_layout: problem.filter_layout != USUAL_FILTERS[problem.layout],
        "config": bool(case.config), case.kind: case.kind != usual,
    }  # fmt: skip
    return frozenset(name for name, holds in present.items() if holds)


def without_numbers(words: str) -> str:
    """The words of a fault with # for each number or row of numbers, so that they are the same wherever it occurs."""
    text = re.sub(r"#(?:, ?#)+|#,(?=\))", "#", _NUMBER.sub("#", words))
    return text[:MOST_WORDS]


def _cause(case: FuzzCase, fault: Fault, words: str) -> Cause:
    return Cause(case.algorithm, case.direction, fault, words)


def _of_reason(reason: str) -> tuple[Fault, str]:
    for fault, pattern in _REASONS:
        if found := re.match(pattern, reason):
            return fault, found[1]
    return "kernel fault", without_numbers(reason)


def _of_exception(error: BaseException) -> tuple[Fault, str]:
    message = message_of(error)
    if isinstance(error, CompileError):
        return "does not compile", message
    if isinstance(error, ConfigError):
        return "cannot be launched", message
    if isinstance(error, OutOfDeviceMemoryError | MemoryError):
        return "out of memory", message or "the host is out of memory"
    if isinstance(error, ContractError):
        return "crash", message
    return "crash", f"{told(error)} ({last_place(error)})"
