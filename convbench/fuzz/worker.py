"""The worker of a job: it runs a campaign within its limits, and posts findings and progress to its parent.

It says which case it begins, so that the case is known if an algorithm takes the process down or does not end. This
holds for what an algorithm is asked, too: there it is the plainest case of the problem that it is asked about.
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
from convbench.fuzz.coverage import Pair, pairs, possible
from convbench.fuzz.orders import Found, Inquiry, Job, Orders, Possible, Progress
from convbench.fuzz.suiting import Suit
from convbench.measurement import contest, time_limit_s

REPORT_S = 0.25  # time between reports of progress
SHRINK_S = 60.0  # time for shrinking one failure
LEAST_SHRINK_S = 10.0  # of it, where the time that is left is shared by the algorithms
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

    def __call__(self, desk: Desk) -> Callable[[Job | Inquiry], str | None]:
        set_hypothesis_home_dir(self.folder)
        self.orders.prepare()
        if self.orders.device.startswith("emulator"):
            import convbench.devices.emulator  # noqa: F401  (slow to import; so it is done once for all copies)
        # before any case, and before there is a device
        fresh = Fresh(registry.get, partial(_device, self.orders), close=[desk.connection])
        return partial(self.work, desk, fresh)

    def work(self, desk: Desk, fresh: Fresh, job: Job | Inquiry) -> str | None:
        """Do a job. Gives the reason if it had to give up, else None."""
        try:
            if isinstance(job, Inquiry):
                _inquire(desk, self.orders, job)
                return None
            return _Worker(desk, self.orders, job, self.end, fresh).run()
        except OverError:
            raise
        except ConvbenchError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  (a bug of the fuzzer is shown, and not blamed on the algorithm)
            traceback.print_exc(file=sys.stderr)
            return told(error)
        finally:
            desk.rest()


def _inquire(desk: Desk, orders: Orders, inquiry: Inquiry) -> None:
    """Ask algorithms which cases they may have, and post what each answers."""
    device = _device(orders)
    for name in inquiry.algorithms:
        if None in desk.told():
            return
        suit = Suit(registry.get(name), device, orders.directions, partial(_announce, desk, orders, device))
        desk.post(Possible(name, possible([suit]), is_able=bool(suit.rows)))
    desk.rest()


def _announce(desk: Desk, orders: Orders, device: Device, case: FuzzCase | None) -> None:
    if case is None:
        desk.rest()
    else:
        desk.begin(str(case), orders.timeout_s or time_limit_s(case.problem, device, COMPILE_S))


class _Worker:
    def __init__(self, desk: Desk, orders: Orders, job: Job, end: float, fresh: Fresh) -> None:
        self.desk, self.orders, self.job, self.end = desk, orders, job, end
        self.device = _device(orders)
        self.campaign = Campaign(
            [registry.get(name) for name in job.algorithms], self.device, directions=orders.directions,
            seed=orders.seed, job=job.number, known=job.known, announce=self._announce, fresh=fresh.verdict,
        )  # fmt: skip
        self.algorithm: str | None = None  # the one whose turn it is
        self.stopped, self.replayed, self.reported = False, 0, 0.0
        self.seen: set[Pair] = set()
        self.unsent: set[Pair] = set()

    def run(self) -> str | None:
        """Run the corpus and the campaign. Gives the reason if the job had to give up, else None."""
        job, left = self.job, self.job.examples
        try:
            for case in job.corpus:
                self.replayed += 1
                self._take(self.campaign.replay(case, registry.get(case.algorithm)), from_corpus=True)
            for step in self.campaign.steps() if left > 0 else ():
                self._take(step)
                left -= step.case is not None and not step.is_again
                if left <= 0 or time.time() >= self.end:
                    break
        except _StoppedError as stopped:
            return stopped.lost
        finally:
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
                deadline = time.monotonic() + self._shrink_s()
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

    def _shrink_s(self) -> float:
        """The time for shrinking one failure. If others are to be run after it, their share of the time is left."""
        if not self.orders.keep_going:
            return SHRINK_S
        share = (self.end - time.time()) / len(self.job.algorithms)
        return min(SHRINK_S, max(LEAST_SHRINK_S, share))

    def _announce(self, case: FuzzCase | None) -> None:
        if case is not None and case.algorithm != self.algorithm:
            self.algorithm = case.algorithm
            self._report()  # so that the cases of those before count, whatever this one does
        _announce(self.desk, self.orders, self.device, case)

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
