"""The choice of tiles for `algorithms.direct.window`: by a count of instructions, the fewest first.

    time of a launch ∝ rounds · blocks · warps · (steps · (max(issued, 16 · loads) + barriers) + rest)
    issued = products + loads + 2 · copies

The instructions are those that one thread issues. A load keeps shared memory busy for the time of 16 instructions. A
round has as many blocks as all multiprocessors hold. So the model counts the padding of the target to whole tiles, the
threads that a warp lacks and a last round that is not full. It gives a first choice, and keeps hopeless candidates out
of a search. `convbench tune` measures which tile is fastest.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import prod

from algorithms.correlation import HUGE_MACS, LARGE_MACS, Correlation
from algorithms.direct.window_shapes import REGISTERS, WindowConfig, fault, layout_of, tiles_of
from convbench.devices import MAX_SHARED_BYTES
from convbench.problem import ConvProblem, Direction

LEAST_FILTERS = 16  # of a group: the smallest tile
MOST_WINDOW = 40  # elements of a row in registers; beyond, they cost more than reading them again
MOST_SUMS = 64  # of a default: 128 registers, so that blocks whose threads wait at a barrier have others beside them
SOME = 2  # of the best are offered without a search
NEAR = 1.1  # a search looks at tiles that are predicted to take so many times the least
MULTIPROCESSORS = 132  # of an H200; an error of a few moves the last round, and little else

NEEDED = {
    32: 96,
    64: 128,
    128: 255,
}  # registers that a thread may take, by its sums; sm_90 needs 80 and 128 of the first

# in instructions of a thread; the first two are about what the machine code for sm_90 has
BARRIERS = 60  # of a step, with the loop's own
AROUND = 250  # before the first step and after the last, without the stores
OF_A_LOAD = 16  # a warp's 512 bytes of shared memory take 4 cycles, in which its multiprocessor issues 16 instructions
WAITING = 800  # slots that a block lets pass at the barriers of a step: a guess of 200 cycles, filled by other blocks

# for problems that are not worth a kernel each, of any size: enough blocks for a small map, and one compilation
SHARED = WindowConfig(tile_m=32, tile_i=8, tile_j=16, channels=4, blocks=4, is_specialised=False)


def is_suited(problem: ConvProblem, direction: Direction) -> bool:
    """Whether the kernel suits a zero-padded problem: its taps share a window, and its filters fill a tile."""
    if fault(SHARED, problem, direction) is not None:
        return False
    geometry = Correlation.of(problem, direction)
    is_small = 4 * layout_of(SHARED, geometry).vectors <= MOST_WINDOW
    return is_small and prod(geometry.taps) > 1 and geometry.targets_per_group >= LEAST_FILTERS


def default_configs(problem: ConvProblem, direction: Direction) -> tuple[WindowConfig, ...]:
    """Return the default tile for a zero-padded problem and the next best ones; none if the problem is too small."""
    if problem.macs < LARGE_MACS or not is_suited(problem, direction):
        return ()
    geometry = Correlation.of(problem, direction)
    small = _shared_by_all(geometry)
    if problem.macs < HUGE_MACS:
        return small
    fitting = [
        each
        for each in _ranked(geometry)
        if layout_of(each, geometry).shared_bytes <= MAX_SHARED_BYTES
        and each.pixels * each.filters <= MOST_SUMS
        and fault(each, problem, direction) is None
    ]
    return (*fitting[:SOME], *small)


def space(problem: ConvProblem, direction: Direction) -> tuple[WindowConfig, ...]:
    """Return the configs that a search may try. Some need more shared memory than the 48 KiB of every device."""
    if direction == "backward_weights":
        return ()
    every = (*_ranked(Correlation.of(problem, direction)), SHARED)
    return tuple(each for each in every if fault(each, problem, direction) is None)


def _shared_by_all(geometry: Correlation) -> tuple[WindowConfig, ...]:
    """Return the tile of the kernel for any sizes, with as many channels in a step as fit; none if none fit."""
    for channels in (SHARED.channels, 2, 1):
        config = replace(SHARED, channels=channels)
        fits = layout_of(config, geometry).shared_bytes <= MAX_SHARED_BYTES
        if fits and geometry.sources_per_group % channels == 0:
            return (config,)
    return ()


@cache
def _ranked(geometry: Correlation) -> tuple[WindowConfig, ...]:
    """Return the tiles whose cost is near the least cost of tiles with as many sums, the cheapest of all first."""
    near: dict[WindowConfig, float] = {}
    for sums in NEEDED:
        costs = {each: cost(each, geometry) for each in _candidates(geometry) if each.pixels * each.filters == sums}
        least = min(costs.values())
        near |= {each: value for each, value in costs.items() if value <= NEAR * least}
    return tuple(sorted(near, key=lambda each: near[each]))


def _candidates(geometry: Correlation) -> tuple[WindowConfig, ...]:
    most = (4, 8) if prod(geometry.taps) <= 9 else (1, 2)
    return _with(tuple(sorted({min(channels, geometry.sources_per_group) for channels in most})))


@cache
def _with(steps: tuple[int, ...]) -> tuple[WindowConfig, ...]:
    """All tiles, with each of these numbers of channels in a step."""
    return tuple(_tiles(steps))


def _tiles(steps: tuple[int, ...]) -> Iterator[WindowConfig]:
    for pixels, filters in ((8, 8), (4, 16), (8, 16), (4, 8)):
        for tile_j in range(pixels, 65, pixels):
            for tile_i in (2, 4, 7, 8, 14, 16):
                for tile_m in (16, 32, 64, 128):
                    threads = tile_i * (tile_j // pixels) * (tile_m // filters)
                    if 96 <= threads <= 256:
                        for channels in steps:
                            yield WindowConfig(
                                tile_m=tile_m, tile_i=tile_i, tile_j=tile_j, pixels=pixels, filters=filters,
                                channels=channels, blocks=REGISTERS // (threads * NEEDED[pixels * filters]),
                            )  # fmt: skip


def cost(config: WindowConfig, geometry: Correlation) -> float:
    """Estimate the instructions that the busiest multiprocessor issues, by the equation above."""
    layout, (r, s) = layout_of(config, geometry), geometry.taps
    sums = config.pixels * config.filters
    products = config.channels * r * s * sums
    loads = config.channels * r * (layout.vectors + s * config.filters // 4)
    copies = config.channels * -(-layout.plane // config.threads) + -(-layout.filter_elements // (4 * config.threads))
    steps = -(-geometry.sources_per_group // config.channels)
    warps = -(-config.threads // 32)
    of_a_step = max(products + loads + 2 * copies, OF_A_LOAD * loads) + BARRIERS + WAITING / (config.blocks * warps)
    rounds = -(-tiles_of(config, geometry) // (MULTIPROCESSORS * config.blocks))
    return rounds * config.blocks * warps * (steps * of_a_step + AROUND + sums)
