"""The GPU architectures that kernels can be inspected for, and the limits of their multiprocessors."""

import re
from dataclasses import dataclass

from convbench.errors import UnknownNameError, did_you_mean

KIB = 1024
DEFAULT = "sm_90"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A compute capability and its limits.

    Source: CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability"; cuda_occupancy.h of
    CUDA 13.5 for those that the table lacks, and for barriers.
    """

    compute_capability: tuple[int, int]
    max_blocks: int  # resident on a multiprocessor at once
    max_warps: int  # likewise
    shared_bytes: int  # of a multiprocessor

    @property
    def reserved_shared_bytes(self) -> int:
        """Shared memory of every block that the system takes for itself, in bytes."""
        return KIB if self.compute_capability >= (8, 0) else 0

    @property
    def shared_unit(self) -> int:
        """Shared memory is allocated in multiples of this many bytes."""
        return 128 if self.compute_capability >= (8, 0) else 256

    @property
    def barriers(self) -> int | None:
        """Barriers that the resident blocks of a multiprocessor share; None if they set no limit."""
        if self.compute_capability < (9, 0):
            return None
        has_two = self.compute_capability in ((9, 0), (10, 0))
        return 2 * self.max_blocks if has_two else self.max_blocks

    @property
    def max_shared_bytes(self) -> int:
        """Most shared memory of a block, in bytes, if the kernel opts in to more than 48 KiB."""
        return self.shared_bytes - self.reserved_shared_bytes

    @property
    def name(self) -> str:
        major, minor = self.compute_capability
        return f"sm_{major}{minor}"


KNOWN = {
    architecture.name: architecture
    for architecture in (
        Architecture(compute_capability=(7, 5), max_blocks=16, max_warps=32, shared_bytes=64 * KIB),
        Architecture(compute_capability=(8, 0), max_blocks=32, max_warps=64, shared_bytes=164 * KIB),
        Architecture(compute_capability=(8, 6), max_blocks=16, max_warps=48, shared_bytes=100 * KIB),
        Architecture(compute_capability=(8, 7), max_blocks=16, max_warps=48, shared_bytes=164 * KIB),
        Architecture(compute_capability=(8, 8), max_blocks=16, max_warps=48, shared_bytes=100 * KIB),
        Architecture(compute_capability=(8, 9), max_blocks=24, max_warps=48, shared_bytes=100 * KIB),
        Architecture(compute_capability=(9, 0), max_blocks=32, max_warps=64, shared_bytes=228 * KIB),
        Architecture(compute_capability=(10, 0), max_blocks=32, max_warps=64, shared_bytes=228 * KIB),
        Architecture(compute_capability=(10, 3), max_blocks=32, max_warps=64, shared_bytes=228 * KIB),
        Architecture(compute_capability=(11, 0), max_blocks=24, max_warps=48, shared_bytes=228 * KIB),
        Architecture(compute_capability=(12, 0), max_blocks=24, max_warps=48, shared_bytes=100 * KIB),
        Architecture(compute_capability=(12, 1), max_blocks=24, max_warps=48, shared_bytes=100 * KIB),
    )
}


def get(name: str) -> Architecture:
    """The architecture with this name, such as sm_90, also with a suffix, as sm_90a or sm_120f.

    Raises UnknownNameError if it is not known.
    """
    known = KNOWN.get(re.sub(r"(?<=\d)[af]$", "", name))
    if known is None:
        like = did_you_mean(name, KNOWN)
        raise UnknownNameError(f"architecture {name!r} is unknown; there are {', '.join(KNOWN)}{like}")
    return known
