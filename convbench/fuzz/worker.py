"""The process of one job: it runs a campaign within its limits, and reports findings and progress to its parent."""

import time
import traceback
from contextlib import suppress
from functools import partial
from math import inf
from multiprocessing.connection import Connection
from typing import Any

from hypothesis.configuration import set_hypothesis_home_dir

from convbench import devices, interrupts
from convbench.algorithm import registry
from convbench.devices import Device
from convbench.errors import ConvbenchError
from convbench.fuzz.again import Fresh
from convbench.fuzz.campaign import Campaign, Step
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.coverage import Pair, pairs
from convbench.fuzz.orders import Ended, Found, Orders, Progress
from convbench.fuzz.verdicts import Finding
from convbench.measurement import contest

REPORT_S = 0.25  # time between reports of progress
SHRINK_S = 60.0  # time for shrinking one failure
LAST_BYTES = 10_000  # more than the text of any case


def work(connection: Connection, orders: Orders, number: int, last: Any, folder: str) -> None:
    """The main function of a job's process.

    Parameters
    ----------
    number : the number of the job
    last : shared memory, to which the text of each case is written before it is run
    folder : the folder in which Hypothesis may write
    """
    interrupts.ignore()
    set_hypothesis_home_dir(folder)
    with suppress(BrokenPipeError, EOFError, ConnectionResetError):  # the parent has ended: nobody reads messages
        try:
            lost = _Worker(connection, orders, number, last).run()
        except ConvbenchError as error:
            lost = str(error)
        except (BrokenPipeError, EOFError, ConnectionResetError):
            raise
        except Exception as error:  # noqa: BLE001  (a bug of the fuzzer is shown, and not blamed on the algorithm)
            traceback.print_exc()
            lost = f"{type(error).__name__}: {error}"
        last.value = b""
        connection.send(Ended(lost))


class _Worker:
    def __init__(self, connection: Connection, orders: Orders, number: int, last: Any) -> None:
        self.connection, self.orders, self.number, self.last = connection, orders, number, last
        self.stopped, self.replayed, self.reported = False, 0, 0.0
        self.seen: set[Pair] = set()
        self.unsent: set[Pair] = set()

    def run(self) -> str | None:
        """Run the corpus and the campaign. Gives the reason if the job had to give up, else None."""
        orders = self.orders
        orders.prepare()
        if orders.device.startswith("emulator"):
            import convbench.devices.emulator  # noqa: F401  (slow to import; so it is done once for all copies)
        fresh = Fresh(registry.get, partial(_device, orders), close=[self.connection])  # before any case, or device
        self.device = _device(orders)
        algorithms = {name: registry.get(name) for name in orders.algorithms}
        self.campaign = Campaign(
            list(algorithms.values()), self.device, directions=orders.directions, seed=orders.seed,
            job=self.number, jobs=orders.jobs, announce=self._announce, fresh=fresh.verdict,
        )  # fmt: skip
        deadline, left = time.monotonic() + (orders.seconds or inf), orders.examples_of(self.number)
        try:
            for case in orders.corpus[self.number :: orders.jobs]:
                self.replayed += 1
                self._take(self.campaign.replay(case, algorithms[case.algorithm]), from_corpus=True)
            for step in self.campaign.steps() if left > 0 else ():
                self._take(step)
                left -= step.case is not None and not step.is_again
                if left <= 0 or time.monotonic() >= deadline:
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
                self.connection.send(Found(finding, final=False))
                deadline = time.monotonic() + SHRINK_S
                finding = self.campaign.shrunk(
                    step, finding, until=lambda: self._is_stopped() or time.monotonic() > deadline
                )
            self.connection.send(Found(finding, final=True, from_corpus=from_corpus))
            if not contest.is_alive(self.device):
                raise _StoppedError(f"{finding.case} took the device down")
            if not self.orders.keep_going:
                raise _StoppedError
        if self._is_stopped():
            raise _StoppedError
        if time.monotonic() > self.reported + REPORT_S:
            self._report()

    def _announce(self, case: FuzzCase) -> None:
        self.last.value = str(case).encode()[: LAST_BYTES - 1]

    def _is_stopped(self) -> bool:
        while not self.stopped and self.connection.poll():
            told: Finding | None = self.connection.recv()
            if told is None:
                self.stopped = True
            else:
                self.campaign.known.append(told)
        return self.stopped

    def _report(self) -> None:
        self.connection.send(Progress(self.campaign.figures, self.unsent, self.replayed))
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
