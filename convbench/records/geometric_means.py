"""Computes geometric means of the ratios of a comparison, by group, with an interval for the effect of noise.

The interval says how far the mean would spread if the same measurements were repeated. It says nothing about problems
that were not measured. The variance of a mean of independent logarithms is the sum of their variances over their number
squared. Their sum is close to normal, because the distribution of a single one already is
(`tests/records/test_comparison_power.py` measures how often the interval contains the true ratio). The geometric mean
is the only mean of ratios that does not depend on which side is the reference: Fleming & Wallace 1986, "How not to lie
with statistics".
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from convbench.records.bootstrap import NORMAL
from convbench.records.comparison import Comparison
from convbench.records.timing import CACHES, Cache


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The geometric mean of the ratios of a group, NEW over OLD, and its interval."""

    by: str  # the property that the group has in common, "" for the group of all
    name: str  # its value
    cache: Cache
    count: int
    ratio: float
    low: float
    high: float


def means(comparisons: Iterable[Comparison]) -> list[Mean]:
    """Geometric means over all comparisons, and over groups by algorithm, direction, dtype and precision.

    A property with one value makes no groups. Comparisons with too few samples are left out.
    """
    known = [one for one in comparisons if one.evidence is not None]
    keys: dict[str, Callable[[Comparison], str]] = {
        "algorithm": lambda one: one.pair.new.algorithm,
        "direction": lambda one: one.pair.new.direction,
        "dtype": lambda one: one.pair.new.parsed_problem.dtype,
        "precision": lambda one: one.pair.new.precision,
    }
    groups: dict[tuple[str, str, Cache], list[Comparison]] = defaultdict(list)
    for one in known:
        groups["", "all", one.cache].append(one)
    for by, key in keys.items():
        if len({key(one) for one in known}) > 1:
            for one in sorted(known, key=key):
                groups[by, key(one), one.cache].append(one)
    found = [_mean(by, name, cache, group) for (by, name, cache), group in groups.items()]
    places = list(dict.fromkeys((mean.by, mean.name) for mean in found))
    return sorted(found, key=lambda mean: (places.index((mean.by, mean.name)), CACHES.index(mean.cache)))


def _mean(by: str, name: str, cache: Cache, group: Sequence[Comparison]) -> Mean:
    count = len(group)
    centre = sum(log(one.ratio) for one in group) / count
    half = NORMAL * sqrt(sum(one.evidence.variance for one in group if one.evidence)) / count
    return Mean(
        by=by, name=name, cache=cache, count=count, ratio=exp(centre), low=exp(centre - half), high=exp(centre + half)
    )
