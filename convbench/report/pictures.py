"""Write figures as PNG files beside a page. They are on white, because a code host may show them on any background."""

from collections.abc import Sequence

from convbench.errors import ConvbenchError
from convbench.report.figures import Figure

try:
    import vl_convert
except ImportError as error:
    raise ConvbenchError(f'pictures need the extra `report`: pip install "convbench[report]" ({error})') from error

PIXELS_PER_INCH = 144


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, at `PIXELS_PER_INCH`."""
    drawn: bytes = vl_convert.vegalite_to_png(
        figure.chart.properties(background="white").to_json(), ppi=PIXELS_PER_INCH
    )
    return drawn


def beside(stem: str, figures: Sequence[Figure]) -> dict[str, tuple[Figure, str]]:
    """The figures by their keys, each with the name of its file beside the page `stem`.

    The file of the first figure has the name of the page.
    """
    return {
        figure.key: (figure, f"{stem}.png" if place == 0 else f"{stem}-{figure.key}.png")
        for place, figure in enumerate(figures)
    }
