"""What is counted of an instruction. Counters of several instructions can be added."""

from dataclasses import dataclass, fields
from typing import Any

SECTOR_BYTES = 32


@dataclass(frozen=True)
class Counters:
    """Counts of warps. Those of a sample are scaled to the whole grid, and may then have fractions.

    Parameters
    ----------
    instructions : warp instructions that were executed
    lanes : active lanes of all of them; 32 for each instruction if no lane diverged
    splits : how often the lanes of a warp went on to different places behind the instruction
    barrier_waits : for how many instructions of the slowest warp the others wait at barriers of the block, summed over
        warps; instructions are those of the machine, about
    shared_requests : warp instructions that accessed shared memory with at least one lane
    wavefronts, ideal_wavefronts : passes over the banks, and those without conflicts
    conflict : the most different words that one request asked of one bank (n-way conflict); the largest of a sum
    global_requests, sectors, ideal_sectors : of global memory; a sector has 32 bytes
    lines : lines of 128 bytes that the requests touched, each at least once for each request
    used_bytes : different bytes that the lanes of a request asked for
    tag_passes : clocks in which the L1 cache finds the lines of the requests, four sets at once
    l1_hits : sectors of loads that the L1 cache of the block had; atomics, stores and asynchronous copies have none
    l2_hits : sectors that the L2 cache had, of those that went there
    dram_reads, dram_writes : sectors that the memory read and wrote, if the L2 cache is simulated
    local_requests, local_sectors : of local memory, which lies beside global memory
    atomics : warp instructions with atomics
    contention : the most lanes of a request with one address, which wait for each other; summed over requests
    """

    instructions: float = 0
    lanes: float = 0
    splits: float = 0
    barrier_waits: float = 0
    shared_requests: float = 0
    wavefronts: float = 0
    ideal_wavefronts: float = 0
    conflict: int = 0
    global_requests: float = 0
    sectors: float = 0
    ideal_sectors: float = 0
    lines: float = 0
    used_bytes: float = 0
    tag_passes: float = 0
    l1_hits: float = 0
    l2_hits: float = 0
    dram_reads: float = 0
    dram_writes: float = 0
    local_requests: float = 0
    local_sectors: float = 0
    atomics: float = 0
    contention: float = 0

    def __add__(self, other: "Counters") -> "Counters":
        sums: dict[str, Any] = {name: mine + getattr(other, name) for name, mine in self.by_name().items()}
        return Counters(**{**sums, "conflict": max(self.conflict, other.conflict)})

    def scaled(self, whole: int, counted: int) -> "Counters":
        """The counters of `whole` blocks, of which `counted` were counted; integers stay integers where they can."""
        if whole == counted:
            return self
        scaled: dict[str, Any] = {name: _scaled(number, whole, counted) for name, number in self.by_name().items()}
        return Counters(**{**scaled, "conflict": self.conflict})

    def by_name(self) -> dict[str, float]:
        """All counts by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def excessive_wavefronts(self) -> float:
        """Wavefronts that conflicts between banks add."""
        return self.wavefronts - self.ideal_wavefronts

    @property
    def excessive_sectors(self) -> float:
        """Sectors that would not be moved if the bytes used lay side by side."""
        return self.sectors - self.ideal_sectors

    @property
    def moved_bytes(self) -> float:
        """Bytes of the sectors of global memory."""
        return self.sectors * SECTOR_BYTES

    @property
    def l2_bytes(self) -> float:
        """Bytes of the sectors that go to the L2 cache, because the L1 cache lacks them."""
        return (self.sectors - self.l1_hits) * SECTOR_BYTES

    @property
    def dram_bytes(self) -> float:
        """Bytes that pass between the memory and the chip, if the L2 cache is simulated."""
        return (self.dram_reads + self.dram_writes) * SECTOR_BYTES

    @property
    def lanes_active(self) -> float:
        """Active lanes of an instruction, on average."""
        return self.lanes / self.instructions if self.instructions else 0.0


def _scaled(number: float, whole: int, counted: int) -> float:
    product = number * whole
    return product // counted if isinstance(product, int) and product % counted == 0 else product / counted
