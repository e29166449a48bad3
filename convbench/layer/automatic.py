"""The rule by which "auto" picks an algorithm.

On a GPU the first of these that does not refuse the direction of the problem:

    depthwise           every channel is a group of its own: there is no sum over channels
    fft_tiled           stride 1, R·S ≥ 25, and transforms pay: they cost the same for any filter
    winograd_2x2_3x3    stride 1, 3 × 3, and transforms pay: 2.25 times fewer products, as accurate as the definition
    implicit_gemm       every other dense problem: tiles in shared memory feed it
    direct              what is left

A tile's transform is shared by K/G filters, a filter's by all tiles, and the one back by the C/G channels that it sums:
they pay where each of the three is at least 16, the side of the tiles that their products are computed in. A tile is
2 × 2 outputs of Winograd's, and 33 − R by 33 − S of the FFT's.

On the CPU, emulated, it is always direct: there is no memory system that tiles would spare, and a barrier costs more
than what it is for.

Where the database of tuned configs (`convbench.tuning.in_use`) has times of the first one and of others that come
after it, the fastest of these is picked instead, if the intervals of its median and of the first one's do not overlap.

None of them rounds more than the accumulator of the dtype does: nothing goes through TF32, and F(4×4, 3×3), which loses
a digit, is not among them. fft_tiled is inexact on integers and, as Winograd's, lets a NaN spread over its tile: name
another algorithm where that matters. Algorithms that others registered are never picked.

Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4 (the products of
          an output, and what the transforms' cost is shared by); `reports/emulator` for the CPU.
"""

from collections.abc import Iterator, Mapping, Sequence

from convbench.algorithm import Algorithm, registry
from convbench.devices import Device
from convbench.errors import RefusedError
from convbench.layer import exchange
from convbench.problem import ConvProblem, Direction, Pair
from convbench.tuning import Database, in_use

FEWEST_SHARING = 16
FEWEST_TAPS_OF_FFT = 25
LONGEST_FFT = 32

Choice = str | Algorithm | Mapping[Direction, str | Algorithm]


def choose(problem: ConvProblem, direction: Direction = "forward", device: Device | str | None = None) -> Algorithm:
    """What "auto" runs for a direction of a problem on a device: by the rule above, never one that refuses.

    Parameters
    ----------
    device : its name, or a `Device`; None: the one that is used where none is named

    Raises
    ------
    RefusedError
        every algorithm of the rule refuses, with the reason of the last.
    DeviceError, UnknownNameError
        the device cannot be used.
    """
    place = exchange.device_of(device)
    reasons: list[str] = []
    able = _able(problem, direction, place, reasons)
    first = next(able, None)
    if first is None:
        raise RefusedError(f"no algorithm of the rule computes {direction} of {problem}: {reasons[-1]}")
    known = in_use.database(place)
    return first if known is None else _fastest(known, [first, *able], problem, direction, place)


def _able(problem: ConvProblem, direction: Direction, device: Device, reasons: list[str]) -> Iterator[Algorithm]:
    """The algorithms of the rule that do not refuse; the reasons of those before that do."""
    for name in preferences(problem, on_gpu=device.is_gpu):
        algorithm = registry.get(name)
        if (reason := algorithm.refuses(problem, direction)) is None:
            yield algorithm
        else:
            reasons.append(reason)


def _fastest(
    known: Database, able: Sequence[Algorithm], problem: ConvProblem, direction: Direction, device: Device
) -> Algorithm:
    """The first, unless the database knows it to be slower than another."""
    times = {one: entry for one in able if (entry := known.entry(one, problem, direction, device)) is not None}
    if able[0] not in times:
        return able[0]
    best = min(times, key=lambda one: times[one].median_us)
    ours, other = times[able[0]].interval_us, times[best].interval_us
    return best if ours is not None and other is not None and other[1] < ours[0] else able[0]


def preferences(problem: ConvProblem, *, on_gpu: bool) -> Iterator[str]:
    """The names of the algorithms that the rule has for a problem, the best first; some may refuse it."""
    if not on_gpu:
        yield "direct"
        return
    if problem.groups == problem.c:
        yield "depthwise"
    in_fft = max(1, LONGEST_FFT - problem.r + 1), max(1, LONGEST_FFT - problem.s + 1)
    if problem.r * problem.s >= FEWEST_TAPS_OF_FFT and _transforms_pay(problem, in_fft):
        yield "fft_tiled"
    if _transforms_pay(problem, (2, 2)):
        yield "winograd_2x2_3x3"  # which refuses filters that are not 3 × 3
    yield "implicit_gemm"
    yield "direct"


def _transforms_pay(problem: ConvProblem, tile: Pair) -> bool:
    """Whether each of the three transforms is shared enough, with so many outputs in a tile."""
    tiles = problem.n * -(-problem.p // tile[0]) * -(-problem.q // tile[1])
    shared_by = problem.c // problem.groups, problem.k // problem.groups, tiles
    return problem.stride == (1, 1) and min(shared_by) >= FEWEST_SHARING


def resolved(choice: Choice, problem: ConvProblem, direction: Direction, device: Device) -> Algorithm:
    """The algorithm that a caller chose, by name or otherwise; raises UnknownNameError, and what `choose` does."""
    chosen = choice.get(direction, "auto") if isinstance(choice, Mapping) else choice
    if isinstance(chosen, Algorithm):
        return chosen
    return choose(problem, direction, device) if chosen == "auto" else registry.get(chosen)
