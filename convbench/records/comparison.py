"""Compares two sets of records: every measurement that both have is slower, faster, the same or undecided.

With r the ratio of the medians, NEW over OLD, and t the threshold:

- **slower**: r ≥ 1 + t, and chance does not explain that r > 1: p ≤ 1 % for this comparison alone, and p ≤ 5 % after
  Holm's correction for all comparisons. **faster**: the same holds for 1 / r.
- **same**: the 95 % interval of r lies between 1 / (1 + t) and 1 + t. This is a test of equivalence (Schuirmann 1987),
  at 2.5 % on each side.
- **undecided**: all other cases, with the reason.

So if nothing has changed, a comparison gives a false alarm with a probability of at most 1 %, and a whole run of
comparisons contains one with a probability of at most 5 %. `tests/records/test_comparison_power.py` measures both, and
how often a change of 5 % is found. These probabilities only cover the noise within a series. Differences between one
process and the next (the addresses of its memory, the temperature of the machine) are in no sample. The threshold
allows for them; to find out how large they are, measure again (Kalibera & Jones 2013, "Rigorous benchmarking in
reasonable time").

A result that was correct and is now wrong, or crashes, is **broken**, independent of its time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log, log1p
from typing import Final, Literal, get_args

from convbench.records.bootstrap import Evidence, distribution, evidence, holm
from convbench.records.pairing import Difference, Pair, Pairs, differences, pair
from convbench.records.record import FAILURES, Outcome, Record
from convbench.records.timing import CACHES, Cache, Series

THRESHOLD: Final = 0.03
EACH: Final = 0.01  # probability of a false alarm in one comparison
ALL: Final = 0.05  # probability of a false alarm in any of them

Verdict = Literal["slower", "faster", "undecided", "same"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)  # in the order of their importance
Turn = Literal["broken", "changed", "mended"]
TURNS: tuple[Turn, ...] = get_args(Turn)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The verdict on one measurement in one state of the cache; times in microseconds, ratios NEW over OLD."""

    pair: Pair
    cache: Cache
    old_us: float
    new_us: float
    verdict: Verdict
    reason: str | None  # why it is undecided
    evidence: Evidence | None  # None if there are too few samples
    p: float | None  # corrected for the number of comparisons

    @property
    def ratio(self) -> float:
        return self.new_us / self.old_us

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the ratio, for this comparison alone."""
        return None if self.evidence is None else (exp(self.evidence.low), exp(self.evidence.high))


@dataclass(frozen=True, kw_only=True)
class OutcomeChange:
    """One measurement whose outcome differs between the two sides."""

    pair: Pair
    turn: Turn


@dataclass(frozen=True)
class Lone:
    """A record that the other side lacks; or, with `cache`, a series of a record that the other side has."""

    record: Record
    cache: Cache | None = None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The result of comparing two sets of records."""

    threshold: float
    pairs: Pairs
    comparisons: tuple[Comparison, ...]  # the most important first
    outcomes: tuple[OutcomeChange, ...]  # the most important first
    untimed: int  # number of pairs without times that have the same outcome
    only_old: tuple[Lone, ...]
    only_new: tuple[Lone, ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of comparisons with each verdict, and of outcomes with each turn."""
        found: dict[str, int] = dict.fromkeys((*VERDICTS, *TURNS), 0)
        for comparison in self.comparisons:
            found[comparison.verdict] += 1
        for change in self.outcomes:
            found[change.turn] += 1
        return found

    @property
    def has_regression(self) -> bool:
        return bool(self.counts["slower"] or self.counts["broken"])

    @property
    def differences(self) -> list[Difference]:
        return differences(self.pairs.paired)


def compare(
    old: Iterable[Record],
    new: Iterable[Record],
    *,
    threshold: float = THRESHOLD,
    across_devices: bool = False,
    caches: Sequence[Cache] = CACHES,
) -> Compared:
    """Compare two sets of records: a verdict on every measurement that both have.

    Parameters
    ----------
    threshold : the smallest change that matters, as a fraction
    across_devices : pair records of one device with those of another
    caches : the states of the cache that are compared

    Raises
    ------
    ConvbenchError
        a side has no records, or the devices cannot be compared (`convbench.records.pairing.pair`).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"a threshold is between 0 and 1, not {threshold}")
    pairs = pair(old, new, across_devices=across_devices)
    timed, outcomes, untimed = [], [], 0
    only_old, only_new = list(map(Lone, pairs.only_old)), list(map(Lone, pairs.only_new))
    for both in pairs.paired:
        before, after = both.old.timing, both.new.timing
        if before is None or after is None:
            if both.old.outcome == both.new.outcome:
                untimed += 1
            else:
                outcomes.append(OutcomeChange(pair=both, turn=turn(both.old.outcome, both.new.outcome)))
            continue
        for cache in caches:
            first, second = before.of(cache), after.of(cache)
            if first is not None and second is not None:
                timed.append((both, first, second))
            elif first is not None:
                only_old.append(Lone(both.old, cache))
            elif second is not None:
                only_new.append(Lone(both.new, cache))
    outcomes.sort(key=lambda change: TURNS.index(change.turn))
    return Compared(
        threshold=threshold, pairs=pairs, comparisons=tuple(_decided(timed, threshold)), outcomes=tuple(outcomes),
        untimed=untimed, only_old=tuple(only_old), only_new=tuple(only_new),
    )  # fmt: skip


def turn(old: Outcome, new: Outcome) -> Turn:
    """The kind of a change of outcome: broken if it is now a failure, mended if it was one and passes, else changed."""
    if new in FAILURES and old not in FAILURES:
        return "broken"
    return "mended" if new == "passed" and old in FAILURES else "changed"


def _decided(timed: Sequence[tuple[Pair, Series, Series]], threshold: float) -> list[Comparison]:
    known = [_evidence(old, new) for _, old, new in timed]
    chances = [one.p for one in known if isinstance(one, Evidence)]
    adjusted, found = iter(holm(chances)), []
    for (both, old, new), one in zip(timed, known, strict=True):
        verdict: Verdict = "undecided"
        reason: str | None = None
        p = None
        if isinstance(one, str):
            reason = one
        else:
            p = next(adjusted)
            ratio = log(new.median_us) - log(old.median_us)
            verdict, reason = _decide(ratio, one, p, len(chances), log1p(threshold))
        found.append(
            Comparison(
                pair=both, cache=old.cache, old_us=old.median_us, new_us=new.median_us, verdict=verdict,
                reason=reason, evidence=None if isinstance(one, str) else one, p=p,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: (VERDICTS.index(one.verdict), -abs(log(one.ratio))))


def _evidence(old: Series, new: Series) -> Evidence | str:
    """The evidence on the ratio of two series; a text with the reason if there is none."""
    sides = []
    for name, series in (("OLD", old), ("NEW", new)):
        if len(set(series.throttled)) == len(series.samples_us):
            return f"all samples of {name} were taken while slowed down"
        side = distribution(series.counted_us)
        if isinstance(side, str):
            return f"{name} has {side}"
        sides.append(side)
    return evidence(*sides)


def _decide(ratio: float, one: Evidence, adjusted: float, tested: int, limit: float) -> tuple[Verdict, str | None]:
    """The verdict on a ratio, and the reason if it is undecided; the ratio and the limit are logarithms."""
    if abs(ratio) >= limit and one.p <= EACH and adjusted <= ALL:
        return ("slower" if ratio > 0 else "faster"), None
    if max(-one.low, one.high) <= limit:
        return "same", None
    if abs(ratio) < limit:
        return "undecided", "the interval reaches beyond the threshold"
    if one.p > EACH:
        return "undecided", f"noise explains it (p = {one.p:.2g})"
    return (
        "undecided",
        f"noise explains it in one of {tested:,} comparisons (p = {one.p:.2g}, corrected {adjusted:.2g})",
    )
