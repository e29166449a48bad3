"""Write the report as an HTML page: one file that opens from disk and fetches nothing.

Texts of records reach the page in two ways, both safe: as text that Jinja2 escapes, and as JSON without any character
that could end its element. A Content-Security-Policy allows only this page's own scripts and style, by their hashes. It
also forbids `eval`, which Vega does not need, because it interprets its expressions (`ast: true`).
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from convbench.errors import CONTROLS, ConvbenchError
from convbench.records import Record, latest
from convbench.report import outlook
from convbench.report.chapters import Chapter, chapters
from convbench.report.figures import Figure, Omission, draw
from convbench.report.inert import finalized
from convbench.report.payload import payload, samples
from convbench.report.summary import LOUD, Statement, aside, summary
from convbench.report.tables import MOST_ROWS
from convbench.report.units import listed

try:
    import jinja2
    import vl_convert
    from markupsafe import Markup
except ImportError as error:
    raise ConvbenchError(f'the page needs the extra `report`: pip install "convbench[report]" ({error})') from error

SCRIPTS = "data.js", "columns.js", "details.js", "table.js", "controls.js", "charts.js", "start.js"
SIZE = 14_500_000  # bytes for scripts, charts and records, by an estimate that is a little low; the page has 15 MB
ENVIRONMENTS = 12  # environments that are written out; others are in the details of the table's rows


def to_html(records: Iterable[Record], *, title: str) -> str:
    """One HTML page over the latest record of each measurement: summary, figures, and a table of every result.

    Needs the extra `report`. The page of 50,000 records is less than 15 MB.
    """
    current = latest(records)
    together = chapters(current)
    everything = draw(together)
    drawn = [figure for figure in everything if isinstance(figure, Figure)]
    specifications = to_json({f.key: {"chapter": f.chapter, "chart": _drawable(f.chart.to_dict())} for f in drawn})
    columns = payload(current, together)
    environments = _environments(columns)
    style, script, bundle = _file("page.css"), _script(), _bundle()
    statements = summary(together)
    policy = (
        f"default-src 'none'; script-src {_hash(bundle)} {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    shown = _shown(together, everything)
    page = _template().render(
        title=title,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        bundle=Markup(bundle),
        version=_version(),
        rows=len(current),
        warnings=_warnings(statements),
        deck=next((str(statement) for statement in statements if statement.kind == "whole"), None),
        openings=_openings(statements, {one.heading for one in together if outlook.leading(one)}),
        tallies=_tallies(current),
        chapters=[part for part in shown if part.figures or part.tables or part.omissions],
        emulated=[part for part in shown if part.aside],
        environments=environments[:ENVIRONMENTS],
        more_environments=max(0, len(environments) - ENVIRONMENTS),
        records=_with_samples(to_json(columns), current, SIZE - len(bundle) - len(specifications)),
        specifications=specifications,
    )
    return page.encode(errors="replace").decode()  # a name may have half a surrogate pair, which no file can hold


@dataclass(frozen=True)
class _Shown:
    """What the page shows of a chapter; `aside` is what it shows behind the environment."""

    name: str
    label: str
    figures: list[Figure]
    tables: list[tuple[str, list[str], list[tuple[str, ...]]]]  # heading, header, rows
    omissions: list[Omission]
    aside: list[str]  # sentences on how long the emulator took
    emulated: list[Figure]


def _shown(together: list[Chapter], everything: list[Figure | Omission]) -> list[_Shown]:
    found = []
    for chapter in together:
        mine = [part for part in everything if part.chapter == chapter.heading]
        figures = [part for part in mine if isinstance(part, Figure)]
        omissions = [part for part in mine if isinstance(part, Omission)]
        is_leading = bool(outlook.leading(chapter))
        found.append(
            _Shown(
                chapter.heading,
                _label(chapter),
                [figure for figure in figures if figure.is_predicted or not is_leading],
                [
                    _rows(heading, c)
                    for one in outlook.outlooks(chapter)
                    if not one.timed.empty
                    for heading, c in outlook.tables(chapter, one)
                ],
                omissions,
                [statement.text for statement in aside(chapter)],
                [figure for figure in figures if is_leading and not figure.is_predicted],
            )
        )
    return found


def _label(chapter: Chapter) -> str:
    """The words that follow the heading of a chapter and say what kind of times it shows first."""
    if not outlook.leading(chapter):
        return chapter.label
    return next((one.label for one in outlook.outlooks(chapter) if not one.timed.empty), "")


def _rows(heading: str, columns: outlook.Columns) -> tuple[str, list[str], list[tuple[str, ...]]]:
    rows = [tuple(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return heading, list(columns), rows[:MOST_ROWS]


def _drawable(chart: dict[str, Any]) -> dict[str, Any]:
    """A chart without two characters in its names that Vega's parser of expressions reads as the end of a line."""
    text = json.dumps(chart, ensure_ascii=False).replace("\u2028", " ").replace("\u2029", " ")
    drawable: dict[str, Any] = json.loads(text)
    return drawable


def _with_samples(columns: Markup, records: list[Record], room: int) -> Markup:
    """The columns of all records as JSON, with as many samples as `room`, in bytes, allows."""
    series = to_json(samples(records, room - len(columns.encode(errors="replace"))))
    return Markup(f'{columns[:-1]},"series":{series}}}')


def to_json(data: Any) -> Markup:
    """JSON that is safe anywhere in HTML: no character begins or ends an element or an entity, or is a control."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    for character in "<>&\u2028\u2029":  # the last two end a line in some script parsers
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _warnings(statements: list[Statement]) -> list[tuple[str, str]]:
    """The warnings at the top: large spreads, times that are not from a GPU, and results that are wrong or failed."""
    whose: dict[str, list[str]] = {}
    for statement in statements:
        if statement.kind in LOUD:
            whose.setdefault(statement.text, []).extend([statement.chapter] if statement.chapter else [])
    several = len({statement.chapter for statement in statements if statement.chapter}) > 1
    return [(f"{listed(chapters)}:" if several and chapters else "", text) for text, chapters in whose.items()]


def _openings(statements: list[Statement], predicted: set[str]) -> list[tuple[str, str, list[str]]]:
    """For each chapter: its heading, the sentences on the winner and its lead, and the other sentences.

    The winner is the predicted one in the chapters `predicted`.
    """
    found = []
    for heading in dict.fromkeys(statement.chapter for statement in statements if statement.chapter):
        told = {s.kind: s.text for s in statements if s.chapter == heading and s.kind not in LOUD}
        kinds = ("predicted", "predicted lead") if heading in predicted else ("winner", "lead")
        first = [told.pop(kind) for kind in kinds if kind in told] or [told.pop("what", "")]
        found.append((str(heading), " ".join(first), list(told.values())))
    return found


def _tallies(records: list[Record]) -> list[tuple[str, str]]:
    outcomes = [record.outcome for record in records]
    counts = {
        "results": len(records),
        "algorithms": len({record.algorithm for record in records}),
        "problems": len({record.problem for record in records}),
        **{outcome.replace("_", " "): outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)},
    }
    return [(name, f"{count:,}") for name, count in counts.items()]


def _environments(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The devices and environments, each combination once, with its description and its number of results."""
    texts, coded = columns["texts"], columns["environments"]
    times: list[list[str]] = [[] for _ in coded["words"]]
    for code, when in zip(coded["codes"], texts["when"]["codes"], strict=True):
        times[code].append(texts["when"]["words"][when])
    found = []
    for said, measured in zip(coded["words"], times, strict=True):
        first, last = min(measured), max(measured)
        facts = [("results", f"{len(measured):,}"), ("measured", first if first == last else f"{first} to {last}")]
        facts += [
            (name.replace("_", " "), _spoken(value))
            for name, value in said.items()
            if name not in ("name", "is_gpu") and value is not None
        ]
        found.append({"name": str(said["name"]), "facts": facts})
    return found


def _spoken(value: object) -> str:
    return ", ".join(f"{key} {inner}" for key, inner in value.items()) if isinstance(value, dict) else str(value)


def _hash(text: str) -> str:
    """The source expression of a policy that allows exactly this script or style."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _file(name: str) -> str:
    return (files("convbench.report") / "web" / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """All scripts as one, in a scope of its own."""
    return '(() => {\n"use strict";\n' + "\n".join(map(_file, SCRIPTS)) + "})();\n"


@cache
def _bundle() -> str:
    """The code of Vega, Vega-Lite and vega-embed."""
    text: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the snippet is optional, which its stub omits
    return text.replace("</script", "<\\/script")  # it only occurs within JavaScript strings, where both mean the same


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True, finalize=finalized
    )
    return environment.from_string(_file("page.html.jinja"))


def _version() -> str:
    try:
        return version("convbench")
    except PackageNotFoundError:
        return "from source"
