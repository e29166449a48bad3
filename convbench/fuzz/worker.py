"""The worker of a job: it runs a campaign within its limits, and posts findings and progress to its parent.

It says which case it begins, so that the case is known if an algorithm takes the process down or does not end.
"""

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hypothesis.configuration import set_hypothesis_home_dir

from convbench import devices
from convbench.algorithm import registry
from convbench.crew import Desk, OverError
from convbench.devices import Device
from convbench.errors import ConvbenchError, told
from convbench.fuzz.again import Fresh
from convbench.fuzz.campaign import Campaign, Step
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.coverage import Pair, pairs
from convbench.fuzz.orders import Found, Job, Orders, Progress
from convbench.measurement import contest, time_limit_s

REPORT_S = 0.25  # time between reports of progress
SHRINK_S = 60.0  # time for shrinking one failure
COMPILE_S = 120.0  # time for a case besides that for its size: its kernels have few variants


@dataclass(frozen=True)
class Start:
    """Makes what does jobs in a worker.

    Parameters
    ----------
    folder : the folder in which Hypothesis may write
    end : the time, by `time.time`, at which no further case is begun
    """

    orders: Orders
    folder: str
    end: float

    def __call__(self, desk: Desk) -> Callable[[Job], str | None]:
        set_hypothesis_home_dir(self.folder)
        return partial(self.work, desk)

    def work(self, desk: Desk, job: Job) -> str | None:
        """Do a job. Gives the reason if it had to give up, else None."""
        try:
            return _Worker(desk, self.orders, job, self.end).run()
        except OverError:
            raise
        except ConvbenchError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  (a bug of the fuzzer is shown, and not blamed on the algorithm)
            traceback.print_exc(file=sys.stderr)
            return told(error)
        finally:
            desk.rest()


class _Worker:
    def __init__(self, desk: Desk, orders: Orders, job: Job, end: float) -> None:
        self.desk, self.orders, self.job, self.end = desk, orders, job, end
        self.stopped, self.replayed, self.reported = False, 0, 0.0
        self.seen: set[Pair] = set()
        self.unsent: set[Pair] = set()

    def run(self) -> str | None:
        """Run the corpus and the campaign. Gives the reason if the job had to give up, else None."""
        orders, job = self.orders, self.job
        orders.prepare()
        if orders.device.startswith("emulator"):
            import convbench.devices.emulator  # noqa: F401  (slow to import; so it is done once for all copies)
        # before any case, and before there is a device
        fresh = Fresh(registry.get, partial(_device, orders), close=[self.desk.connection])
        self.device = _device(orders)
        algorithms = {name: registry.get(name) for name in orders.algorithms}
        taken = [algorithm for name, algorithm in algorithms.items() if name not in job.without]
        self.campaign = Campaign(
            taken, self.device, directions=orders.directions, seed=orders.seed, job=job.number, jobs=orders.jobs,
            known=job.known, announce=self._announce, fresh=fresh.verdict,
        )  # fmt: skip
        left = job.examples
        try:
            for case in job.corpus:
                self.replayed += 1
                self._take(self.campaign.replay(case, algorithms[case.algorithm]), from_corpus=True)
            for step in self.campaign.steps() if left > 0 and taken else ():
                self._take(step)
                left -= step.case is not None and not step.is_again
                if left <= 0 or time.time() >= self.end:
                    break
        except _StoppedError as stopped:
            return stopped.lost
        finally:
            fresh.close()
            self._report()
        return None

    def _take(self, step: Step, *, from_corpus: bool = False) -> None:
        """Count a step, and report a finding. Raises _StoppedError if the job is to end with this step."""
        if step.case is not None:
            new = pairs(step.case) - self.seen
            self.seen |= new
            self.unsent |= new
        if finding := self.campaign.new(step):
            if from_corpus:
                self.campaign.known.append(finding)
            else:
                self.desk.post(Found(finding, final=False))
                deadline = time.monotonic() + SHRINK_S
                finding = self.campaign.shrunk(
                    step, finding, until=lambda: self._is_stopped() or time.monotonic() > deadline
                )
            self.desk.post(Found(finding, final=True, from_corpus=from_corpus))
            if not contest.is_alive(self.device):
                raise _StoppedError(f"{finding.case} took the device down")
            if not self.orders.keep_going:
                raise _StoppedError
        if self._is_stopped():
            raise _StoppedError
        if time.monotonic() > self.reported + REPORT_S:
            self._report()

    def _announce(self, case: FuzzCase | None) -> None:
        if case is None:
            self.desk.rest()
        else:
            limit_s = self.orders.timeout_s or time_limit_s(case.problem, self.device, COMPILE_S)
            self.desk.begin(str(case), limit_s)

    def _is_stopped(self) -> bool:
        for word in self.desk.told():
            if word is None:
                self.stopped = True
            else:
                self.campaign.known.append(word)
        return self.stopped

    def _report(self) -> None:
        self.desk.post(Progress(self.campaign.figures, self.unsent, self.replayed))
        self.unsent, self.reported = set(), time.monotonic()


class _StoppedError(Exception):
    """The job is to end. `lost` has the reason if something went wrong."""

    def __init__(self, lost: str | None = None) -> None:
        super().__init__(lost)
        self.lost = lost


def _device(orders: Orders) -> Device:
    """The device of the orders. With several jobs, each job's emulator uses one core."""
    if orders.device == "emulator" and orders.jobs > 1:
        from convbench.devices import emulator  # slow to import, and no other device needs it

        return emulator.EmulatorDevice(workers=1)
    return devices.select(orders.device)
