"""Numbers as people read them: three digits and the unit that suits."""

import math
from collections.abc import Iterable, Mapping

NOTHING = "–"


def duration(us: float) -> str:
    """Three significant digits in the unit that suits."""
    for unit, size in (("h", 3.6e9), ("min", 6e7), ("s", 1e6), ("ms", 1e3)):
        if us >= (size if unit != "min" else 1e9):  # 100 s, not 1.67 min
            return f"{us / size:#.3g}".rstrip(".") + f" {unit}"
    return f"{us:#.3g}".rstrip(".") + " µs"


def durations(us: float | None) -> str:
    """A duration, or a dash where there is none."""
    return NOTHING if missing(us) or us is None else duration(us)


def interval(low_us: float | None, high_us: float | None) -> str:
    """From where to where, in one unit; a dash where there is none."""
    if low_us is None or high_us is None or missing(low_us) or missing(high_us):
        return NOTHING
    low, high = duration(low_us), duration(high_us)
    (first, unit), (last, other) = low.split(" "), high.split(" ")
    return f"{first} to {last} {unit}" if unit == other else f"{low} to {high}"


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    return NOTHING if missing(value) else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share of one, or a dash."""
    return NOTHING if share is None or missing(share) else f"{share * 100:.1f} %"


def size(value: float | None) -> str:
    """Bytes; a dash for none."""
    if value is None or missing(value) or value == 0:
        return NOTHING
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 999.5 * scale else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} B"


def phases(phases_us: Mapping[str, float] | None) -> str:
    """The share of each phase in their sum."""
    total = sum(phases_us.values()) if phases_us else 0.0
    if not phases_us or total <= 0:
        return NOTHING
    return ", ".join(f"{name} {us / total:.0%}" for name, us in phases_us.items())


def rate_unit(tflops: Iterable[float]) -> tuple[str, float]:
    """The largest unit in which the fastest is at least 1, and how many of it a TFLOP/s is."""
    fastest = max((value for value in tflops if not missing(value)), default=0.0)
    for unit, scale in (("TFLOP/s", 1.0), ("GFLOP/s", 1e3), ("MFLOP/s", 1e6)):
        if fastest * scale >= 1:
            return unit, scale
    return "kFLOP/s", 1e9


def time_unit(longest_us: float) -> tuple[str, float]:
    """The unit in which the longest of some times is at least 1, and how many of it a microsecond is."""
    for unit, scale in (("s", 1e-6), ("ms", 1e-3)):
        if longest_us * scale >= 1:
            return unit, scale
    return "µs", 1.0


def listed(names: Iterable[str]) -> str:
    """The names in a sentence: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, thing: str) -> str:
    """So many things: 1 layer, 2 layers."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def missing(value: float | None) -> bool:
    """Whether there is no number: None and NaN, as a frame has them."""
    return value is None or math.isnan(value)
