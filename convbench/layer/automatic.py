"""The rule by which "auto" picks an algorithm.

On a GPU, it picks the first of these that does not refuse the direction of the problem:

    depthwise           Every channel is a group of its own, so that there is no sum over channels.
    fft_tiled           Stride 1, R·S ≥ 25, and transforms pay: they cost the same for any filter.
    winograd_2x2_3x3    Stride 1, a 3 × 3 filter, and transforms pay: it makes 2.25 times fewer products, and is as
                        accurate as the definition.
    implicit_gemm       Every other dense problem: its operands are tiles in shared memory.
    direct              Every other problem.

The transform of an input tile is shared by K/G filters, that of a filter by all tiles, and the inverse transform by the
C/G channels that are summed before it. Transforms pay where each of these three numbers is at least 16, the side of the
tiles in which the products are computed. A tile has 2 × 2 outputs for Winograd, and (33 − R) × (33 − S) for the FFT.

On the CPU (emulated), it always picks direct. There, tiles save no memory traffic, and a barrier costs more time than
it saves.

The database of tuned configs (`convbench.tuning.in_use`) may have times of the first algorithm and of others that come
after it. The fastest of these is then picked instead, if the interval of its median does not overlap the first one's.

The rule does not ask for predicted times (`convbench.profiling`). It answers within microseconds, while a prediction
compiles and profiles every candidate: 0.1 to 4 seconds for each at the first call of a problem, on a warm cache of
kernels. On the CPU, predicted times of a GPU would also choose algorithms that the emulator takes longer for.

None of these algorithms rounds more than the accumulator of the dtype does: none uses TF32, and F(4×4, 3×3), which
loses a digit, is not among them. fft_tiled is inexact on integers; both it and Winograd's algorithm let a NaN spread
over its tile. Name another algorithm where that matters. Algorithms that others registered are never picked.

Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4 (the products of
          an output, and the numbers that share the cost of the transforms); `reports/emulator` for the CPU.
"""

from collections.abc import Iterator, Mapping, Sequence

from convbench.algorithm import Algorithm, registry
from convbench.devices import Device
from convbench.errors import RefusedError
from convbench.layer import exchange
from convbench.problem import ConvProblem, Direction, Pair
from convbench.tuning import Database, in_use

FEWEST_SHARING = 16  # side of the tiles in which the products of transforms are computed
FEWEST_TAPS_OF_FFT = 25  # R·S of the smallest filter for which the FFT is tried
LONGEST_FFT = 32  # side of a tile of fft_tiled, with the elements that it shares with its neighbours

Choice = str | Algorithm | Mapping[Direction, str | Algorithm]


def choose(problem: ConvProblem, direction: Direction = "forward", device: Device | str | None = None) -> Algorithm:
    """The algorithm that "auto" runs for a direction of a problem on a device. It never refuses the problem.

    Parameters
    ----------
    device : its name, or a `Device`; None: the default device

    Raises
    ------
    RefusedError
        every algorithm of the rule refuses; the message has the reason of the last.
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
    """Yield the algorithms of the rule that do not refuse; add the reasons of the others to `reasons`."""
    for name in preferences(problem, on_gpu=device.is_gpu):
        algorithm = registry.get(name)
        if (reason := algorithm.refuses(problem, direction)) is None:
            yield algorithm
        else:
            reasons.append(reason)


def _fastest(
    known: Database, able: Sequence[Algorithm], problem: ConvProblem, direction: Direction, device: Device
) -> Algorithm:
    """The first algorithm, unless the database has times that show it to be slower than another."""
    times = {one: entry for one in able if (entry := known.entry(one, problem, direction, device)) is not None}
    if able[0] not in times:
        return able[0]
    best = min(times, key=lambda one: times[one].median_us)
    ours, other = times[able[0]].interval_us, times[best].interval_us
    return best if ours is not None and other is not None and other[1] < ours[0] else able[0]


def preferences(problem: ConvProblem, *, on_gpu: bool) -> Iterator[str]:
    """Yield the names of the algorithms that the rule tries for a problem, the best first; some may refuse it."""
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
    """Whether each of the three transforms is shared often enough; `tile` is the number of outputs along each side."""
    tiles = problem.n * -(-problem.p // tile[0]) * -(-problem.q // tile[1])
    shared_by = problem.c // problem.groups, problem.k // problem.groups, tiles
    return problem.stride == (1, 1) and min(shared_by) >= FEWEST_SHARING


def resolved(choice: Choice, problem: ConvProblem, direction: Direction, device: Device) -> Algorithm:
    """The algorithm that a caller chose, by name or otherwise. Raises UnknownNameError, and what `choose` raises."""
    chosen = choice.get(direction, "auto") if isinstance(choice, Mapping) else choice
    if isinstance(chosen, Algorithm):
        return chosen
    return choose(problem, direction, device) if chosen == "auto" else registry.get(chosen)
