"""Predict how long a launch takes on a chip, from its counts. Nothing is measured, and nothing is fitted to a chip.

A multiprocessor has several resources. The counts tell for how many clocks a block occupies each:

    issue           machine instructions / 4 schedulers
    fma, alu, …     instructions · 32 lanes / lanes of the unit in a clock; twice as long for a pair of float32
    load and store  each request takes the load/store units, the tags of the L1 cache, and the banks; the most of them.
                    On Turing, shared memory and the L1 cache return 64 bytes in a clock, and 128 on the others
    L2              bytes that the L1 cache lacks / 64
    barriers        warps of the block / 0.475 for each barrier
    atomics         lanes with one address, which the L2 cache serves one after another, on the whole GPU
    latency         what a warp does one after another, for as many warps as are resident at once

The busiest multiprocessor has ⌈blocks / multiprocessors⌉ of the blocks. Besides, memory takes the bytes of the arrays
that the launch accesses / 92 % of its peak. The launch itself takes a few microseconds.

What is resident are the customers of a closed network of queues: they visit the resources in turn. The balanced job
bounds tell the least and the most time of such a network. For the least time, each resident warp is a customer. For the
most time, each resident block is one if its warps meet at barriers, because they then ask for the same resource at the
same time. What a block takes alone is the most time of its own warps. The memory and the atomics have the customers of
all multiprocessors. Barriers hold a block until its slowest warp arrives, so its chain is that of the slowest warp
between each two. The prediction is the middle of both times.

Sources: Lazowska et al. 1984, "Quantitative system performance", chapter 5, for the bounds; Hong and Kim 2009, "An
analytical model for a GPU architecture with memory-level and thread-level parallelism awareness", and Huang et al.
2014, "GPUMech", for the latencies that resident warps hide; Deakin et al. 2018, "Evaluating attainable memory
bandwidth of parallel programming models via BabelStream", for the 92 %; Zhang et al. 2020, "A study of single and
multi-device synchronization methods in Nvidia GPUs", table 2, for barriers (of a V100); Luo et al. 2024, "Benchmarking
and dissecting the Nvidia Hopper GPU architecture via microbenchmarking", for mma on Hopper; the configurations of
GPGPU-Sim for an RTX 2060 and an RTX 3070, whose launches take 5,000 clocks; `chips` for all rates.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from convbench.emulator import InstructionProfile, Profile, source_line
from convbench.profiling.chips import WARP, Chip
from convbench.profiling.demands import (
    ATTAINABLE,
    dram_bytes,
    issued,
    limits_of,
    requests,
    serial_lanes,
)
from convbench.profiling.network import balanced, most_of_groups
from convbench.profiling.resident import Resources, held

# Of the times in reports/predicted/published_times.md: the median error, and by what limits them, the error that 9 of
# 10 stay below
MEDIAN_ERROR = 0.11
ERRORS = {
    "issue": 0.30, "fp64": 0.26, "DRAM": 0.40, "load and store": 0.29, "shared memory": 0.39, "atomics": 0.15,
    "latency": 0.57,
}  # fmt: skip
WORST_ERROR = 0.57  # for limits that few published times were compared for
# an instruction passes the issue and these units together; it occupies the others for longer than the issue
WITH_ISSUE = "issue", "fma", "imad", "alu"
OF_GPU = "atomics", "DRAM"  # all multiprocessors have them together
LAUNCH_US = 4.0  # of a launch with a cold cache
WORDS = {
    "issue": "the issue of instructions",
    "fma": "multiply-adds",
    "imad": "products of integers",
    "alu": "integer arithmetic",
    "fp64": "arithmetic in float64",
    "sfu": "special functions and conversions",
    "tensor": "tensor cores",
    "load and store": "the load/store units and the L1 cache",
    "shared memory": "shared memory",
    "L2": "the L2 cache",
    "barriers": "barriers of its blocks",
    "atomics": "atomics to the same addresses",
    "latency": "latencies that the resident warps do not hide",
    "DRAM": "the memory",
}


@dataclass(frozen=True)
class Prediction:
    """The time of one launch.

    Parameters
    ----------
    us : the predicted time
    low_us, high_us : bounds of the time in the model
    limits : microseconds for which each resource is occupied
    line : the place in the source that occupies the limiting resource most, as (file, line)
    remedy : what the line would gain without its conflicts or excessive sectors, in words; "" if it has none
    """

    chip: Chip
    us: float
    low_us: float
    high_us: float
    limits: dict[str, float]
    line: tuple[str, int]
    remedy: str

    @property
    def bound(self) -> str:
        """The name of the limiting resource."""
        return max(self.limits, key=lambda name: self.limits[name])

    @property
    def interval(self) -> tuple[float, float]:
        """Between these times were 9 of 10 published ones, for kernels that this resource limits."""
        error = ERRORS.get(self.bound, WORST_ERROR)
        return self.us / (1 + error), self.us * (1 + error)

    @property
    def caption(self) -> str:
        """Words that stand beside the time."""
        return f"predicted for {self.chip.name}, not measured"

    @property
    def sentence(self) -> str:
        """The bottleneck in words."""
        file, line = self.line
        text = source_line(file, line)
        where = f", most of it by line {line}, `{text}`" if line and text else ""
        return f"Bound by {WORDS[self.bound]}{where}.{' ' + self.remedy if self.remedy else ''}"


def predict(profile: Profile, resources: Resources, chip: Chip, *, dirty_bytes: float = 0) -> Prediction:
    """The time of a launch on a chip, whose L2 cache has `dirty_bytes` of other work that the memory still lacks."""
    limits = limits_of(profile, resources, chip)
    evicted = min(dirty_bytes, dram_bytes(profile), chip.l2_kib * 1024)
    limits["DRAM"] += evicted / (ATTAINABLE * chip.dram_gbytes * 1e3)
    low, high = bounds(limits, profile, resources, chip)
    us = (low + high) / 2
    bound = max(limits, key=lambda name: limits[name])
    line = _busiest(profile, chip, bound)
    return Prediction(chip, us, low, high, limits, line, _remedy(profile, resources, chip, line, us))


def bounds(limits: dict[str, float], profile: Profile, resources: Resources, chip: Chip) -> tuple[float, float]:
    """The least and the most microseconds of a launch whose resources are occupied for so long."""
    x, y, z = profile.block
    busiest = -(-profile.blocks // chip.multiprocessors)
    resident = max(min(held(profile, resources, chip).blocks, busiest), 1)
    members = -(-x * y * z // WARP)
    compute = max(limits[name] for name in WITH_ISSUE)
    others = (time for name, time in limits.items() if name not in (*WITH_ISSUE, *OF_GPU, "latency"))
    centres = [time for time in (compute, *others) if time > 0]
    common = [limits[name] for name in OF_GPU if limits[name] > 0]
    networks = min(profile.blocks, chip.multiprocessors)
    low, high = balanced(centres, limits["latency"], resident * members, common, networks)
    if profile.chain.barriers:
        high = most_of_groups(centres, limits["latency"], resident, members, common, networks)
    return low + LAUNCH_US, high + LAUNCH_US


def _busiest(profile: Profile, chip: Chip, bound: str) -> tuple[str, int]:
    """The line that occupies a resource most."""
    shares: dict[str, Callable[[InstructionProfile], float]] = {
        "issue": lambda i: i.counters.instructions * issued(i, chip),
        "load and store": lambda i: requests(i, chip),
        "shared memory": lambda i: requests(i, chip),
        "L2": lambda i: i.counters.l2_bytes,
        "atomics": serial_lanes,
        "barriers": lambda i: i.counters.instructions if i.opcode.startswith("bar") else 0.0,
        "latency": lambda i: i.counters.l2_bytes + i.counters.wavefronts,
        "DRAM": lambda i: i.counters.l2_bytes,
    }

    def of_pipe(i: InstructionProfile) -> float:
        return i.counters.instructions * i.slots * i.numbers if i.pipe == bound else 0.0

    share = shares.get(bound, of_pipe)
    sums: dict[tuple[str, int], float] = {}
    for i in profile.instructions:
        if i.line:
            sums[i.file, i.line] = sums.get((i.file, i.line), 0.0) + share(i)
    return max(sums, key=lambda at: sums[at], default=("", 0))


def _remedy(profile: Profile, resources: Resources, chip: Chip, line: tuple[str, int], us: float) -> str:
    """What the launch would gain if the line had no conflicts and no excessive sectors."""
    mended, told = [], []
    for i in profile.instructions:
        c = i.counters
        if (i.file, i.line) == line and c.excessive_wavefronts:
            told.append(f"its access to `{i.array}` is a {c.conflict}-way conflict")
            c = replace(c, wavefronts=c.ideal_wavefronts)
        if (i.file, i.line) == line and c.excessive_sectors > c.ideal_sectors:
            told.append(f"its access to `{i.array}` moves {c.sectors / max(c.ideal_sectors, 1):.1f} times the sectors")
            share = c.ideal_sectors / c.sectors
            c = replace(
                c, sectors=c.ideal_sectors, l1_hits=c.l1_hits * share,
                tag_passes=min(c.tag_passes, c.global_requests),
            )  # fmt: skip
        mended.append(replace(i, counters=c))
    if not told:
        return ""
    better = replace(profile, instructions=mended)
    gain = 2 * us / sum(bounds(limits_of(better, resources, chip), better, resources, chip))
    without = f"; without it {gain:.1f} times as fast" if gain >= 1.05 else ""
    return f"{told[0][0].upper()}{told[0][1:]}{without}."
