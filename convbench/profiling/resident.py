"""What a kernel takes of a multiprocessor, by its machine code, and what that leaves for its blocks."""

from dataclasses import dataclass
from typing import Any

from convbench.emulator import Profile
from convbench.inspection import architecture as architectures
from convbench.inspection import compiler
from convbench.inspection import occupancy as occupancies
from convbench.profiling.chips import Chip

_made: dict[tuple[Any, ...], compiler.Compiled] = {}


@dataclass(frozen=True)
class Resources:
    """What the compiler's log tells of a kernel."""

    registers: int
    static_shared_bytes: int
    barriers: int = 1


def held(profile: Profile, resources: Resources, chip: Chip) -> occupancies.Occupancy:
    """The blocks of a launch that a multiprocessor holds at once."""
    x, y, z = profile.block
    return _occupancy(x * y * z, profile.shared_bytes, resources, chip)


def _occupancy(threads: int, dynamic_bytes: int, resources: Resources, chip: Chip) -> occupancies.Occupancy:
    return occupancies.occupancy(
        chip.limits,
        threads=threads,
        registers=resources.registers,
        shared_bytes=resources.static_shared_bytes + dynamic_bytes,
        barriers=resources.barriers,
    )


def l1_share(threads: int, dynamic_bytes: int, resources: Resources, chip: Chip) -> int:
    """The bytes of the L1 cache that a block has, if all that are resident share what shared memory leaves of it."""
    resident = max(_occupancy(threads, dynamic_bytes, resources, chip).blocks, 1)
    taken = resources.static_shared_bytes + dynamic_bytes + chip.limits.reserved_shared_bytes
    return max(chip.rates.l1_kib * 1024 - resident * taken, 0) // resident


def compiled(kernel: Any, types: tuple[Any, ...], architecture: architectures.Architecture) -> compiler.Compiled:
    """The machine code of a kernel, made once. Raises KernelError and DeviceError if that is not possible."""
    key = kernel, types, architecture.name
    if key not in _made:
        _made[key] = compiler.compile_kernel(kernel, types, architecture)
    return _made[key]


def resources_of(kernel: Any, types: tuple[Any, ...], architecture: architectures.Architecture) -> Resources:
    """What the compiler's log tells of a kernel."""
    told = compiled(kernel, types, architecture).resources
    return Resources(told.registers, told.static_shared_bytes, told.barriers)
