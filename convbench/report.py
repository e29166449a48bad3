"""The report: a pure function from records to Markdown, by pandas.

Results of different devices or directions never share a table, and a time that is not a GPU's says so wherever it
stands.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from convbench.record import FAILURES, Record, latest
from convbench.tables import markdown_table


def to_markdown(records: Iterable[Record], *, title: str, picture: str | None = None) -> str:
    """A page over the latest record of each measurement; `picture` is a file beside it.

    One chapter for each device and direction.
    """
    current = latest(records)
    parts = [f"# {title}"]
    if picture is not None:
        parts.append(
            f"![Time of each algorithm and layer, and the fraction of the error bound that it used]({picture})"
        )
    if not current:
        parts.append("There are no records.")
    for chapter in dict.fromkeys(map(_chapter_of, current)):
        parts += _chapter([record for record in current if _chapter_of(record) == chapter])
    return "\n\n".join(parts) + "\n"


def _chapter_of(record: Record) -> tuple[str, str, str]:
    """What two records of one table have in common: whose times they have, and of which direction."""
    return record.device["name"], record.device["clock"], record.direction


def to_frame(records: Sequence[Record]) -> pd.DataFrame:
    """One row per record: what the tables, and a notebook, are made from."""
    return pd.DataFrame(
        [
            {
                "workload": record.workload,
                "layer": record.layer,
                "problem": record.problem,
                "direction": record.direction,
                "count": record.count,
                "algorithm": record.algorithm,
                "outcome": record.outcome,
                "reason": record.reason,
                "median_us": record.timing.median_us if record.timing else None,
                "spread": record.timing.spread if record.timing else None,
                "tflops": record.tflops,
                "fraction": record.fraction,
                "exact": record.exact,
                "workspace_bytes": record.workspace_bytes,
                "phases_us": record.timing.phases_us if record.timing else None,
                "prepare_us": record.timing.prepare_us if record.timing else None,
                "compile_s": record.timing.compile_s if record.timing else None,
                "device": record.device["name"],
                "clock": record.device["clock"],
            }
            for record in records
        ]
    )


def _chapter(records: Sequence[Record]) -> list[str]:
    first, frame = records[0], to_frame(records)
    passed = frame[frame.outcome == "passed"].copy()
    direction = "" if first.direction == "forward" else f", {first.direction}"
    parts = [f"## {first.device['name']}{direction}", _summary(first, frame)]
    if not passed.empty:
        passed["best_us"] = passed.groupby(["workload", "layer", "problem"]).median_us.transform("min")
        label = _label(first)
        parts += ["### Best of each layer", _best(passed, label)]
        parts += ["### Every layer and algorithm", _layers(passed, label)]
        parts += ["### Totals, each layer as often as it occurs", _totals(passed, frame, label)]
        parts += ["### Where the time goes", _costs(passed, label)]
    for outcome, heading in (
        ("refused", "Refused, and why"),
        *((end, end.replace("_", " ").capitalize()) for end in FAILURES),
    ):
        chosen = frame[frame.outcome == outcome]
        if not chosen.empty:
            parts += [f"### {heading}", _reasons(chosen)]
    parts += ["### Environment", _environment(records)]
    return parts


def _summary(first: Record, frame: pd.DataFrame) -> str:
    counts = ", ".join(
        f"{count} {str(outcome).replace('_', ' ')}" for outcome, count in frame.outcome.value_counts().items()
    )
    bad = int(frame.outcome.isin(FAILURES).sum())
    verified = "Every time below is of a verified result" if bad == 0 else f"**{bad} results are wrong or failed**"
    lines = [f"{len(frame)} results: {counts}. {verified}."]
    if not first.device["is_gpu"]:
        lines.append(f"**Times are {first.device['clock']}**: they say how long it took here, and nothing about a GPU.")
    return "\n\n".join(lines)


def _label(first: Record) -> str:
    """What follows the name of a column of times: the last words of the clock, unless it is a GPU's."""
    return "" if first.device["is_gpu"] else f" ({first.device['clock'].rpartition(', ')[2]})"


def _best(passed: pd.DataFrame, label: str) -> str:
    best = passed.loc[passed.groupby(["workload", "layer", "problem"], sort=False).median_us.idxmin()]
    unit, scale = _rate_unit(best.tflops)
    return _table(
        {
            "layer": best.layer,
            "count": best["count"],
            "problem": [f"`{text}`" for text in best.problem],
            "best": best.algorithm,
            f"median{label}": best.median_us.map(duration),
            f"{unit}{label}": (best.tflops * scale).map(_number),
        }
    )


def _layers(passed: pd.DataFrame, label: str) -> str:
    rows = passed.sort_values("median_us").groupby(["workload", "layer", "problem"], sort=False)
    order = pd.concat(
        [rows.get_group(key) for key in passed.groupby(["workload", "layer", "problem"], sort=False).groups]
    )
    unit, scale = _rate_unit(order.tflops)
    return _table(
        {
            "layer": order.layer,
            "algorithm": order.algorithm,
            f"median{label}": order.median_us.map(duration),
            "spread (IQR)": (order.spread * 100).map(lambda percent: f"{percent:.1f} %"),
            f"{unit}{label}": (order.tflops * scale).map(_number),
            "of best": (order.best_us / order.median_us).map(lambda ratio: f"{ratio:.2f}"),
            "of bound": order.fraction.map(_number),
            "exact": order.exact.map({True: "yes", False: "–"}),
        }
    )


def _costs(passed: pd.DataFrame, label: str) -> str:
    return _table(
        {
            "layer": passed.layer,
            "algorithm": passed.algorithm,
            "phases of a run": passed.phases_us.map(_phases),
            f"prepare{label}": passed.prepare_us.map(duration),
            f"compile{label}": (passed.compile_s * 1e6).map(lambda us: duration(us) if us else "–"),
            "workspace": passed.workspace_bytes.map(_bytes),
        }
    )


def _totals(passed: pd.DataFrame, frame: pd.DataFrame, label: str) -> str:
    """Sums over layers; an algorithm that lacks layers is completed by nothing, and says how many it lacks."""
    layers = frame.groupby(["workload", "layer", "problem"]).ngroups
    weighted = passed.assign(total_us=passed.median_us * passed["count"])
    best = passed.drop_duplicates(["workload", "layer", "problem"])
    rows = [("the best of each layer", len(best), float((best.best_us * best["count"]).sum()))]
    rows += [
        (str(name), len(group), float(group.total_us.sum())) for name, group in weighted.groupby("algorithm", sort=True)
    ]
    rows.sort(key=lambda row: (-row[1], row[2]))
    return _table(
        {
            "algorithm": [name for name, _, _ in rows],
            "layers": [f"{count} of {layers}" for _, count, _ in rows],
            f"total of the medians{label}": [duration(total) for _, _, total in rows],
        }
    )


def _reasons(chosen: pd.DataFrame) -> str:
    return _table({"layer": chosen.layer, "algorithm": chosen.algorithm, "reason": chosen.reason})


def _environment(records: Sequence[Record]) -> str:
    """Everything that was the same for all records, and how many differ in the rest."""
    last = records[-1]
    facts = {
        **{key: value for key, value in last.device.items() if key != "name"},
        **last.environment,
        "seed": last.seed,
        "measured": f"{min(r.when for r in records)} to {max(r.when for r in records)}",
        "timing": next((r.timing.method for r in records if r.timing), "nothing was timed"),
    }
    lines = []
    for key, value in facts.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        lines.append(f"- {key.replace('_', ' ')}: {shown}")
    environments = len({str((r.device, r.environment, r.seed)) for r in records})
    if environments > 1:
        lines.append(f"- the records come from {environments} different environments; the last one is shown")
    return "\n".join(lines)


def _table(columns: dict[str, Iterable[object]]) -> str:
    return markdown_table(list(columns), zip(*columns.values(), strict=True))


def duration(us: float) -> str:
    """Three significant digits in the unit that suits."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:#.3g}".rstrip(".") + f" {unit}"
    return f"{us:#.3g}".rstrip(".") + " µs"


def _rate_unit(tflops: "pd.Series[float]") -> tuple[str, float]:
    """The largest unit in which the fastest is at least 1."""
    for unit, scale in (("TFLOP/s", 1.0), ("GFLOP/s", 1e3), ("MFLOP/s", 1e6)):
        if tflops.max() * scale >= 1:
            return unit, scale
    return "kFLOP/s", 1e9


def _number(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.3g}"


def _bytes(value: float | None) -> str:
    if value is None or pd.isna(value) or value == 0:
        return "–"
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"


def _phases(phases_us: dict[str, float] | None) -> str:
    """The share of each phase in their sum."""
    if not phases_us:
        return "–"
    total = sum(phases_us.values())
    return ", ".join(f"{name} {us / total:.0%}" for name, us in phases_us.items())
