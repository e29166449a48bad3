"""Write the report as Markdown: a pure function of the records.

Results of different devices, directions or precisions never share a table, and every time that is not from a GPU says
so. A chapter without a GPU leads with predicted times, if its records have any; how long the emulator took is then
behind its environment. Names and reasons may be any text, and are made inert.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from convbench.records import FAILURES, Record
from convbench.report import outlook, tables
from convbench.report.chapters import Chapter, chapters
from convbench.report.inert import inert
from convbench.report.summary import LOUD, Statement, aside, of_chapter, summary

if TYPE_CHECKING:
    from convbench.report.figures import Figure


def to_markdown(
    records: Iterable[Record], *, title: str, pictures: "Mapping[str, tuple[Figure, str]] | None" = None
) -> str:
    """The page: the latest record of each measurement, in one chapter for each set of comparable results.

    Parameters
    ----------
    pictures : figures by their keys, each with the name of its file beside the page; the page shows their readings too
    """
    everything = chapters(records)
    parts = [f"# {inert(title)}"]
    if not everything:
        parts.append("There are no records.")
    parts += [_spoken(statement) for statement in summary(everything) if statement.chapter is None]
    for chapter in everything:
        parts += _chapter(chapter, pictures or {})
    return "\n\n".join(parts) + "\n"


def _spoken(statement: Statement) -> str:
    text = inert(statement.text)
    return f"**{text}**" if statement.kind in LOUD else text


def _chapter(chapter: Chapter, pictures: "Mapping[str, tuple[Figure, str]]") -> list[str]:
    parts = [f"## {inert(chapter.heading)}", *map(_spoken, of_chapter(chapter))]
    figures = [(figure, file) for figure, file in pictures.values() if figure.chapter == chapter.heading]
    parts += _drawn([each for each in figures if each[0].is_predicted])
    predicted = _predicted(chapter)
    measured = _measured(chapter, [each for each in figures if not each[0].is_predicted])
    is_leading = bool(outlook.leading(chapter))
    parts += predicted if is_leading else [*measured, *predicted]
    for outcome, heading in (
        ("refused", "Refused, and why"),
        *((end, end.replace("_", " ").capitalize()) for end in FAILURES),
    ):
        chosen = chapter.frame[chapter.frame.outcome == outcome]
        if not chosen.empty:
            parts += [f"### {heading}", tables.reasons(chosen)]
    parts += ["### Environment", _environment(chapter)]
    if is_leading:
        parts += ["### How long the emulator took", *map(_spoken, aside(chapter)), *measured]
    return parts


def _predicted(chapter: Chapter) -> list[str]:
    """The tables of predicted times."""
    parts = []
    for each in outlook.outlooks(chapter):
        if not each.timed.empty:
            for heading, columns in outlook.tables(chapter, each):
                parts += [f"### {inert(heading)}", tables.table(columns)]
    return parts


def _measured(chapter: Chapter, figures: "list[tuple[Figure, str]]") -> list[str]:
    """The pictures and the tables of measured times."""
    parts = _drawn(figures)
    if chapter.passed.algorithm.nunique() > 1:
        parts += ["### Best of each layer", tables.best(chapter)]
    if not chapter.timed.empty:
        parts += ["### Every layer and algorithm", tables.layers(chapter)]
    if not chapter.passed.empty:
        parts += ["### Totals, each layer as often as it occurs", tables.totals(chapter)]
    if not chapter.timed.empty:
        parts += ["### Where the time goes", tables.costs(chapter)]
    slowed = tables.throttled(chapter)
    if slowed is not None:
        parts += ["### Taken while the GPU was slowed down", slowed]
    return parts


def _drawn(figures: "list[tuple[Figure, str]]") -> list[str]:
    parts = []
    for figure, file in figures:
        title = inert(figure.title)
        parts += [f"### {title}", inert(figure.reading), f"![{title}]({quote(file)})"]
    return parts


def _environment(chapter: Chapter) -> str:
    """The environment of the chapter's last record, and the number of different environments if there are several."""
    records = chapter.records
    last = records[-1]
    timing = next((record.timing for record in records if record.timing), None)
    facts = {
        **{key: value for key, value in last.device.items() if key != "name" and value is not None},
        **last.environment,
        "seed": last.seed,
        "measured": f"{min(r.when for r in records)} to {max(r.when for r in records)}",
    }
    if timing is None:
        facts["timing"] = "nothing was timed"
    else:
        facts |= {f"timing, {series.cache} cache": series.method for series in timing.series}
        facts["host time"] = timing.host_clock
    lines = []
    for key, value in facts.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        lines.append(f"- {inert(key.replace('_', ' '))}: {inert(shown)}")
    environments = len({str((r.device, r.environment, r.seed)) for r in records})
    if environments > 1:
        lines.append(f"- the records come from {environments} different environments; the last one is shown")
    return "\n".join(lines)
