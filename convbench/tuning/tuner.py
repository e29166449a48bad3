"""Search for the fastest config of an algorithm on a problem.

The harness verifies each candidate before it times it, and times a few candidates together, in turns. A candidate whose
result is wrong is recorded and never wins. A candidate that needs more registers or shared memory than the device has
is pruned.

The fastest candidate is then timed again, in turns with the default config. New samples are needed because the least of
many noisy times is too low. It wins only if the 95 % interval of the ratio of the two medians
(`convbench.records.bootstrap`) lies below 1. Otherwise the default stays.

If the harness predicts times for a GPU, candidates are still verified, but they are ranked by their predicted times,
because how long the emulator takes says nothing about a GPU. The best is kept if the default's predicted time is longer
by more than the model's error.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from typing import Any

from convbench.algorithm import Algorithm
from convbench.measurement import Effort, Harness, Job
from convbench.records import Outcome, Record, Series, bootstrap, caption
from convbench.tuning.entry import Entry, as_json, identity
from convbench.tuning.proposals import Proposals
from convbench.workload import Layer, Workload

TOGETHER = 4  # number of candidates that are timed in turns
SEARCHING = 0.2  # seconds for a candidate, as a share of those for a full measurement

Tries = Callable[[Workload, Sequence[Job]], Iterator[tuple[Job, Record]]]
Times = tuple[float, tuple[float, float] | None, float | None]  # of a config, with its interval, and of the default

PRUNED: Outcome = "refused"  # outcome of a candidate that the hardware cannot launch


@dataclass(kw_only=True)
class Found:
    """The results so far of searching one algorithm's configs for one layer."""

    layer: Layer
    algorithm: Algorithm
    space: int  # number of configs in the space
    default: Any = None  # the config without tuning; None: the algorithm is asked
    outcomes: dict[Outcome, int] = field(default_factory=dict)  # number of candidates with each outcome
    pruned_for: str | None = None  # the first reason
    wrong_for: str | None = None  # the first reason, with its config
    verdict: str = "nothing was right"
    ratio: tuple[float, float, float] | None = None  # time of the best over the default's: value, 95 % interval
    entry: Entry | None = None
    times_us: dict[Any, float] = field(default_factory=dict)  # median of each config, or its predicted time
    error: float = 0.0  # of the model that predicted the times
    unpredicted_for: str | None = None  # the first reason why a config that is right has no predicted time

    def count(self, *outcomes: Outcome) -> int:
        """The number of candidates with one of these outcomes."""
        return sum(self.outcomes.get(outcome, 0) for outcome in outcomes)


class Tuner:
    """Searches for the fastest configs on the device of a harness.

    Parameters
    ----------
    harness : verifies and times candidates; it must not take configs from a database
    most : how many candidates are tried for each algorithm and problem; None: all that the search proposes
    seconds : time for each search, after which no more candidates are tried
    clock : gives the time in seconds
    tries : verifies and times the candidates of a search, in place of the harness; a record may be an earlier one
    """

    def __init__(
        self,
        harness: Harness,
        *,
        most: int | None = None,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        tries: Tries | None = None,
    ) -> None:
        self.harness, self.most, self.seconds, self.clock = harness, most, seconds, clock
        self.tries = harness.measured if tries is None else tries
        effort = replace(harness.effort, caches=("warm",))
        if harness.forecast is not None:
            effort = replace(effort, warmup=0, minimum=1, maximum=1)  # its times are not used
        self._full = effort
        self._brief = replace(effort, max_seconds=effort.max_seconds * SEARCHING)

    def search(self, found: Found, workload: Workload, proposals: Proposals) -> Iterator[Record]:
        """Yield the record of each candidate as soon as it is known. At the end, `found` has the verdict.

        If the search is ended early, by Ctrl-C, call `decide` to get a verdict on the candidates so far.
        """
        start, tried = self.clock(), 0
        while self.most is None or tried < self.most:
            if self.seconds is not None and tried and self.clock() - start >= self.seconds:
                break
            room = TOGETHER if self.most is None else min(TOGETHER, self.most - tried)
            if not (configs := proposals.next(room)):
                break
            for config, record in self._measured(found, workload, configs, self._brief, self.tries):
                tried += 1
                self._note(found, config, record)
                proposals.tell(config, found.times_us.get(config))
                yield record
        self.decide(found, workload)

    def decide(self, found: Found, workload: Workload) -> None:
        """Time the best config so far in turns with the default, and make an entry of the winner.

        Nothing is timed again if configs are ranked by predicted times.
        """
        tried = sum(found.outcomes.values())
        if self.harness.forecast is not None:
            self._rank(found, self.harness.forecast.gpu, tried)
        else:
            self._decide(found, workload, tried)
        if tried < found.space:
            found.verdict += f"; {tried:,} of {found.space:,} configs were tried"

    def _decide(self, found: Found, workload: Workload, tried: int) -> None:
        default = self._default(found)
        if not found.times_us:
            return
        best = min(found.times_us, key=lambda config: found.times_us[config])
        pair = [default, best] if default in found.times_us and best != default else [best]
        last = dict(self._measured(found, workload, pair, self._full, self.harness.measured))
        series = {config: record.timing.first for config, record in last.items() if record.timing is not None}
        if best not in series:
            found.verdict = f"the best one failed when it was timed again: {last[best].reason}"
            best = default
        elif best == default:
            # a verdict on a part of the space must not read as one on all of it
            found.verdict = "the default is the fastest" if tried == found.space else "none was faster than the default"
        elif default not in series:
            found.verdict = "the default cannot be timed"
        else:
            found.ratio, found.verdict = _contest(default=series[default], best=series[best])
            best = default if found.verdict.startswith("the default stays") else best
        if best in series:
            known = series[default].median_us if default in series else None
            times = series[best].median_us, series[best].interval_us, known
            found.entry = self._entry(found, best, times, self.harness.description["clock"])

    def _rank(self, found: Found, gpu: str, tried: int) -> None:
        """The verdict by predicted times, and an entry of the winner."""
        if not found.times_us:
            if found.unpredicted_for is not None:
                found.verdict = f"no time is predicted: {found.unpredicted_for}"
            return
        default = self._default(found)
        best = min(found.times_us, key=lambda config: found.times_us[config])
        if best == default:
            found.verdict = "the default is predicted to be the fastest"
            if tried < found.space:
                found.verdict = "none is predicted to be faster than the default"
        elif default not in found.times_us:
            found.verdict = "the default has no predicted time"
        elif found.times_us[default] > (1 + found.error) * found.times_us[best]:
            found.verdict = "predicted to be faster than the default"
        else:
            found.verdict = "the default stays: the best is ahead by less than the model's error"
            best = default
        known = found.times_us.get(default)
        found.entry = self._entry(found, best, (found.times_us[best], None, known), caption(gpu))

    def _default(self, found: Found) -> Any:
        if found.default is not None:
            return found.default
        return found.algorithm.resolved(*found.layer.work, None, self.harness.device)

    def _measured(
        self, found: Found, workload: Workload, configs: list[Any], effort: Effort, measured: Tries
    ) -> Iterator[tuple[Any, Record]]:
        """Verify and time configs. Yield each config with its record, as soon as it is known."""
        self.harness.effort = effort
        todo = [Job(layer=found.layer, algorithm=found.algorithm, config=config) for config in configs]
        for job, record in measured(workload, todo):
            yield job.config, record

    def _note(self, found: Found, config: Any, record: Record) -> None:
        found.outcomes[record.outcome] = found.count(record.outcome) + 1
        told = record.predicted
        if told is not None and told.us is not None:
            found.times_us[config], found.error = told.us, told.error
        elif told is not None:
            found.unpredicted_for = found.unpredicted_for or told.reason
        elif record.timing is not None:
            found.times_us[config] = record.timing.median_us
        elif record.outcome == PRUNED:
            found.pruned_for = found.pruned_for or record.reason
        else:
            found.wrong_for = found.wrong_for or f"{config}: {record.reason}"

    def _entry(self, found: Found, config: Any, times: Times, clock: str) -> Entry:
        environment = self.harness.environment
        device, capability = identity(self.harness.description)
        return Entry(
            device=device, compute_capability=capability, algorithm=found.algorithm.name,
            direction=found.layer.direction, problem=str(found.layer.problem), config=as_json(config),
            median_us=times[0], interval_us=times[1], default_us=times[2], clock=clock,
            timed=found.count("passed"), seed=self.harness.seed, version=environment["packages"].get("convbench"),
            commit=environment["commit"], when=self.harness.now().isoformat(timespec="seconds"),
        )  # fmt: skip


def _contest(*, default: Series, best: Series) -> tuple[tuple[float, float, float] | None, str]:
    """The ratio of the medians, best over default, with its 95 % interval; and the verdict in words."""
    sides = []
    for name, series in (("the default", default), ("the best", best)):
        side = bootstrap.distribution(series.counted_us)
        if isinstance(side, str):
            return None, f"the default stays: {name} has {side}"
        sides.append(side)
    known = bootstrap.evidence(*sides)
    ratio = best.median_us / default.median_us, exp(known.low), exp(known.high)
    if ratio[2] < 1:
        return ratio, "faster than the default"
    return ratio, "the default stays: timed again beside it, the best is not faster beyond its interval"
