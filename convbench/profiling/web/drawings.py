"""Drawings of a profile as SVG: one request of a warp over the banks or the sectors, and the roofline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from convbench.profiling.chips import WARP

BANKS, WORD, LINE, SECTOR = 32, 4, 128, 32
CELL, LEFT, TOP = 20, 56, 18  # the side of a cell, and the room for names
MOST_ROWS = 24  # of a picture; the others are counted below it


@dataclass(frozen=True)
class Drawn:
    """A drawing, and one line on what it shows."""

    svg: str
    reading: str


def request(space: str, lanes: Sequence[int | None], width: int) -> Drawn:
    """One request of a warp, whose lanes access `width` bytes each, from a multiple of 128 bytes on."""
    words: dict[int, list[int]] = {}  # the lanes that ask for each word
    for lane, begin in enumerate(lanes):
        if begin is not None:
            for word in range(begin // WORD, (begin + max(width, 1) - 1) // WORD + 1):
                words.setdefault(word, []).append(lane)
    rows = sorted({word // BANKS for word in words})
    shown = rows[:MOST_ROWS]
    is_shared = space == "shared"
    parts = [_text(LEFT + (bank + 0.5) * CELL, TOP - 5, bank, "middle", "quiet") for bank in range(BANKS)]
    served: set[int] = set()  # banks that have a word above
    for place, row in enumerate(shown):
        y = TOP + place * CELL
        parts.append(_text(LEFT - 6, y + CELL * 0.65, f"+{row * LINE} B", "end", "quiet"))
        for bank in range(BANKS):
            word = row * BANKS + bank
            sector = {word // 8 * 8 + part for part in range(8)}
            kind = "cell"
            if word in words:
                # up to 32 bits, all lanes share one pass, so another word of the bank waits for the next
                kind = "again" if is_shared and width <= WORD and bank in served else "used"
                served.add(bank)
            elif not is_shared and sector & words.keys():
                kind = "moved"
            parts.append(_cell(LEFT + bank * CELL, y, kind))
            if word in words:
                parts.append(_text(LEFT + (bank + 0.5) * CELL, y + CELL * 0.65, _named(words[word]), "middle"))
    height = TOP + len(shown) * CELL + 4
    if not is_shared:
        for place in range(len(shown)):
            for part in range(LINE // SECTOR + 1):
                x, y = LEFT + part * 8 * CELL, TOP + place * CELL
                parts.append(f'<line class="roof" x1="{x}" y1="{y}" x2="{x}" y2="{y + CELL}"/>')
    reading = _shared_reading(words, lanes, width) if is_shared else _global_reading(words, lanes, width)
    if len(rows) > len(shown):
        reading += f" {len(rows) - len(shown)} more rows of 128 bytes are not drawn."
    return Drawn(_svg(LEFT + BANKS * CELL + 8, height, parts, reading), reading)


def _named(asking: Sequence[int]) -> str:
    return str(asking[0]) if len(asking) == 1 else f"{asking[0]}…"


def _active(lanes: Sequence[int | None]) -> str:
    count = sum(begin is not None for begin in lanes)
    return f"{count} lanes" if count < WARP else "all 32 lanes"


def _shared_reading(words: dict[int, list[int]], lanes: Sequence[int | None], width: int) -> str:
    banks: dict[int, int] = {}
    for word in words:
        banks[word % BANKS] = banks.get(word % BANKS, 0) + 1
    most = max(banks.values(), default=0)
    text = f"{_active(lanes)} ask for {width} bytes each: {len(words)} words in {len(banks)} of 32 banks, "
    return f"{text}and at most {most} {'word' if most == 1 else 'words'} in one bank. A number is the lane that asks."


def _global_reading(words: dict[int, list[int]], lanes: Sequence[int | None], width: int) -> str:
    sectors = {word // 8 for word in words}
    used = len({begin for begin in lanes if begin is not None}) * width
    share = used / (len(sectors) * SECTOR) if sectors else 0.0
    return (
        f"{_active(lanes)} ask for {width} bytes each: {len(sectors)} sectors of 32 bytes move, and {share:.0%} of "
        "their bytes are used. Grey words are moved and not used; a number is the lane that asks."
    )


@dataclass(frozen=True)
class Point:
    """A kernel in the roofline: what it computes in its predicted time, and the bytes that were counted."""

    name: str
    flops: float
    us: float
    dram_bytes: float
    l2_bytes: float


def roofline(
    points: Sequence[Point], tflops: float, dram_tbytes: float, l2_tbytes: float, caption: str
) -> Drawn | None:
    """TFLOP/s over FLOP per byte, under the ceilings of a chip; None without any FLOP."""
    points = [point for point in points if point.flops > 0 and (point.dram_bytes > 0 or point.l2_bytes > 0)]
    if not points:
        return None
    pairs = [(p.flops / each, p.flops / p.us / 1e6) for p in points for each in (p.dram_bytes, p.l2_bytes) if each > 0]
    low_x = min(*(x for x, _ in pairs), tflops / l2_tbytes) / 2
    high_x = max(*(x for x, _ in pairs), tflops / dram_tbytes) * 2
    low_y, high_y = min(*(y for _, y in pairs), tflops) / 2, tflops * 1.6
    width, height, left, bottom = 704, 330, 52, 34

    def x_of(value: float) -> float:
        return left + (width - left - 12) * math.log(value / low_x) / math.log(high_x / low_x)

    def y_of(value: float) -> float:
        return (height - bottom) * (1 - math.log(value / low_y) / math.log(high_y / low_y))

    parts = []
    for name, rate in (("memory", dram_tbytes), ("L2", l2_tbytes)):
        begin = max(low_x, low_y / rate)
        path = f"M{x_of(begin):.1f} {y_of(begin * rate):.1f} L{x_of(tflops / rate):.1f} {y_of(tflops):.1f} "
        parts.append(f'<path class="roof" d="{path}L{x_of(high_x):.1f} {y_of(tflops):.1f}"/>')
        parts.append(_text(x_of(begin) + 8, y_of(begin * rate) + 12, f"{name} {rate:.3g} TB/s", "start", "quiet"))
    parts.append(_text(width - 14, y_of(tflops) - 5, f"{tflops:.3g} TFLOP/s", "end", "quiet"))
    below, beside = height - bottom + 13, left - 6
    parts += [_text(x_of(value), below, f"{value:g}", "middle", "quiet") for value in _decades(low_x, high_x)]
    parts += [_text(beside, y_of(value) + 3, f"{value:g}", "end", "quiet") for value in _decades(low_y, high_y)]
    parts.append(_text((left + width) / 2, height - 6, "FLOP per byte", "middle", "quiet"))
    parts.append(_text(left + 4, 10, "TFLOP/s", "start", "quiet"))
    for point in points:
        y = y_of(point.flops / point.us / 1e6)
        moved = (point.l2_bytes, " far"), (point.dram_bytes, "")
        places = [(x_of(point.flops / each), kind) for each, kind in moved if each]
        ends = f'x1="{places[0][0]:.1f}" y1="{y:.1f}" x2="{places[-1][0]:.1f}" y2="{y:.1f}"'
        parts.append(f'<line class="link" {ends}/>')
        parts += [f'<circle class="dot{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, kind in places]
        parts.append(_text(max(x for x, _ in places) + 7, y + 3, point.name, "start"))
    reading = (
        f"Times are {caption}. A full dot counts the bytes between memory and chip, a ring those that the L1 cache "
        "lacks. FLOPs are those of float32 outside of tensor cores."
    )
    return Drawn(_svg(width, height, parts, reading), reading)


def _decades(low: float, high: float) -> list[float]:
    return [10.0**e for e in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def _cell(x: float, y: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x + 1:g}" y="{y + 1:g}" width="{CELL - 2}" height="{CELL - 2}"/>'


def _text(x: float, y: float, text: object, anchor: str, kind: str = "") -> str:
    quiet = f' class="{kind}"' if kind else ""
    return f'<text{quiet} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(text))}</text>'


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    inner = "".join(parts)
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}">{inner}</svg>'
