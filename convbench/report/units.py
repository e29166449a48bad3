"""Write numbers for people: three significant digits, in a unit that suits the number."""

import math
from collections.abc import Iterable, Mapping

NOTHING = "–"  # stands for a missing number


def duration(us: float) -> str:
    """A duration with three significant digits, in h, min, s, ms or µs."""
    for unit, size in (("h", 3.6e9), ("min", 6e7), ("s", 1e6), ("ms", 1e3)):
        if us >= (size if unit != "min" else 1e9):  # 100 s, not 1.67 min
            return f"{us / size:#.3g}".rstrip(".") + f" {unit}"
    return f"{us:#.3g}".rstrip(".") + " µs"


def durations(us: float | None) -> str:
    """A duration, or a dash if there is none."""
    return NOTHING if missing(us) or us is None else duration(us)


def interval(low_us: float | None, high_us: float | None) -> str:
    """An interval of durations, in one unit where both have it; a dash if there is none."""
    if low_us is None or high_us is None or missing(low_us) or missing(high_us):
        return NOTHING
    low, high = duration(low_us), duration(high_us)
    (first, unit), (last, other) = low.split(" "), high.split(" ")
    return f"{first} to {last} {unit}" if unit == other else f"{low} to {high}"


def number(value: float | None) -> str:
    """A number with three significant digits, or a dash if there is none."""
    return NOTHING if missing(value) else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share as a percentage, or a dash if there is none."""
    return NOTHING if share is None or missing(share) else f"{share * 100:.1f} %"


def size(value: float | None) -> str:
    """A number of bytes in a unit that suits; a dash for zero or none."""
    if value is None or missing(value) or value == 0:
        return NOTHING
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 999.5 * scale else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} B"


def phases(phases_us: Mapping[str, float] | None) -> str:
    """The phases of a run, each with its share of the sum; a dash if there are none."""
    total = sum(phases_us.values()) if phases_us else 0.0
    if not phases_us or total <= 0:
        return NOTHING
    return ", ".join(f"{name} {us / total:.0%}" for name, us in phases_us.items())


def rate_unit(tflops: Iterable[float]) -> tuple[str, float]:
    """The largest unit in which the highest rate is at least 1, and the number of these units in a TFLOP/s."""
    fastest = max((value for value in tflops if not missing(value)), default=0.0)
    for unit, scale in (("TFLOP/s", 1.0), ("GFLOP/s", 1e3), ("MFLOP/s", 1e6)):
        if fastest * scale >= 1:
            return unit, scale
    return "kFLOP/s", 1e9


def time_unit(longest_us: float) -> tuple[str, float]:
    """The largest unit in which the longest time is at least 1, and the number of these units in a microsecond."""
    for unit, scale in (("s", 1e-6), ("ms", 1e-3)):
        if longest_us * scale >= 1:
            return unit, scale
    return "µs", 1.0


def listed(names: Iterable[str]) -> str:
    """Names as a list within a sentence: "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def counted(count: int, thing: str) -> str:
    """A count with its noun: "1 layer", "2 layers"."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def missing(value: float | None) -> bool:
    """Whether a number is missing: None or NaN, which a frame has for missing numbers."""
    return value is None or math.isnan(value)
