"""Figures as PNG files beside a page: on white, for a code host shows them on any background."""

from collections.abc import Sequence

from convbench.errors import ConvbenchError
from convbench.report.figures import Figure

try:
    import vl_convert
except ImportError as error:
    raise ConvbenchError(f'pictures need the extra `report`: pip install "convbench[report]" ({error})') from error

PIXELS_PER_INCH = 144


def to_png(figure: Figure) -> bytes:
    """The picture, at 144 pixels per inch."""
    drawn: bytes = vl_convert.vegalite_to_png(
        figure.chart.properties(background="white").to_json(), ppi=PIXELS_PER_INCH
    )
    return drawn


def beside(stem: str, figures: Sequence[Figure]) -> dict[str, tuple[Figure, str]]:
    """The figures by their keys, with the names of their files beside the page `stem`: the first has the page's own."""
    return {
        figure.key: (figure, f"{stem}.png" if place == 0 else f"{stem}-{figure.key}.png")
        for place, figure in enumerate(figures)
    }
