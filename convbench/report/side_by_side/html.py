"""Write the page of several sources side by side as HTML: one file that has no script and fetches nothing.

The pictures are SVG within images, where no text of a record can run as code. They are on white in the light and in the
dark theme.
"""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from convbench.errors import ConvbenchError
from convbench.report.inert import finalized
from convbench.report.side_by_side.markdown import figures, mean_table, pair_table, sentences
from convbench.report.side_by_side.pairing import Sides

try:
    import jinja2
    import vl_convert
    from markupsafe import Markup
except ImportError as error:
    raise ConvbenchError(f'the page needs the extra `report`: pip install "convbench[report]" ({error})') from error

MOST_ROWS = 20_000  # rows of a table: so many take some megabytes
STYLE = """
.picture { overflow-x: auto; } .picture img { display: block; max-width: 100%; background: #fff; padding: .6rem; }
thead th, td { padding: .4rem .55rem; text-align: left; } td { border-bottom: 1px solid var(--rule); }
"""


def to_html(sides: Sides, *, title: str) -> str:
    """The page, with all pairs of results up to `MOST_ROWS`."""
    style = (files("convbench.report") / "web" / "page.css").read_text(encoding="utf-8") + STYLE
    digest = b64encode(sha256(style.encode()).digest()).decode()
    pairs = pair_table(sides, code=False)
    text = (files("convbench.report") / "web" / "sides.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=finalized)
    template = environment.from_string(text)
    return template.render(
        title=title,
        style=Markup(style),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
        sentences=sentences(sides),
        figures=[(figure, _svg(figure.chart.to_json())) for figure in figures(sides)],
        tables=[
            ("Geometric means", mean_table(sides), 0),
            ("Every pair", (pairs[0], pairs[1][:MOST_ROWS]), max(0, len(pairs[1]) - MOST_ROWS)),
        ],
    )


def _svg(spec: str) -> str:
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return b64encode(drawn.encode()).decode()
