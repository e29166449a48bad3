"""How long a launch occupies each resource of a chip, from its counts. `model` tells what each resource is."""

from convbench.emulator import InstructionProfile, Profile
from convbench.profiling.chips import WARP, Chip
from convbench.profiling.resident import Resources, held

# units for arithmetic
COMPUTE = "issue", "fma", "imad", "alu", "fp64", "sfu", "tensor"
SCHEDULERS = 4
WARPS_AT_BARRIER = 0.475  # that a multiprocessor lets arrive in a clock
BARRIER_CLOCKS = 22
WAVEFRONT_BYTES = 128
MMA_ON_HOPPER = 0.629  # of the peak, which only wgmma reaches
ATTAINABLE = 0.92  # of the peak of the memory


def limits_of(profile: Profile, resources: Resources, chip: Chip) -> dict[str, float]:
    """Microseconds for which each resource is occupied."""
    blocks = profile.blocks
    busiest = -(-blocks // chip.multiprocessors)
    clocks: dict[str, float] = dict.fromkeys((*COMPUTE, "load and store"), 0.0)
    shared = sums = 0.0
    for i in profile.instructions:
        each = i.counters.instructions / blocks
        clocks["issue"] += each * issued(i, chip) / SCHEDULERS
        if (lanes := _lanes(i.pipe, chip)) and i.slots:
            clocks[i.pipe] += each * i.slots * i.numbers * WARP / lanes
            if i.is_integer_sum:
                sums += each * i.slots * WARP / lanes
        clocks["tensor"] += each * _tensor_clocks(i, chip)
        taken = requests(i, chip) / blocks
        clocks["load and store"] += taken
        shared += taken if i.counters.shared_requests else 0.0
    _share_the_multipliers(clocks, sums, chip)
    c = profile.total
    clocks["L2"] = (c.l2_bytes + c.local_sectors * 32) / blocks / chip.rates.l2_bytes
    if 2 * shared > clocks["load and store"]:
        clocks["shared memory"] = clocks.pop("load and store")
    x, y, z = profile.block
    clocks["barriers"] = profile.chain.barriers * -(-x * y * z // WARP) / WARPS_AT_BARRIER
    us = {name: count * busiest / chip.clock_mhz for name, count in clocks.items()}
    us["atomics"] = sum(map(serial_lanes, profile.instructions)) / chip.clock_mhz
    us["latency"] = _latency_us(profile, resources, chip, busiest)
    us["DRAM"] = dram_bytes(profile) / (ATTAINABLE * chip.dram_gbytes * 1e3)
    return us


def _share_the_multipliers(clocks: dict[str, float], sums: float, chip: Chip) -> None:
    """Let products of integers take part of the unit for multiply-adds, and sums of integers what is left of it."""
    share = chip.rates.products / chip.rates.fma  # of the unit, which products of integers can have
    busy = max(clocks["imad"], clocks["fma"] + share * clocks["imad"])
    moved = min(sums, max((clocks["alu"] - busy) / 2, 0.0))
    clocks["alu"] -= moved
    clocks["imad"] += moved
    clocks["fma"] += share * clocks["imad"]


def _tensor_clocks(i: InstructionProfile, chip: Chip) -> float:
    """The clocks for which a warp's instruction occupies the tensor cores, which are faster for fewer bits."""
    if not i.multiply_adds:
        return 0.0
    rate = chip.rates.float64 if i.factor_bits == 64 else chip.rates.tensor * 16 / i.factor_bits
    if chip.limits.name == "sm_90" and not i.opcode.startswith("wgmma"):
        rate *= MMA_ON_HOPPER
    return i.multiply_adds / rate


def _lanes(pipe: str, chip: Chip) -> int:
    rates = chip.rates
    return {
        "fma": rates.fma,
        "imad": rates.products,
        "alu": rates.alu,
        "fp64": rates.float64,
        "sfu": rates.functions,
    }.get(pipe, 0)


def issued(i: InstructionProfile, chip: Chip) -> int:
    """The instructions of the machine that an instruction becomes. Some chips have one for a pair of numbers."""
    return i.slots * (chip.rates.of_pair if i.is_pair else 1)


def requests(i: InstructionProfile, chip: Chip) -> float:
    """The clocks for which all requests of an instruction take the load/store units, the tags or the banks."""
    c = i.counters
    requests = c.shared_requests + c.global_requests + c.local_requests
    if not requests:
        return 0.0
    units = c.lanes / chip.rates.memory
    passes = c.wavefronts * WAVEFRONT_BYTES / chip.rates.l1_bytes
    moved = c.lanes * i.width / chip.rates.l1_bytes if c.global_requests else 0.0
    data = passes + max((c.sectors + c.local_sectors) / 4, moved)
    return max(requests, units, passes + c.tag_passes, data, c.contention if c.shared_requests else 0.0)


def serial_lanes(i: InstructionProfile) -> float:
    """The lanes whose atomics the L2 cache does one after another, because they have the same address."""
    c = i.counters
    return c.lanes * i.width / max(i.reach, i.width) if c.atomics and c.global_requests else 0.0


def _latency_us(profile: Profile, resources: Resources, chip: Chip, busiest: int) -> float:
    """The time of the chains of a multiprocessor's blocks, of which as many run at once as are resident.

    Barriers hold a block until its slowest warp arrives.
    """
    rates, chain, c = chip.rates, profile.chain, profile.total
    hits = c.l1_hits / c.sectors if c.sectors else 0.0
    again = dram_bytes(profile) / c.l2_bytes if c.l2_bytes else 0.0
    far = min(again, 1.0) * rates.dram_clocks + (1 - min(again, 1.0)) * rates.l2_clocks
    clocks = (
        chain.arithmetic * rates.arithmetic_clocks
        + chain.functions * 5 * rates.arithmetic_clocks
        + chain.float64 * max(2 * rates.arithmetic_clocks, WARP // rates.float64 * SCHEDULERS)
        + chain.shared * rates.shared_clocks
        + chain.memory * (hits * rates.l1_clocks + (1 - hits) * far)
        + chain.barriers * BARRIER_CLOCKS
        + chain.tensor * rates.tensor_clocks
    )
    clocks += (profile.slowest - 1) * chain.length  # with typical latencies
    resident = max(held(profile, resources, chip).blocks, 1)
    return clocks * -(-busiest // resident) / chip.clock_mhz


def dram_bytes(profile: Profile) -> float:
    """Bytes that pass between the memory and the chip.

    Without a simulation of the L2 cache, each array is moved once, or less if less is accessed.
    """
    if profile.l2_bytes:
        return profile.total.dram_bytes
    moved: dict[tuple[str, bool], float] = {}
    for i in profile.instructions:
        if i.counters.sectors:
            key = i.array, i.is_store
            moved[key] = moved.get(key, 0.0) + i.counters.l2_bytes
    return sum(min(number, profile.array_bytes.get(name, number)) for (name, _), number in moved.items())
