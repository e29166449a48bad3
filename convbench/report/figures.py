"""Make the pictures of a report: each is a chart with a title, and with one line that tells its result.

The line is computed from the data.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from convbench.errors import ConvbenchError
from convbench.records import Record
from convbench.report.chapters import Chapter, chapters
from convbench.report.outlook import outlooks
from convbench.report.palette import looks

try:
    from convbench.report.charts.baseline import ratio_to_baseline
    from convbench.report.charts.costs import compile_time, time_by_phase, workspace
    from convbench.report.charts.front import error_against_speed
    from convbench.report.charts.pieces import Canvas, Drawn
    from convbench.report.charts.predicted import predicted_times
    from convbench.report.charts.roofline import roofline
    from convbench.report.charts.speed import speed_by_layer, winner_map
    from convbench.report.charts.spread import fraction_of_bound, spread_of_samples
except ImportError as error:
    raise ConvbenchError(f'pictures need the extra `report`: pip install "convbench[report]" ({error})') from error

MOST_MARKS = 2000  # marks of one chart; the chapters of a page share them
FEWEST_MARKS = 300  # each chart may have so many, however many chapters there are
Theme = tuple[str, str, Callable[[Canvas], Drawn | str]]
THEMES: tuple[Theme, ...] = (
    ("speed", "Speed by layer", speed_by_layer),
    ("winners", "Who wins where", winner_map),
    ("roofline", "Roofline", roofline),
    ("baseline", "Against the baseline", ratio_to_baseline),
    ("phases", "Time by phase", time_by_phase),
    ("front", "Error against speed", error_against_speed),
    ("bound", "Fraction of the error bound", fraction_of_bound),
    ("spread", "Spread of the samples", spread_of_samples),
    ("compile", "Compile time", compile_time),
    ("workspace", "Workspace memory", workspace),
)


@dataclass(frozen=True)
class Figure:
    """One picture.

    Parameters
    ----------
    key : its name in file names and addresses, unique on a page: lower-case letters, digits, dashes
    title : the subject of the picture
    reading : the result that the picture shows, in one line
    chart : an Altair chart with a transparent background and no theme. If each mark is one record, the chart's
        parameter `pick` selects marks by the field `row`, the number of the record in `to_frame`.
    chapter : the heading of its chapter
    is_predicted : whether it shows predicted times, and no measured ones
    """

    key: str
    title: str
    reading: str
    chart: Any
    chapter: str
    is_predicted: bool = False


@dataclass(frozen=True)
class Omission:
    """A picture that is not drawn, and the reason."""

    title: str
    reason: str
    chapter: str


def figures(records: Iterable[Record]) -> list[Figure]:
    """Every picture that the records have data for, chapter by chapter."""
    return [drawn for drawn in draw(chapters(records)) if isinstance(drawn, Figure)]


def omitted(records: Iterable[Record]) -> list[Omission]:
    """Every picture that is left out, and the reason."""
    return [drawn for drawn in draw(chapters(records)) if isinstance(drawn, Omission)]


def draw(of: Iterable[Chapter]) -> list[Figure | Omission]:
    """The ten pictures of each chapter that has times. A picture without data is an omission with its reason.

    A chapter with predicted times has a picture of them, too, which comes first where there is no GPU.
    """
    found: list[Figure | Omission] = []
    everything = [chapter for chapter in of if not chapter.passed.empty]
    known = looks((str(a), str(f)) for chapter in everything for a, f in chapter.families)
    limit = max(MOST_MARKS // max(len(everything), 1), FEWEST_MARKS)
    slugs: set[str] = set()
    for chapter in everything:
        slug = slug_of(chapter.heading, slugs)
        canvas = Canvas(chapter, known, limit)
        for key, title, theme in _themes(chapter):
            drawn = theme(canvas)
            if isinstance(drawn, str):
                found.append(Omission(title, drawn, chapter.heading))
            else:
                chart = drawn.chart.properties(background="transparent", description=drawn.reading)
                is_predicted = theme is predicted_times
                found.append(Figure(f"{slug}-{key}", title, drawn.reading, chart, chapter.heading, is_predicted))
    return found


def _themes(chapter: Chapter) -> tuple[Theme, ...]:
    """The pictures of a chapter in their order; one of predicted times only if it has any."""
    if not any(one.timed.size for one in outlooks(chapter)):
        return THEMES
    own: Theme = ("predicted", "Predicted time by layer", predicted_times)
    return (*THEMES, own) if chapter.is_gpu else (own, *THEMES)


def slug_of(heading: str, taken: set[str]) -> str:
    """A heading as part of a file name. It differs from all names in `taken`, and is added to them."""
    plain = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "chapter"
    slug = next(
        name
        for number in range(1, len(taken) + 2)
        if (name := plain if number == 1 else f"{plain}-{number}") not in taken
    )
    taken.add(slug)
    return slug
