"""The limits that the hardware of each compute capability sets to a launch.

Source: CUDA C++ Programming Guide, tables "Technical Specifications per Compute Capability" and "Feature Support".
"""

from dataclasses import dataclass

from convbench.emulator.errors import CompilationError, LaunchError

MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS = 1024
STATIC_SHARED_BYTES = 48 * 1024  # most that a kernel may declare; beyond this, it must opt in to dynamic memory
CONSTANT_BYTES = 64 * 1024  # of a module
LOCAL_BYTES = 512 * 1024  # of a thread

# the largest dynamic shared memory of a block, in KiB
_SHARED_KIB = {
    (7, 0): 96, (7, 2): 96, (7, 5): 64, (8, 0): 163, (8, 6): 99, (8, 7): 163, (8, 8): 99, (8, 9): 99, (9, 0): 227,
    (10, 0): 227, (10, 3): 227, (11, 0): 227, (12, 0): 99, (12, 1): 99,
}  # fmt: skip


def check_constants(n_bytes: int) -> None:
    """Raise CompilationError if a module has more constants than the hardware takes."""
    if n_bytes > CONSTANT_BYTES:
        raise CompilationError(
            f"the kernel has {n_bytes:,} bytes of constants; the hardware takes {CONSTANT_BYTES:,} at most"
        )


@dataclass(frozen=True)
class Limits:
    """The limits of one compute capability, for example (9, 0)."""

    compute_capability: tuple[int, int] = (9, 0)

    def __post_init__(self) -> None:
        if self.compute_capability not in _SHARED_KIB:
            known = ", ".join(f"{major}.{minor}" for major, minor in _SHARED_KIB)
            major, minor = self.compute_capability
            raise LaunchError(f"the limits of compute capability {major}.{minor} are not known; those of {known} are")

    @property
    def shared_bytes(self) -> int:
        """Most static and dynamic shared memory of a block together."""
        return _SHARED_KIB[self.compute_capability] * 1024

    def check(
        self,
        kernel: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        *,
        static: int,
        dynamic: int,
        local: int,
        bounds: int | tuple[int, ...] | None = None,
    ) -> None:
        """Raise LaunchError for a launch that the hardware, or the `launch_bounds`, would refuse; it names the rule."""
        major, minor = self.compute_capability
        threads = block[0] * block[1] * block[2]
        most = bounds[0] if isinstance(bounds, tuple) else bounds or MAX_THREADS
        rules = (
            (min(grid) >= 1 and min(block) >= 1, "every dimension of grid and block must be at least 1"),
            (_within(grid, MAX_GRID), f"a grid holds at most {MAX_GRID} blocks"),
            (_within(block, MAX_BLOCK), f"a block is at most {MAX_BLOCK}"),
            (threads <= MAX_THREADS, f"a block holds at most {MAX_THREADS} threads, this one {threads}"),
            (threads <= most, f"the kernel's launch_bounds allow {most} threads, not {threads}"),
            (
                static <= STATIC_SHARED_BYTES,
                f"a kernel declares at most {STATIC_SHARED_BYTES} bytes of shared memory, not {static}",
            ),
            (
                static + dynamic <= self.shared_bytes,
                f"a block has at most {self.shared_bytes} bytes of shared memory, not {static} + {dynamic} dynamic",
            ),
            (dynamic >= 0, f"dynamic shared memory cannot have {dynamic} bytes"),
            (local <= LOCAL_BYTES, f"a thread has at most {LOCAL_BYTES} bytes of local memory, not {local}"),
        )
        for holds, rule in rules:
            if not holds:
                raise LaunchError(f"{kernel}: grid {grid}, block {block}: compute capability {major}.{minor}: {rule}")


def _within(given: tuple[int, int, int], most: tuple[int, int, int]) -> bool:
    return all(a <= b for a, b in zip(given, most, strict=True))
