"""Occupancy: how many blocks of a kernel a multiprocessor holds at once, and which resource limits them.

A warp's registers are allocated in units of 256, from the quarter of the register file that belongs to its scheduler.
A block's shared memory is allocated in units of 128 bytes (256 before compute capability 8.0). From 8.0 on, the system
takes 1 KiB more of it for each block.

Source: CUDA C++ Programming Guide, "Hardware Multithreading" and table "Technical Specifications per Compute
Capability"; Nsight Compute Documentation, "Occupancy Calculator", for the units.
"""

from dataclasses import dataclass

from convbench.inspection.architecture import Architecture

WARP = 32
SCHEDULERS = 4  # of a multiprocessor, each with its quarter of the registers
REGISTERS = 64 * 1024  # of a multiprocessor, of 32 bits
REGISTER_UNIT = 256  # of a warp


@dataclass(frozen=True)
class Occupancy:
    """Blocks and warps of one kernel that are resident on a multiprocessor."""

    blocks: int  # 0 if the kernel cannot be launched
    warps: int
    max_warps: int
    limits: dict[str, int]  # blocks that each resource alone would allow, by resource

    @property
    def share(self) -> float:
        return self.warps / self.max_warps

    @property
    def limited_by(self) -> tuple[str, ...]:
        return tuple(name for name, blocks in self.limits.items() if blocks == self.blocks)


def occupancy(
    architecture: Architecture, *, threads: int, registers: int, shared_bytes: int, barriers: int = 0
) -> Occupancy:
    """The occupancy by blocks of `threads` threads.

    Parameters
    ----------
    registers : registers of a thread
    shared_bytes : static and dynamic shared memory of a block
    barriers : barriers of a block, which limit resident blocks from compute capability 9.0 on
    """
    warps = -(-threads // WARP)
    registers_of_warp = _up(max(registers, 1) * WARP, REGISTER_UNIT)
    warps_for_registers = REGISTERS // SCHEDULERS // registers_of_warp * SCHEDULERS
    taken = _up(shared_bytes + architecture.reserved_shared_bytes, architecture.shared_unit)
    limits = {
        "blocks": architecture.max_blocks,
        "warps": architecture.max_warps // warps,
        "registers": warps_for_registers // warps,
        "shared memory": architecture.shared_bytes // taken if taken else architecture.max_blocks,
    }
    if barriers and architecture.barriers is not None:
        limits["barriers"] = architecture.barriers // barriers
    blocks = min(limits.values())
    return Occupancy(blocks, blocks * warps, architecture.max_warps, limits)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
