"""Cases run in an order: a case that passes once must pass again with the same bits, whatever ran in between.

Modules, classes and the environment outlive a call. If a call leaves something there that a later call takes, a case
depends on the calls before it. `judge_in_order` runs cases in one process and compares those that occur twice. `Fresh`
does so in a new process, which tells a wrong result of the case itself from one that only the calls before it cause.
"""

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.verdicts import Cause, Verdict, judge

FRESH_S = 120  # longest time of one call of `Fresh`
MOST_CALLS = 200  # calls before a failure that are kept and tried
REPEATS = 40  # of the failing case alone: for what counts its calls
MOST_TRIALS = 24  # of shorter orders


def depends(case: FuzzCase, verdict: Verdict, calls: int) -> Verdict:
    """The verdict on a case that passed before and does not give the same now, after so many other calls."""
    now = "its output has other bits" if verdict.outcome == "passed" else verdict.reason
    cause = Cause(case.algorithm, case.direction, "depends on calls before it", "the same case gives another result")
    reason = f"it passed, and after {calls} more call{'s' * (calls != 1)} in this process {now}"
    return Verdict(outcome="failed", reason=reason, cause=cause)


def is_same(first: Verdict, now: Verdict) -> bool:
    """Whether a repeated case passed again with the same bits. A case that the device refused tells nothing."""
    return now.outcome == "refused" or (now.outcome == "passed" and first.bits == now.bits)


def judge_in_order(
    cases: Sequence[FuzzCase], algorithm_of: Callable[[str], Algorithm], device: Device, *, whole: bool = False
) -> Iterator[Verdict]:
    """Run cases one after the other, and judge each as `judge` does. A case must give the same bits each time."""
    passed: dict[FuzzCase, tuple[int, Verdict]] = {}
    for number, case in enumerate(cases):
        verdict = judge(case, algorithm_of(case.algorithm), device, whole=whole)
        if case in passed and not is_same(passed[case][1], verdict):
            verdict = depends(case, verdict, number - passed[case][0])
        elif verdict.outcome == "passed":
            passed.setdefault(case, (number, verdict))
        yield verdict


class Fresh:
    """Runs cases in a process in which none ran before.

    The process is a copy of this one, made now: before any case has run, and before there is a device. Each call copies
    that one again. Systems without `fork` have no such copies; there `verdict` is always None.

    Parameters
    ----------
    device : makes the device in the copy
    close : connections that the copies must not keep open
    """

    def __init__(
        self, algorithm_of: Callable[[str], Algorithm], device: Callable[[], Device], close: Sequence[Connection] = ()
    ) -> None:
        self._ours: Connection | None = None
        if not hasattr(os, "fork"):
            return
        ours, theirs = Pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # threads of NumPy's library, which take care of a fork themselves
            self._process = os.fork()
        if self._process == 0:
            for connection in (ours, *close):
                connection.close()
            with suppress(BaseException):
                _serve(theirs, algorithm_of, device)
            os._exit(0)
        theirs.close()
        self._ours = ours

    def verdict(self, cases: Sequence[FuzzCase]) -> Verdict | None:
        """The verdict on the last of the cases; None if the process ended without one."""
        if self._ours is None:
            return None
        try:
            self._ours.send(list(cases))
            found: Verdict | None = self._ours.recv()
        except (EOFError, OSError):
            self._ours = None
            return None
        return found

    def close(self) -> None:
        """End the process."""
        if self._ours is not None:
            self._ours.close()
            self._ours = None
            with suppress(OSError):
                os.waitpid(self._process, 0)


def _serve(connection: Connection, algorithm_of: Callable[[str], Algorithm], device: Callable[[], Device]) -> None:
    while True:
        cases: list[FuzzCase] = connection.recv()  # ends with EOFError when the other process ends
        child = os.fork()
        if child == 0:
            status = 1
            with suppress(BaseException):
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(FRESH_S)
                *_, last = judge_in_order(cases, algorithm_of, device())
                connection.send(replace(last, found=None))
                status = 0
            os._exit(status)
        if os.waitpid(child, 0)[1] != 0:
            connection.send(None)


def calls_needed(
    case: FuzzCase, history: Sequence[FuzzCase], fails: Callable[[Sequence[FuzzCase]], bool],
    until: Callable[[], bool] = lambda: False,
) -> tuple[FuzzCase, ...] | None:  # fmt: skip
    """The fewest calls that are found after which a case fails, in their order; None if none are found.

    Parameters
    ----------
    history : the calls that came before it
    fails : whether the last of some cases, run in their order in a new process, fails
    until : called before every trial; if it returns true, the search ends
    """
    trials = iter(range(MOST_TRIALS))

    def tried(before: Sequence[FuzzCase]) -> bool:
        return next(trials, None) is not None and not until() and fails([*before, case])

    recent = list(history[-MOST_CALLS:])
    starts: list[Any] = [recent[-1 << power :] for power in range(0, len(recent).bit_length(), 2)]
    before = next((tuple(calls) for calls in (*starts, recent, [case] * REPEATS) if calls and tried(calls)), None)
    if before is None:
        return None
    size = max(1, len(before) // 2)
    while len(before) > 1:
        parts = [before[:at] + before[at + size :] for at in range(0, len(before), size)]
        shorter = next((part for part in parts if part and tried(part)), None)
        if shorter is not None:
            before = shorter
        elif size == 1:
            break
        size = max(1, min(size // (1 if shorter is not None else 2), len(before) // 2))
    return before
