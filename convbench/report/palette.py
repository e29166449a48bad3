"""The palette: one colour and one shape for each algorithm, the same in every picture of a page.

The eight colours and the grey of the baselines have a distance of at least 0.1 in OKLab (Ottosson 2020), for normal,
protanope, deuteranope and tritanope vision (Machado, Oliveira & Fernandes 2009, table 1). They stand out from a white
page and from a dark one; a test checks all this. They are the colours of Okabe & Ito 2008, moved apart. Shapes repeat
the information for eyes and printers that do not tell colours apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = "#436692", "#25b9ff", "#ef9711", "#d16d0d", "#b863cd", "#9b00e4", "#86a88b", "#a84b00"
BASELINE = "#808080"
SHAPES = "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"
# these have the same colours and shapes on every page; related algorithms have similar hues
SHIPPED = (
    "direct", "direct_tiled", "im2col_gemm", "implicit_gemm", "winograd_2x2_3x3", "winograd_4x4_3x3", "fft_tiled",
    "depthwise",
)  # fmt: skip
PHASES = "#9fb2c4", "#7fb5b0", "#cbb994", "#b9a3c6", "#b3b3b3"  # phases of a run: pale, because dark text is on them


@dataclass(frozen=True)
class Look:
    """How the marks of an algorithm look."""

    colour: str
    shape: str


def looks(families: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """The look of each algorithm, from pairs (algorithm, family). Algorithms not in `SHIPPED` get the free looks."""
    named = dict(families)
    found: dict[str, Look] = {}
    baselines = sorted(name for name, family in named.items() if family == "baseline")
    for place, name in enumerate(baselines):
        found[name] = Look(BASELINE, SHAPES[place % len(SHAPES)])
    shipped = {name: SHIPPED.index(name) for name in named if name in SHIPPED and name not in found}
    others = sorted(name for name in named if name not in found and name not in shipped)
    free = [slot for slot in range(len(COLOURS)) if slot not in shipped.values()]
    # when the free colours are used up, all colours are used again, with other shapes
    again = range(len(COLOURS), len(COLOURS) + len(others))
    for name, slot in [*shipped.items(), *zip(others, [*free, *again], strict=False)]:
        turn, place = divmod(slot, len(COLOURS))
        found[name] = Look(COLOURS[place], SHAPES[(place + turn) % len(SHAPES)])
    return found
