"""Run given cases in their order in one worker process, so that no case ends, hangs or fills the process of the caller.

If a case takes the worker down, that is its verdict, and the cases after it are not run: they are about what one
process has done before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from convbench import devices
from convbench.algorithm import registry
from convbench.crew import Crew, Desk, Ended, Posted
from convbench.fuzz.again import judge_in_order
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.verdicts import Verdict, lost
from convbench.fuzz.worker import COMPILE_S
from convbench.measurement import time_limit_s


def replayed(
    cases: Sequence[FuzzCase], device: str, prepare: Callable[[], None], *, memory: int | None = None
) -> Iterator[tuple[FuzzCase, Verdict, str]]:
    """Yield each case with its verdict and with what was printed.

    Parameters
    ----------
    device : its name
    prepare : called first in the worker; it registers the algorithms of plugins
    memory : bytes that the worker may have in use
    """
    fails_allocations = not device.startswith("cuda")
    with Crew[tuple[FuzzCase, ...]](
        _Start(device, prepare), memory=memory, fails_allocations=fails_allocations
    ) as crew:
        crew.add(tuple(cases))
        number = 0
        for event in crew.events():
            match event:
                case Posted(content=verdict, output=output):
                    yield cases[number], verdict, output
                    number += 1
                case Ended(fate="done") | None:
                    pass
                case Ended() as ended if number < len(cases):  # else all is known
                    finding = lost(cases[number], ended.loss, str(ended.reason))
                    verdict = Verdict(outcome="failed", reason=finding.reason, cause=finding.cause)
                    yield finding.case, verdict, ended.output


@dataclass(frozen=True)
class _Start:
    """Makes what runs cases in a worker."""

    device: str
    prepare: Callable[[], None]

    def __call__(self, desk: Desk) -> Callable[[Sequence[FuzzCase]], None]:
        self.prepare()
        device = devices.select(self.device)

        def run(cases: Sequence[FuzzCase]) -> None:
            verdicts = judge_in_order(cases, registry.get, device, whole=True)
            for case in cases:
                desk.begin(str(case), time_limit_s(case.problem, device, COMPILE_S))
                desk.post(replace(next(verdicts), found=None))

        return run
