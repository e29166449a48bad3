"""One colour and one shape for each algorithm, the same in every picture of a page.

The eight colours and the grey of the baselines keep a distance of 0.1 in OKLab (Ottosson 2020), seen with normal,
protanope, deuteranope and tritanope eyes (Machado, Oliveira & Fernandes 2009, table 1), and stand out from white and
from a dark page alike; a test has the figures. They began as those of Okabe & Ito 2008 and were moved apart. Shapes
say the same again, for eyes and printers that tell no colours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = "#436692", "#25b9ff", "#ef9711", "#d16d0d", "#b863cd", "#9b00e4", "#86a88b", "#a84b00"
BASELINE = "#808080"
SHAPES = "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"
# the shipped algorithms have theirs on every page: neighbours in hue are relatives
SHIPPED = (
    "direct", "direct_tiled", "im2col_gemm", "implicit_gemm", "winograd_2x2_3x3", "winograd_4x4_3x3", "fft_tiled",
    "depthwise",
)  # fmt: skip
PHASES = "#9fb2c4", "#7fb5b0", "#cbb994", "#b9a3c6", "#b3b3b3"  # of a run: paler than any algorithm, with dark text


@dataclass(frozen=True)
class Look:
    """How the marks of an algorithm look."""

    colour: str
    shape: str


def looks(families: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """The look of each algorithm, from (algorithm, family) pairs: the shipped ones' own, what is free for others."""
    named = dict(families)
    found: dict[str, Look] = {}
    baselines = sorted(name for name, family in named.items() if family == "baseline")
    for place, name in enumerate(baselines):
        found[name] = Look(BASELINE, SHAPES[place % len(SHAPES)])
    shipped = {name: SHIPPED.index(name) for name in named if name in SHIPPED and name not in found}
    others = sorted(name for name in named if name not in found and name not in shipped)
    free = [slot for slot in range(len(COLOURS)) if slot not in shipped.values()]
    # all colours again, when the free ones are used up, but with other shapes
    again = range(len(COLOURS), len(COLOURS) + len(others))
    for name, slot in [*shipped.items(), *zip(others, [*free, *again], strict=False)]:
        turn, place = divmod(slot, len(COLOURS))
        found[name] = Look(COLOURS[place], SHAPES[(place + turn) % len(SHAPES)])
    return found
