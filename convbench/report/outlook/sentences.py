"""The sentences on predicted times: what would be the fastest, by how much, and what holds it back."""

from typing import Any

import numpy as np

from convbench.report.chapters import Chapter
from convbench.report.outlook.outlook import Outlook
from convbench.report.units import counted, duration, listed

SOURCE = "reports/predicted/published_times.md"
NAMED = 5  # how many algorithms, results or reasons a sentence names


def sentence(outlook: Outlook) -> str:
    """Which algorithms are predicted to be the fastest, in how many layers; and how sure that is."""
    timed = outlook.timed
    if timed.empty:
        return f"No time is predicted for {outlook.gpu}: {_reasons(outlook)}."
    won = outlook.winners
    counts = won.algorithm.value_counts(sort=False).to_dict()
    (first, most), *rest = sorted(((str(a), int(n)) for a, n in counts.items()), key=lambda item: (-item[1], item[0]))
    text = f"{_capitalised(outlook.caption)}: {first} "
    if timed.algorithm.nunique() == 1:
        text += f"is the only algorithm with times, in {most:,} of {counted(len(won), 'layer')}"
    else:
        text += f"is the fastest in {most:,} of {counted(len(won), 'layer')}"
        text += "".join(f"; {name} in {count:,}" for name, count in rest[: NAMED - 1])
        if others := rest[NAMED - 1 :]:
            text += f"; {counted(len(others), 'other')} in {sum(count for _, count in others):,}"
    if close := int((won.lead < 1 + outlook.error).sum()):
        text += f". In {close:,} the second is closer than the model's error"
    return f"{text}. On published times, the median error of the model is {outlook.error:.0%} ({SOURCE})."


def bottlenecks(outlook: Outlook) -> str | None:
    """What limits the fastest algorithms; None without times."""
    if outlook.timed.empty:
        return None
    limits = outlook.winners.bound.value_counts()
    told = [f"{limit} in {counted(int(count), 'layer')}" for limit, count in limits.items()]
    return f"The predicted winners are bound by {listed(told)}."


def lead(outlook: Outlook) -> str | None:
    """How far the algorithm with the most wins is predicted to be ahead of the second, where it wins."""
    won = outlook.winners
    if won.empty:
        return None
    name = str(won.algorithm.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[0])
    led = won[(won.algorithm == name) & won.lead.notna()]
    if led.empty:
        return None
    mean = float(np.exp(np.log(led.lead).mean()))
    where = "Where it wins" if len(led) > 1 else f"On {led.layer.iloc[0]}"
    over = "" if len(led) == 1 else f", in the geometric mean of {len(led):,} layers"
    return f"{where}, {name} is predicted to be {mean:.2f} times as fast as the best of the others{over}."


def lacking(outlook: Outlook) -> str | None:
    """Which results have no predicted time, and why; None if all have one."""
    if outlook.frame.lacks.isna().all() or outlook.timed.empty:
        return None
    return f"{counted(int(outlook.frame.lacks.notna().sum()), 'result')} without a predicted time: {_reasons(outlook)}."


def _reasons(outlook: Outlook) -> str:
    lacks = outlook.frame[outlook.frame.lacks.notna()]
    told = [
        f"{listed(dict.fromkeys(map(str, rows.algorithm)))} ({str(reason).rstrip('.')})"
        for reason, rows in lacks.groupby("lacks", sort=False)
    ]
    return "; ".join(told[:NAMED]) + (f"; and {counted(len(told) - NAMED, 'other reason')}" if told[NAMED:] else "")


def differences(chapter: Chapter, outlook: Outlook) -> str | None:
    """Where measured and predicted times differ by more than the model's error; None unless both are of one GPU.

    A measured time outside of the bounds of the model counts: of 10 published times, 9 are inside.
    """
    if not outlook.is_device or outlook.timed.empty:
        return None
    measured = chapter.passed.set_index("row")
    both = outlook.timed[outlook.timed.row.isin(measured.index)].copy()
    if both.empty:
        return None
    both["measured"] = [float(measured.median_us[row]) for row in both.row]
    apart = both[(both.measured < both.low_us) | (both.measured > both.high_us)].copy()
    whose = f"of {counted(len(both), 'result')} that were measured and predicted on {outlook.gpu}"
    if apart.empty:
        return f"No measured time {whose} lies outside of the bounds of the model."
    apart["factor"] = np.maximum(apart.measured / apart.us, apart.us / apart.measured)
    apart = apart.sort_values("factor", ascending=False, kind="stable")
    named = [_apart(row) for row in apart.head(NAMED).itertuples()]
    more = f"; and {len(apart) - NAMED:,} more" if len(apart) > NAMED else ""
    return (
        f"{len(apart):,} {whose} lie outside of the bounds of the model, so either the model or the kernel is not "
        f"understood there: {'; '.join(named)}{more}."
    )


def _apart(row: Any) -> str:
    times = f"{row.factor:.1f} times as {'long' if row.measured > row.us else 'short'}"
    told = f"took {duration(row.measured)}, {times} as predicted ({duration(row.us)}; bound by {row.bound})"
    return f"{row.algorithm} on {row.layer} {told}"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
