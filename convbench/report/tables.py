"""Write the tables of a chapter as Markdown."""

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from convbench.report.chapters import LAYER, Chapter, named
from convbench.report.inert import inert, markdown_table
from convbench.report.units import (
    NOTHING,
    counted,
    duration,
    durations,
    interval,
    listed,
    missing,
    number,
    percent,
    phases,
    rate_unit,
    size,
)

SLOWED = " (all slowed down)"  # follows a median of nothing but samples that do not count
MOST_ROWS = 1000  # rows of one table: code hosts do not render pages of several megabytes


def best(chapter: Chapter) -> str:
    """The fastest result of each layer; of equally fast ones, all names."""
    passed = chapter.passed
    found = passed.loc[passed.groupby(LAYER, sort=False).median_us.idxmin()]
    unit, scale = rate_unit(found.tflops)
    equal = passed[passed.median_us == passed.best_us]
    best = (
        equal.assign(name=_algorithms(equal)).groupby(LAYER, sort=False).name.agg(lambda names: listed(names.unique()))
    )
    return table(
        {
            "layer": found.layer,
            "count": found["count"],
            "problem": [f"`{text}`" for text in found.problem],
            "best": [str(best[key]) for key in found[LAYER].itertuples(index=False, name=None)],
            f"median{chapter.label}": found.median_us.map(duration),
            f"{unit}{chapter.label}": (found.tflops * scale).map(number),
        }
    )


def layers(chapter: Chapter) -> str:
    """Every result, the fastest of each layer first, with the times for both cache states if both were timed.

    Results whose samples were all taken while the GPU was slowed down come last in their layer, and have no rank.
    """
    label = chapter.label
    timed = chapter.timed.assign(best_us=chapter.passed.best_us.reindex(chapter.timed.index))
    place = timed.groupby(LAYER, sort=False).ngroup()
    order = timed.assign(place=place).sort_values(["place", "slowed", "median_us"], kind="stable")
    order["tflops"] = order.tflops.where(order.best_us.notna())
    unit, scale = rate_unit(order.tflops)
    columns = _who(order)
    for cache in ("warm", "cold"):
        if order[f"{cache}_us"].notna().any():
            medians = zip(order[f"{cache}_us"], order[f"{cache}_slowed"], strict=True)
            columns[f"{cache} cache{label}"] = [durations(us) + (SLOWED if slow else "") for us, slow in medians]
            bounds = zip(order[f"{cache}_low_us"], order[f"{cache}_high_us"], strict=True)
            if order[f"{cache}_low_us"].notna().any():  # with too few samples, there is no interval
                columns[f"{cache}, 95 % interval{label}"] = [interval(low, high) for low, high in bounds]
    columns |= {
        "spread (IQR)": order.spread.map(percent),
        f"{unit}{label}": (order.tflops * scale).map(number),
        "of best": (order.best_us / order.median_us).map(lambda ratio: NOTHING if missing(ratio) else f"{ratio:.2f}"),
        "of bound": order.fraction.map(number),
        "rms error, ulp": order.rms_error_ulp.map(number),
        "worst error, ulp": order.worst_error_ulp.map(number),
        "exact": order.exact.map({True: "yes", False: NOTHING}),
    }
    return table(columns)


def costs(chapter: Chapter) -> str:
    """The costs of each result: phases, preparing, compiling, host time, launch overhead on a GPU, and workspace."""
    passed, label = chapter.timed, chapter.label
    columns = {
        **_who(passed),
        "phases of a run": passed.phases_us.map(phases),
        f"prepare{label}": passed.prepare_us.map(durations),
        f"compile{label}": (passed.compile_s * 1e6).map(lambda us: duration(us) if us else NOTHING),
        f"host{label}": passed.host_us.map(durations),
    }
    if passed.queue_us.notna().any():
        columns[f"host, to queue one run{label}"] = passed.queue_us.map(durations)
    return table({**columns, "workspace": passed.workspace_bytes.map(size)})


def totals(chapter: Chapter) -> str:
    """Sums over layers. A sum leaves out the layers on which its algorithm has no result, and the table says so."""
    passed, everything = chapter.passed, chapter.frame.groupby(LAYER).ngroups
    single = passed.sort_values("median_us", kind="stable").drop_duplicates([*LAYER, "algorithm"])
    weighted = single.assign(total_us=single.median_us * single["count"])
    fastest = passed.drop_duplicates(LAYER)
    rows = [("the best of each layer", len(fastest), float((fastest.best_us * fastest["count"]).sum()))]
    rows += [
        (_algorithms(group)[0], len(group), float(group.total_us.sum())) for _, group in weighted.groupby("algorithm")
    ]
    rows.sort(key=lambda row: (-row[1], row[2]))
    return table(
        {
            "algorithm": [name for name, _, _ in rows],
            "layers": [f"{count} of {everything}" for _, count, _ in rows],
            f"total of the medians{chapter.label}": [duration(total) for _, _, total in rows],
        }
    )


def throttled(chapter: Chapter) -> str | None:
    """The results that have throttled samples, with how many they have; None if there are none."""
    passed = chapter.timed
    slowed = passed[passed[["throttled", "warm_throttled", "cold_throttled"]].fillna(0).max(axis=1) > 0]
    if slowed.empty:
        return None
    columns = {
        f"{cache} cache": [
            "all of its samples" if every else _count(count)
            for count, every in zip(slowed[f"{cache}_throttled"], slowed[f"{cache}_slowed"], strict=True)
        ]
        for cache in ("warm", "cold")
    }
    return table({**_who(slowed), **columns})


def reasons(chosen: pd.DataFrame) -> str:
    """The reasons why results have no times; refusals that are about the dtype alone are one sentence."""
    for_other = chosen.outcome.eq("refused") & _about_dtype(chosen)
    others, rest = chosen[for_other], chosen[~for_other]
    parts = []
    if not others.empty:
        names = sorted({f"{inert(row.algorithm)} ({inert(_dtypes(row))})" for row in others.itertuples()})
        one = others.algorithm.nunique() == 1
        count = counted(others.algorithm.nunique(), "algorithm")
        parts.append(f"{count} {'is' if one else 'are'} for other dtypes: {', '.join(names)}.")
    if not rest.empty:
        parts.append(table({**_who(rest), "reason": rest.reason}))
    return "\n\n".join(parts)


def _about_dtype(chosen: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the reason is that of `Algorithm.refuses` for a dtype that the algorithm does not list."""
    rows = zip(chosen.reason, chosen["dtype"], chosen.algorithm, strict=True)
    return pd.Series(
        [str(reason).startswith(f"dtype {dtype}: {algorithm} has ") for reason, dtype, algorithm in rows],
        index=chosen.index, dtype=bool,
    )  # fmt: skip


def _dtypes(row: Any) -> str:
    """The dtypes that an algorithm has, from its reason for refusing another one."""
    return str(row.reason).partition(f": {row.algorithm} has ")[2]


def _who(chosen: pd.DataFrame) -> dict[str, Iterable[object]]:
    """The columns that identify a result: layer, algorithm, and config if one algorithm ran a layer in several configs.

    The config only shows the fields in which these configs differ.
    """
    columns: dict[str, Iterable[object]] = {"layer": chosen.layer, "algorithm": _algorithms(chosen)}
    who = [*LAYER, "algorithm"]
    if chosen.duplicated(who).any():
        columns["config"] = chosen.groupby(who, sort=False).config.transform(_differences)
    return columns


def _algorithms(chosen: pd.DataFrame) -> list[str]:
    """The algorithm of each row; for a native baseline with times, with the word that says so."""
    rows = zip(chosen.algorithm, chosen.is_native & (chosen.outcome == "passed"), strict=True)
    return [named(str(algorithm), bool(native)) for algorithm, native in rows]


def _differences(configs: "pd.Series[str]") -> list[str]:
    """For each of some configs, given as JSON, the fields in which they are not all the same."""
    found = [json.loads(config) for config in configs]
    names = [
        name
        for name in dict.fromkeys(name for config in found for name in config)
        if any(config.get(name, NOTHING) != found[0].get(name, NOTHING) for config in found)
    ]
    return [", ".join(f"{name}={config[name]}" for name in names if name in config) or NOTHING for config in found]


def _count(samples: float | None) -> str:
    return NOTHING if samples is None or missing(samples) else f"{samples:.0f}"


def table(columns: dict[str, Iterable[object]]) -> str:
    """A table as Markdown: its first `MOST_ROWS` rows, and the number of rows left out."""
    rows = list(zip(*columns.values(), strict=True))
    text = markdown_table(list(columns), rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        text += (
            f"\n\n{len(rows) - MOST_ROWS:,} more rows are left out; `--format csv` and `--format html` have them all."
        )
    return text
