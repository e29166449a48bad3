"""Render a comparison of two sets of records: as Markdown, the most important first, and as plain data for programs.

As in a report, a table only has times of two devices if it compares these devices, and a time that is not from a GPU
says so.
"""

from collections.abc import Sequence
from typing import Any

from convbench.records import Record, comparison, geometric_means, intervals, pairing
from convbench.report.chapters import label_of, named
from convbench.report.frame import is_native
from convbench.report.inert import markdown_table
from convbench.report.units import counted, duration

MOST_LONE = 20  # measurements without a partner that a page names; `to_data` has all


def to_markdown(compared: comparison.Compared, *, old: str, new: str) -> str:
    """The page as Markdown; `old` and `new` are the names of the two sides."""
    parts = [f"# {old} → {new}"]
    if compared.pairs.notice:
        parts.append(f"**{compared.pairs.notice}**")
    parts += [_counts(compared), _rule(compared.threshold)]
    if compared.outcomes:
        turns = [
            (change.turn, *_names(change.pair.new), _outcome(change.pair.old), _outcome(change.pair.new))
            for change in compared.outcomes
        ]
        parts += ["## Outcomes that changed", markdown_table(["", "problem", "algorithm", "OLD", "NEW"], turns)]
    for title, chosen in _by_device(compared).items():
        parts += _chapter(title, chosen)
    parts += [*_lone("OLD", compared.only_old), *_lone("NEW", compared.only_new)]
    if compared.differences:
        rows = [(one.what, one.old, one.new) for one in compared.differences]
        parts += ["## What else differs", markdown_table(["", "OLD", "NEW"], rows)]
    return "\n\n".join(parts)


def _counts(compared: comparison.Compared) -> str:
    verdicts = ", ".join(f"{compared.counts[verdict]:,} {verdict}" for verdict in comparison.VERDICTS)
    text = f"**{counted(len(compared.comparisons), 'comparison')}: {verdicts}.**"
    if compared.outcomes:
        turns = ", ".join(f"{compared.counts[turn]:,} {turn}" for turn in comparison.TURNS if compared.counts[turn])
        text += f" **{counted(len(compared.outcomes), 'outcome')} changed: {turns}.**"
    if compared.untimed:
        text += f" {counted(compared.untimed, 'result')} without times ended as before."
    if compared.pairs.repeated:
        text += f" {counted(compared.pairs.repeated, 'record')} with a later one of the same measurement left out."
    return text


def _rule(threshold: float) -> str:
    low, high = 1 / (1 + threshold), 1 + threshold
    return (
        f"Ratios are of medians, NEW / OLD, with intervals of {intervals.LEVEL:.0%}. Below 1, NEW is faster; above 1, "
        "it is slower. Slower or faster: by "
        f"{threshold * 100:.3g}% or more, where noise does that with a chance of at most {comparison.EACH:.0%} in one "
        f"comparison, and {comparison.ALL:.0%} in all together. The same: the interval is within {low:.4g} and "
        f"{high:.4g}."
    )


def _chapter(title: str, chosen: Sequence[comparison.Comparison]) -> list[str]:
    several = {
        "direction": len({one.pair.new.direction for one in chosen}) > 1,
        "precision": len({one.pair.new.precision for one in chosen}) > 1,
        "layer": len({(*_work(one.pair.new), one.cache) for one in chosen}) < len(chosen),
        "config": len({(*_work(one.pair.new), *_place(one.pair.new), one.cache) for one in chosen}) < len(chosen),
    }
    extra = [what for what, is_needed in several.items() if is_needed]
    header = [
        "", "problem", "algorithm", *extra, "cache", f"OLD{_label([one.pair.old for one in chosen])}",
        f"NEW{_label([one.pair.new for one in chosen])}", "NEW / OLD",
        "interval", "why undecided",
    ]  # fmt: skip
    rows = [
        (
            one.verdict, f"`{one.pair.new.problem}`", named(one.pair.new.algorithm, is_native(one.pair.new)),
            *(_config(getattr(one.pair.new, what)) for what in extra), one.cache, duration(one.old_us),
            duration(one.new_us), f"{one.ratio:.3f}", _interval(one.interval), one.reason or "",
        )
        for one in chosen
    ]  # fmt: skip
    parts = [f"## {title}"]
    if found := geometric_means.means(chosen):
        of = [(one.name, one.cache, one.count, f"{one.ratio:.3f}", _interval((one.low, one.high))) for one in found]
        heads = ["", "cache", "comparisons", f"NEW / OLD{_label([one.pair.new for one in chosen])}", "interval"]
        parts += ["### Geometric means", markdown_table(heads, of)]
    return [*parts, "### Every comparison", markdown_table(header, rows)]


def _work(record: Record) -> tuple[str, ...]:
    return record.problem, record.direction, record.algorithm, record.precision


def _place(record: Record) -> tuple[str, ...]:
    return record.workload, record.layer


def _config(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {setting}" for key, setting in value.items()) or "–"


def _label(records: Sequence[Record]) -> str:
    """The words that follow the name of a column of times; empty for a GPU."""
    device = records[0].device
    return label_of(str(device["clock"]), bool(device["is_gpu"]), map(is_native, records))


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _outcome(record: Record) -> str:
    return record.outcome.replace("_", " ") + (f": {record.reason}" if record.reason else "")


def _names(record: Record) -> tuple[str, str]:
    """The problem; and the algorithm, with the direction and the config if they are not the usual ones."""
    rest: list[str] = [] if record.direction == "forward" else [record.direction]
    rest += [_config(record.config)] if record.config else []
    return f"`{record.problem}`", record.algorithm + (f" ({', '.join(rest)})" if rest else "")


def _lone(side: str, found: Sequence[comparison.Lone]) -> list[str]:
    """The section on measurements of one side that have no partner on the other."""
    if not found:
        return []
    rows = [
        (
            *_names(one.record),
            f"{one.cache} samples" if one.cache else _outcome(one.record),
            pairing.device_of(one.record),
        )
        for one in found[:MOST_LONE]
    ]
    parts = [f"## Only in {side}: {len(found):,}", markdown_table(["problem", "algorithm", "what", "device"], rows)]
    return parts if len(found) <= MOST_LONE else [*parts, f"And {len(found) - MOST_LONE:,} more, which `--json` lists."]


def _by_device(compared: comparison.Compared) -> dict[str, list[comparison.Comparison]]:
    found: dict[str, list[comparison.Comparison]] = {}
    for one in compared.comparisons:
        devices = dict.fromkeys((pairing.device_of(one.pair.old), pairing.device_of(one.pair.new)))
        found.setdefault(" → ".join(devices), []).append(one)
    return found


def to_data(compared: comparison.Compared) -> dict[str, Any]:
    """The comparison as data for JSON. Times are in microseconds, and ratios are NEW over OLD."""
    return {
        "threshold": compared.threshold,
        "notice": compared.pairs.notice,
        "counts": compared.counts,
        "comparisons": [
            {
                **_identity(one.pair.new), "cache": one.cache, "verdict": one.verdict, "reason": one.reason,
                "old_us": one.old_us, "new_us": one.new_us, "ratio": one.ratio, "interval": one.interval,
                "p": None if one.evidence is None else one.evidence.p, "p_of_all": one.p,
            }
            for one in compared.comparisons
        ],
        "means": [
            {"device": title, **vars(mean)}
            for title, chosen in _by_device(compared).items()
            for mean in geometric_means.means(chosen)
        ],
        "outcomes": [
            {
                **_identity(change.pair.new), "turn": change.turn, "old": change.pair.old.outcome,
                "new": change.pair.new.outcome, "old_reason": change.pair.old.reason,
                "new_reason": change.pair.new.reason,
            }
            for change in compared.outcomes
        ],
        "untimed": compared.untimed,
        "repeated": compared.pairs.repeated,
        "only_old": [_lone_data(one) for one in compared.only_old],
        "only_new": [_lone_data(one) for one in compared.only_new],
        "differences": [vars(one) for one in compared.differences],
    }  # fmt: skip


def _identity(record: Record) -> dict[str, Any]:
    return {
        "problem": record.problem, "direction": record.direction, "algorithm": record.algorithm,
        "precision": record.precision, "config": record.config, "device": pairing.device_of(record),
        "workload": record.workload, "layer": record.layer,
    }  # fmt: skip


def _lone_data(one: comparison.Lone) -> dict[str, Any]:
    return {**_identity(one.record), "cache": one.cache, "outcome": one.record.outcome}
