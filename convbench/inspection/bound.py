"""Which limit a launch meets first, and the least time that leaves: a static model, never a measurement.

Limits on one pass of a warp through the hot loop, in cycles of a multiprocessor:

    issue          instructions / 4                    four schedulers, an instruction each in a clock
    units          multiply-adds of all lanes / rate   rate: of a multiprocessor in a clock, by precision
    shared memory  bytes of all lanes / 128            no two lanes read one word, and no two meet in a bank

The largest is the bound of the loop. A launch that makes so many products passes its loop as often as it must for them,
and a kernel without a loop once for each of its warps; the busiest multiprocessor has ⌈blocks / multiprocessors⌉ of the
blocks. And every array that a launch is given passes once between the memory and the chip: none waits in the cache.
What a tensor core reads from shared memory by itself is not counted.

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model"; CUDA C++ Programming
Guide, "Arithmetic Instructions" for the rates, and "Shared Memory" of the compute capabilities for 32 banks of 4 bytes.
"""

from dataclasses import dataclass

from convbench.inspection.chip import Chip
from convbench.inspection.mix import Mix
from convbench.inspection.occupancy import SCHEDULERS, WARP
from convbench.inspection.sass import Instruction

SHARED_BYTES_PER_CLOCK = 128
MOSTLY = 0.5  # from this share of the instructions on, it is FFMA that the schedulers issue


@dataclass(frozen=True)
class Pass:
    """One pass of a warp through the hot loop, or through a kernel that has none."""

    products: float  # of all lanes, each added to a sum
    cycles: dict[str, float]  # of a multiprocessor, by limit

    @property
    def bound(self) -> str:
        return max(self.cycles, key=lambda limit: self.cycles[limit])

    @property
    def most_cycles(self) -> float:
        return self.cycles[self.bound]


def pass_of(mix: Mix, chip: Chip) -> Pass:
    """The limits of a pass on a chip; units whose rate is not known are no limit."""
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
    """Of the factors of an arithmetic instruction, by its suffixes."""
    parts = instruction.opcode.split(".")
    if instruction.base.startswith("D"):
        return "float64"
    if instruction.is_tensor:
        return next((name for part, name in (("TF32", "tf32"), ("BF16", "bfloat16")) if part in parts), "float16")
    return "float16" if instruction.base.startswith("H") else "float32"


@dataclass(frozen=True)
class Bound:
    """What the model says of the launches of a kernel in one run."""

    compute_us: float | None  # None where it is not known how often the hot loop is passed
    memory_us: float
    loop: str  # the limit of the hot loop

    @property
    def least_us(self) -> float:
        return max(self.compute_us or 0.0, self.memory_us)

    @property
    def name(self) -> str:
        """Of the limit; with the loop's beside it where it is not known how often that is passed."""
        if self.compute_us is None:
            return f"DRAM, or {self.loop}"
        return self.loop if self.compute_us >= self.memory_us else "DRAM"


def bound(
    once: Pass, chip: Chip, *, blocks: list[int], warps: int, has_loop: bool, products: float | None, memory_bytes: int
) -> Bound:
    """Of launches of one kernel.

    Parameters
    ----------
    once : a pass through its hot loop, or through the kernel
    blocks : of each launch
    warps : of a block
    products : that all the launches make together, if that is known
    memory_bytes : that all the launches touch together
    """
    passes: float | None = None  # of a block
    if not has_loop:
        passes = warps
    elif products is not None and once.products:
        passes = products / once.products / sum(blocks)
    compute_us = None
    if passes is not None:
        busiest = sum(-(-each // chip.multiprocessors) for each in blocks)
        compute_us = busiest * passes * once.most_cycles / chip.clock_ghz / 1e3
    return Bound(compute_us, memory_bytes / chip.tbytes / 1e6, once.bound)
