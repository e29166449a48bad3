"""The sentences at the top of a page: what was measured on which device, whether it was verified, and what is fastest.

Every sentence is plain text that is computed from the records. The renderer adds the markup.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from convbench.records import FAILURES
from convbench.report.against import against, chosen_baseline, means_against
from convbench.report.chapters import LAYER, Chapter
from convbench.report.outlook import bottlenecks, differences, lacking, lead, leading, outlooks, sentence
from convbench.report.ratios import geometric_mean
from convbench.report.units import counted, listed
from convbench.report.winners import winners, wins

Kind = Literal[
    "whole",
    "predicted",
    "predicted lead",
    "bottlenecks",
    "lacking",
    "apart",
    "noisy",
    "what",
    "verified",
    "failed",
    "clock",
    "winner",
    "lead",
    "baseline",
    "throttled",
    "slowed",
    "errors",
]
# From this spread on (interquartile range over median), the page begins with a warning. The 95 % interval of a median
# of n samples reaches about 1.57 spreads / √n to either side (McGill, Tukey & Larsen 1978, "Variations of box plots").
# With the twenty samples of a processor and a spread of 50 %, that is 18 %, more than most leads. The committed reports
# stay below it; a machine that is busy with something else does not.
LARGE_SPREAD = 0.5
LOUD: tuple[Kind, ...] = ("noisy", "failed", "clock")  # kinds of warnings, which nobody must overlook
NO_ERRORS = "these records hold no error in units of the last place, like all records of earlier versions"
NAMED = 5  # how many winners or results a sentence names; it counts the others


@dataclass(frozen=True)
class Statement:
    """One sentence or two, of the chapter with this heading or of the whole page."""

    kind: Kind
    chapter: str | None
    text: str

    def __str__(self) -> str:
        return self.text


def summary(everything: Sequence[Chapter]) -> list[Statement]:
    """The sentences of every chapter, after those on the whole page: a warning, and what several chapters hold.

    Of a chapter that leads with predicted times, those on the emulator's own times are apart, in `aside`.
    """
    found = []
    if len(everything) > 1:
        current = [record for chapter in everything for record in chapter.records]
        devices = list(dict.fromkeys(str(record.device["name"]) for record in current))
        outcomes = _outcomes(pd.Series([record.outcome for record in current]))
        text = f"{counted(len(current), 'result')} on {listed(devices)}: {outcomes}. "
        text += f"They make {len(everything)} chapters, whose times are not to be compared with each other."
        found.append(Statement("whole", None, text))
    if (noise := _noisy([chapter for chapter in everything if not leading(chapter)])) is not None:
        found.append(Statement("noisy", None, noise))
    for chapter in everything:
        found += of_chapter(chapter)
    return found


def of_chapter(chapter: Chapter) -> list[Statement]:
    """The sentences of one chapter, the most important first."""
    told: list[tuple[Kind, str | None]] = []
    if leading(chapter):
        told += [*_predicted(chapter), _verified(chapter), ("what", _what(chapter)), ("errors", _errors(chapter))]
    else:
        told += [("what", _what(chapter)), _verified(chapter), *_timed(chapter), ("errors", _errors(chapter))]
        told += [("slowed", _slowed(chapter.slowed)), *_predicted(chapter)]
    return _statements(chapter, told)


def aside(chapter: Chapter) -> list[Statement]:
    """The sentences on how long the emulator took, of a chapter that leads with predicted times; else none."""
    return _statements(chapter, [*_timed(chapter), ("noisy", _noisy([chapter]))]) if leading(chapter) else []


def _statements(chapter: Chapter, told: Sequence[tuple[Kind, str | None]]) -> list[Statement]:
    return [Statement(kind, chapter.heading, text) for kind, text in told if text is not None]


def _predicted(chapter: Chapter) -> list[tuple[Kind, str | None]]:
    told: list[tuple[Kind, str | None]] = []
    for one in outlooks(chapter):
        told += [("predicted", sentence(one)), ("predicted lead", lead(one)), ("bottlenecks", bottlenecks(one))]
        told += [("apart", differences(chapter, one)), ("lacking", lacking(one))]
    return told


def _timed(chapter: Chapter) -> list[tuple[Kind, str | None]]:
    """The sentences on measured times."""
    told: list[tuple[Kind, str | None]] = [("clock", _clock(chapter))]
    if not chapter.passed.empty:
        won = winners(chapter)
        told += [("winner", who_wins(won)), ("lead", _lead(won)), ("baseline", _baseline(chapter))]
        told.append(("throttled", _throttled(chapter.passed)))
    return told


def _outcomes(outcomes: "pd.Series[str]") -> str:
    return ", ".join(f"{n:,} {str(outcome).replace('_', ' ')}" for outcome, n in outcomes.value_counts().items())


def _what(chapter: Chapter) -> str:
    frame = chapter.frame
    first = frame.iloc[0]
    precision = first["dtype"] if first["precision"] == first["dtype"] else f"{first['dtype']} by {first['precision']}"
    layers, workloads = frame.groupby(LAYER).ngroups, [str(name) for name in frame.workload.unique()]
    whose = listed(workloads) if len(workloads) <= NAMED else counted(len(workloads), "workload")
    return (
        f"{counted(len(frame), 'result')}: {_outcomes(frame.outcome)}. {counted(layers, 'layer')} of {whose} and "
        f"{counted(frame.algorithm.nunique(), 'algorithm')}, {first['direction']}, {precision}, on {first['device']}."
    )


def _verified(chapter: Chapter) -> tuple[Kind, str | None]:
    bad = int(chapter.frame.outcome.isin(FAILURES).sum())
    if bad:
        return "failed", f"{counted(bad, 'result')} {'is' if bad == 1 else 'are'} wrong or failed."
    passed = chapter.timed
    if passed.empty:
        return "verified", "Nothing passed, and nothing was timed."
    text = "Every time below is of a verified result"
    if leading(chapter):
        text = f"Every result below was verified on the {chapter.device['name']}"
    known = passed.fraction.dropna()
    if not known.empty:
        text += f": the worst element of all used {known.max():.3g} of its error bound"
    exact = int(passed.exact.sum())
    if exact:
        text += f", and {exact:,} of {len(passed):,} matched bit for bit on integers"
    return "verified", text + "."


def _errors(chapter: Chapter) -> str | None:
    """Which algorithms have the smallest and the largest error; or that the records hold none."""
    timed = chapter.timed
    if timed.empty:
        return None
    if timed.rms_error_ulp.isna().all():
        return f"{NO_ERRORS[0].upper()}{NO_ERRORS[1:]}. Measure again to see it."
    rows, over = compared(timed)
    means = mean_errors(rows)
    if means.empty:
        return "No result has any error on random numbers."
    text = f"On random numbers, {means.index[0]} has a root-mean-square error of {means.iloc[0]:.3g} ulp"
    if len(means) > 1:
        text += f", the smallest, and {means.index[-1]} one of {means.iloc[-1]:.3g} ulp, the largest"
    if timed.groupby(LAYER).ngroups > 1:
        text += f", in the geometric mean of {over}"
    text += "; 1 ulp is the last place of a number of the output's magnitude."
    if timed["dtype"].iloc[0] == "float64":
        text += " The float64 reference has an error of this size itself, which is included."
    return text


def compared(timed: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The results by which algorithms are compared in their errors, and words for the layers that they are of.

    Errors grow with the length of the sums, so only layers that all algorithms computed are used, if there are any.
    Results whose error is unknown or 0 are left out.
    """
    known = timed[timed.rms_error_ulp > 0]
    layers = pd.MultiIndex.from_frame(known[LAYER])
    algorithms = known.groupby(LAYER).algorithm.nunique()
    common = algorithms.index[algorithms == known.algorithm.nunique()]
    if common.empty:
        return known, "the layers that each computed"
    count = "one layer" if len(common) == 1 else counted(len(common), "layer")
    if len(common) == len(algorithms):
        return known, f"{'the' if len(common) == 1 else 'all'} {count}"
    return known[layers.isin(common)], f"the {count} that all algorithms computed"


def mean_errors(rows: pd.DataFrame) -> "pd.Series[float]":
    """The geometric mean of each algorithm's rms errors, the smallest first."""
    logs = rows.assign(log=np.log(rows.rms_error_ulp.astype(float)))
    means: pd.Series[float] = logs.groupby("algorithm").log.mean().apply(np.exp)
    return means.sort_values(kind="stable")


def _clock(chapter: Chapter) -> str | None:
    if chapter.is_gpu:
        return None
    timed, clock = chapter.timed, str(chapter.device["clock"])
    native = sorted(str(name) for name in timed[timed.is_native].algorithm.unique())
    if len(timed) and timed.is_native.all():
        return f"{_own(clock, native, 'Times')}: they say how long it took here, and nothing about a GPU."
    text = f"Times are {clock}: they say how long it took here, and nothing about a GPU."
    return f"{text} {_own(clock, native, 'Those')}." if native else text


def _own(clock: str, native: Sequence[str], whose: str) -> str:
    """Words on the times of native baselines."""
    base, _, kind = clock.rpartition(", ")
    return f"{whose} of {listed(native)} are {base or kind} of the processor itself, not {kind}"


def _noisy(everything: Sequence[Chapter]) -> str | None:
    """The warning that some results have a spread which makes their times unreliable."""
    passed = [chapter.passed for chapter in everything]
    wide = [rows[rows.spread >= LARGE_SPREAD] for rows in passed]
    count = sum(map(len, wide))
    if not count:
        return None
    worst = max((rows for rows in wide if len(rows)), key=lambda rows: float(rows.spread.max()))
    row = worst.sort_values("spread").iloc[-1]
    return (
        f"The samples of {count:,} of {counted(sum(map(len, passed)), 'result')} have a large spread, an interquartile "
        f"range of {LARGE_SPREAD:.0%} of their median or more; the most is {row.spread:.0%}, {row.algorithm} on "
        f"{row.layer}. Such times are unreliable. Measure again on a quiet machine before you use them."
    )


def who_wins(won: pd.DataFrame) -> str:
    """The algorithms that are the fastest and in how many layers, and how many layers their intervals leave open."""
    (first, most), *rest = [(str(name), int(count)) for name, count in wins(won).items()]
    if won.algorithm.nunique() == 1 and won.rivals.max() == 0:
        return f"{first} is the only algorithm with times, in {most:,} of {counted(len(won), 'layer')}."
    text = f"{first} is the fastest in {most:,} of {counted(len(won), 'layer')}"
    text += "".join(f"; {name} in {count:,}" for name, count in rest[: NAMED - 1])
    if others := rest[NAMED - 1 :]:
        text += f"; {counted(len(others), 'other')} in {sum(count for _, count in others):,}"
    contested = won[won.rivals > 0]
    if equal := int((won.tied.map(len) > 1).sum()):
        text += f". In {equal:,} others have the same median"
    if alone := len(won) - len(contested):
        text += f". In {alone:,} no other algorithm has times"
    open_, unknown = int((contested.ratio_low <= 1).sum()), int(contested.ratio_low.isna().sum())
    if open_:
        text += f". In {open_:,} the second is too close: the 95 % interval of the ratio includes 1"
    if unknown:
        text += f". In {unknown:,} there are too few samples to say how sure the lead is"
    return text + "."


def _lead(won: pd.DataFrame) -> str | None:
    """How far the algorithm with the most wins is ahead of the second, where it wins."""
    name = str(wins(won).index[0])
    led = won[(won.algorithm == name) & (won.rivals > 0)]
    if led.empty:
        return None
    mean = geometric_mean(led)
    where = "Where it wins" if len(led) > 1 else f"On {led.layer.iloc[0]}"
    return (
        f"{where}, {name} is {mean.value:.2f} times as fast as the best of the others"
        f"{_of(mean.low, mean.high)}{_over(len(led))}."
    )


def _baseline(chapter: Chapter) -> str | None:
    baseline = chosen_baseline(chapter)
    pairs = None if baseline is None else against(chapter, baseline)
    if pairs is None or pairs.empty:
        return None
    means = means_against(pairs)
    best = means.iloc[0]
    most = ", more than any other" if len(means) > 1 else ""
    quickest = pairs.sort_values("ratio").drop_duplicates(LAYER, keep="last")
    return (
        f"Against the baseline {baseline}, {best.algorithm} is {best.ratio:.2f} times as fast"
        f"{_of(best.ratio_low, best.ratio_high)}{_over(int(best.results))}{most}; the best of each layer "
        f"beats it in {int((quickest.ratio > 1).sum()):,} of {counted(len(quickest), 'layer')}."
    )


def _of(low: float, high: float) -> str:
    return "" if np.isnan(low) else f" (95 % interval {low:.2f} to {high:.2f})"


def _over(layers: int) -> str:
    return "" if layers == 1 else f", in the geometric mean of {layers:,} layers"


def _throttled(passed: pd.DataFrame) -> str | None:
    slowed = passed[passed[["throttled", "warm_throttled", "cold_throttled"]].fillna(0).max(axis=1) > 0]
    if slowed.empty:
        return None
    names = [f"{row.algorithm} on {row.layer}" for row in slowed.head(NAMED).itertuples()]
    more = f", and {len(slowed) - NAMED:,} more" if len(slowed) > NAMED else ""
    have = "has" if len(slowed) == 1 else "have"
    return (
        f"{counted(len(slowed), 'result')} {have} samples that were taken while the GPU was slowed down; "
        f"they are kept and not counted: {', '.join(names)}{more}."
    )


def _slowed(slowed: pd.DataFrame) -> str | None:
    if slowed.empty:
        return None
    names = [f"{row.algorithm} on {row.layer}" for row in slowed.head(NAMED).itertuples()]
    more = f", and {len(slowed) - NAMED:,} more" if len(slowed) > NAMED else ""
    has, its = ("has", "its") if len(slowed) == 1 else ("have", "their")
    return (
        f"{counted(len(slowed), 'result')} {has} no rank, because all of {its} samples were taken while slowed down: "
        f"{', '.join(names)}{more}."
    )
