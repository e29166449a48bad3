"""Draw the parts of a convolution as a grid of (C + 1) × (K + 1) images, with Altair.

The left column has the picture and its channels, and the top row has the output maps. The cell in the row of a channel
and the column of a filter shows the contribution of that channel to that filter's map. Colours stand for values, white
for zero; all parts share one colour scale, and all output maps another.
"""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.errors import ConvbenchError
from convbench.layer.maps import Maps

try:
    import altair as alt
    import vl_convert  # noqa: F401  (Altair renders PNG with it)
    from PIL import Image
except ImportError as error:
    raise ConvbenchError(f'pictures need the extra `report`: pip install "convbench[report]" ({error})') from error

PIXELS_PER_INCH = 144
WIDTH = 1600  # of the grid, at 72 pixels per inch; it is wider if images would be smaller than SIDES allows
SIDES = (70, 170)  # smallest and largest side of an image
GAP, HEADING = 14, 30  # between images, and above each
MOST_FILTERS = 128  # the PNG of so many is 22,000 pixels wide

# from the most negative to the most positive value
COLOURS = ("#16407f", "#5b8fc7", "#f7f6f2", "#e08a4f", "#8c2d0b")
FONTS = "DejaVu Sans, Noto Sans, Segoe UI Symbol, sans-serif"  # fonts that have the sign ⋆
INK, FAINT = "#222222", "#6b6b6b"


def save_maps(maps: Maps, path: Path) -> None:
    """Write the picture as PNG. Raises ConvbenchError if there are too many filters, or it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        chart(maps).save(path, format="png", ppi=PIXELS_PER_INCH)
    except OSError as error:
        raise ConvbenchError(f"the picture cannot be written to {path}: {error.strerror}") from error


def chart(maps: Maps) -> alt.LayerChart:
    """The figure. Raises ConvbenchError if there are more than `MOST_FILTERS` filters."""
    problem = maps.problem
    if problem.k > MOST_FILTERS:
        raise ConvbenchError(f"k is {problem.k}; a picture has room for {MOST_FILTERS} filters: {problem}")
    side = min(max(WIDTH // (problem.k + 1) - GAP, SIDES[0]), SIDES[1])
    scale = side / max(problem.h, problem.w)
    width, height = problem.w * scale, problem.h * scale
    cells = pd.DataFrame(_cells(maps))
    cells["url"] = [_url(image, side) for image in cells.pop("image")]
    cells["x"] = cells.column * (width + GAP) + width / 2
    cells["y"] = cells.row * (height + HEADING + GAP) + HEADING + height / 2
    cells["heading_y"] = cells.y - height / 2 - 19
    cells["note_y"] = cells.y - height / 2 - 7
    x = alt.X("x:Q", scale=None, axis=None)
    images = (
        alt.Chart(cells)
        .mark_image(width=width, height=height, aspect=True)
        .encode(x, alt.Y("y:Q", scale=None, axis=None), url="url:N")
    )
    texts = [
        alt.Chart(cells)
        .mark_text(fontSize=size, color=colour, baseline="middle", limit=width + GAP)
        .encode(x, alt.Y(f"{text}_y:Q", scale=None, axis=None), text=f"{text}:N")
        for text, size, colour in (("heading", min(12, side / 7), INK), ("note", min(10, side / 9.5), FAINT))
    ]
    legends = [_legend(title, largest) for title, largest in zip(("parts", "output maps"), _scales(maps), strict=True)]
    layered: alt.LayerChart = (
        alt.layer(images, *texts, *legends)
        .resolve_scale(color="independent")
        .properties(
            width=(problem.k + 1) * (width + GAP) - GAP,
            height=(problem.c + 1) * (height + HEADING + GAP) - GAP,
            title=alt.TitleParams(str(problem), subtitle=_summary(maps), anchor="start", offset=16),
        )
        .configure(font=FONTS)
        .configure_view(stroke=None)
    )
    return layered


def _cells(maps: Maps) -> list[dict[str, object]]:
    """The cells of the grid, each with row, column, image, heading and note."""
    problem, (of_parts, of_outputs) = maps.problem, _scales(maps)
    summed = problem.c // problem.groups
    cells = [_cell(0, 0, np.asarray(maps.picture), "X", f"the picture, {problem.h} × {problem.w}")]
    for c, channel in enumerate(maps.channels):
        light = np.zeros((*channel.shape, 3))
        light[:, :, [c] if problem.c == 3 else [0, 1, 2]] = channel.astype(np.float64)[:, :, None]
        name = ("red", "green", "blue")[c] if problem.c == 3 else "grey"
        cells.append(_cell(c + 1, 0, np.rint(255 * light).astype(np.uint8), f"X(c={c})", name))
    for k, output in enumerate(maps.outputs):
        note = f"{summed} parts" if summed > 1 else "one part"
        note += f", bias {float(maps.bias[k]):+.3f}".replace("-", "−") if problem.bias else ""
        cells.append(_cell(0, k + 1, coloured(output, of_outputs), f"Y(k={k})", note))
    for (c, k), part in maps.parts.items():
        cells.append(_cell(c + 1, k + 1, coloured(part, of_parts), f"X({c}) ⋆ K({k}, {c})", ""))
    return cells


def _cell(row: int, column: int, image: npt.NDArray[np.uint8], heading: str, note: str) -> dict[str, object]:
    return {"row": row, "column": column, "image": image, "heading": heading, "note": note}


def _url(image: npt.NDArray[np.uint8], side: int) -> str:
    """The image as a data URL, in about the number of pixels at which it is shown, so that no renderer blurs it."""
    shown, pixels = Image.fromarray(image), side * PIXELS_PER_INCH // 72
    shown.thumbnail((pixels, pixels), Image.Resampling.BOX)
    times = -(-pixels // max(shown.size))
    shown = shown.resize((shown.width * times, shown.height * times), Image.Resampling.NEAREST)
    file = BytesIO()
    shown.save(file, format="PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def coloured(values: npt.NDArray[np.floating], largest: float) -> npt.NDArray[np.uint8]:
    """Colour values, (P, Q) → (P, Q, 3): the first of COLOURS stands for −largest, the last for +largest."""
    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS])
    place = np.linspace(-1, 1, len(COLOURS))
    scaled = values.astype(np.float64) / (largest or 1.0)
    return np.stack([np.rint(np.interp(scaled, place, stops[:, i])) for i in range(3)], axis=-1).astype(np.uint8)


def _scales(maps: Maps) -> tuple[float, float]:
    """The largest absolute value of all parts, and of all output maps."""
    largest = [np.abs(array.astype(np.float64)).max() for array in (*maps.parts.values(), maps.outputs)]
    return float(max(largest[:-1])), float(largest[-1])


def _legend(title: str, largest: float) -> alt.Chart:
    """The legend of a colour scale, drawn as that of an invisible mark."""
    scale = alt.Scale(domain=list(np.linspace(-largest, largest, len(COLOURS))), range=COLOURS, interpolate="rgb")
    legend = alt.Legend(gradientLength=150, format=".2g", values=[-largest, 0, largest])
    colour = alt.Color("value:Q", scale=scale, title=title, legend=legend)
    unseen: alt.Chart = alt.Chart(pd.DataFrame({"value": [0.0]})).mark_point(opacity=0).encode(color=colour)
    return unseen


def _summary(maps: Maps) -> list[str]:
    """Which algorithms computed the parts and the maps, and how well the sums of parts agree with the maps."""
    verdict = "within" if maps.comparison.passed else "BEYOND"
    made = (
        f"parts X(c) ⋆ K(k, c): one grouped convolution by {maps.parts_algorithm}; "
        f"output maps Y(k): the layer by {maps.layer_algorithm}"
    )
    largest, mean, fraction = maps.largest_error, maps.mean_error, maps.comparison.fraction
    errors = f"|sum of parts − output| ≤ {largest:.2g}, {mean:.2g} on average"
    return [made, f"{errors}: {verdict} the derived bound, {fraction:.2g} of it"]
