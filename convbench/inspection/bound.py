"""A static model of the least time of a launch, and of the limit that sets it. It is never a measurement.

One pass of a warp through the hot loop has these limits, in cycles of a multiprocessor:

    issue          instructions / 4                    four schedulers, each issues one instruction in a clock
    units          multiply-adds of all lanes / rate   rate: of a multiprocessor in a clock, by precision
    shared memory  bytes of all lanes / 128            no two lanes read the same word, and there are no bank conflicts

The largest limit is the bound of the loop. The number of passes follows from the number of products that a launch
makes; a kernel without a loop is passed once by each of its warps. The busiest multiprocessor has
⌈blocks / multiprocessors⌉ of the blocks. Besides, every array that a launch is given passes once between the memory and
the chip, as if no part of it were in the cache before. Shared memory that a tensor core reads by itself is not counted.

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model"; CUDA C++ Programming
Guide, "Arithmetic Instructions" for the rates, and "Shared Memory" of the compute capabilities for 32 banks of 4 bytes.
"""

from dataclasses import dataclass

from convbench.inspection.chip import Chip
from convbench.inspection.mix import Mix
from convbench.inspection.occupancy import SCHEDULERS, WARP
from convbench.inspection.sass import Instruction

SHARED_BYTES_PER_CLOCK = 128
MOSTLY = 0.5  # from this share of FFMA on, the limit "issue" is called "FFMA issue"


@dataclass(frozen=True)
class Pass:
    """One pass of a warp through the hot loop, or through the whole kernel if it has none."""

    products: float  # of all lanes, where each product is added to a sum
    cycles: dict[str, float]  # cycles of a multiprocessor, by limit

    @property
    def bound(self) -> str:
        return max(self.cycles, key=lambda limit: self.cycles[limit])

    @property
    def most_cycles(self) -> float:
        return self.cycles[self.bound]


def pass_of(mix: Mix, chip: Chip) -> Pass:
    """The limits of a pass on a chip. Units whose rate is not known set no limit."""
    cycles = {"FFMA issue" if mix.share("FFMA") >= MOSTLY else "issue": mix.total / SCHEDULERS}
    work: dict[tuple[str, str], float] = {}
    for each in mix.instructions:
        if each.multiply_adds:
            unit = precision_of(each), "tensor cores" if each.is_tensor else "units"
            work[unit] = work.get(unit, 0.0) + each.multiply_adds * WARP
    for (precision, units), amount in work.items():
        rates = chip.tensor_rates if units == "tensor cores" else chip.rates
        if precision in rates:
            cycles[f"{precision} {units}"] = amount / rates[precision]
    cycles["shared memory"] = mix.shared_bytes * WARP / SHARED_BYTES_PER_CLOCK
    return Pass(WARP * sum(each.products for each in mix.instructions), cycles)


def precision_of(instruction: Instruction) -> str:
    """The precision of the factors of an arithmetic instruction, read from its name and suffixes."""
    parts = instruction.opcode.split(".")
    if instruction.base.startswith("D"):
        return "float64"
    if instruction.is_tensor:
        return next((name for part, name in (("TF32", "tf32"), ("BF16", "bfloat16")) if part in parts), "float16")
    return "float16" if instruction.base.startswith("H") else "float32"


@dataclass(frozen=True)
class Bound:
    """The model's result for all launches of one kernel in one run."""

    compute_us: float | None  # None if it is not known how often the hot loop is passed
    memory_us: float
    loop: str  # name of the limit of the hot loop

    @property
    def least_us(self) -> float:
        return max(self.compute_us or 0.0, self.memory_us)

    @property
    def name(self) -> str:
        """Name of the limit. If it is not known how often the loop is passed, both candidates are named."""
        if self.compute_us is None:
            return f"DRAM, or {self.loop}"
        return self.loop if self.compute_us >= self.memory_us else "DRAM"


def bound(
    once: Pass, chip: Chip, *, blocks: list[int], warps: int, has_loop: bool, products: float | None, memory_bytes: int
) -> Bound:
    """The bound of the launches of one kernel.

    Parameters
    ----------
    once : one pass through its hot loop, or through the kernel
    blocks : number of blocks of each launch
    warps : number of warps of a block
    has_loop : whether `once` is a pass through a loop
    products : number of products of all launches together; None if it is not known
    memory_bytes : bytes that all launches touch together
    """
    passes: float | None = None  # by all warps of a block together
    if not has_loop:
        passes = warps
    elif products is not None and once.products:
        passes = products / once.products / sum(blocks)
    compute_us = None
    if passes is not None:
        busiest = sum(-(-each // chip.multiprocessors) for each in blocks)
        compute_us = busiest * passes * once.most_cycles / chip.clock_ghz / 1e3
    return Bound(compute_us, memory_bytes / chip.tbytes / 1e6, once.bound)
