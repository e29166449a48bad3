"""The tiles of `algorithms.gemm.batched`: how much of a product a block and a thread compute."""

from dataclasses import dataclass

from algorithms.gemm.stages import WAITS
from convbench.devices import MAX_SHARED_BYTES, MAX_THREADS_PER_BLOCK
from convbench.errors import ConfigError

REGISTERS = 65536  # of a multiprocessor, since compute capability 5.0
MOST_THREADS = 1536  # of a multiprocessor, at least, since compute capability 8.0
MOST_ACCUMULATORS = 128  # what NVVM unrolls, and 255 registers hold with what else a thread needs


@dataclass(frozen=True, kw_only=True)
class Tile:
    """How much of the product a block and a thread compute. The extents along i and j count numbers of float32.

    Parameters
    ----------
    tile_i, tile_j : rows and columns of a block
    tile_l : terms between two barriers
    thread_i, thread_j : rows and columns of a thread
    stages : tiles of each operand in shared memory, one of them in use
    blocks : the least number of blocks that a multiprocessor should hold at once; None derives it from the registers
        that a thread needs for its sums, its factors and 48 more numbers
    """

    tile_i: int = 32
    tile_j: int = 32
    tile_l: int = 8
    thread_i: int = 4
    thread_j: int = 4
    stages: int = 2
    blocks: int | None = None

    def __post_init__(self) -> None:
        if min(self.tile_i, self.tile_j, self.tile_l, self.thread_i, self.thread_j) < 1:
            raise ConfigError(f"{self}: every extent is at least 1")
        rules = (
            (self.thread_i % 4 == 0 and self.thread_j % 4 == 0, "a thread has a multiple of 4 rows and columns"),
            (self.thread_i * self.thread_j <= MOST_ACCUMULATORS, f"a thread has at most {MOST_ACCUMULATORS} sums"),
            (
                self.tile_i % (4 * self.thread_i) == 0 and self.tile_j % (8 * self.thread_j) == 0,
                "a tile is a multiple of what a warp has, 4 · thread_i by 8 · thread_j",
            ),
            (self.stages in WAITS, f"stages are one of {', '.join(map(str, WAITS))}"),
            (
                self.blocks is None or 1 <= self.blocks <= MOST_THREADS // self.threads,
                f"a multiprocessor holds at most {MOST_THREADS} threads",
            ),
            (self.threads <= MAX_THREADS_PER_BLOCK, f"a block holds at most {MAX_THREADS_PER_BLOCK} threads"),
            (
                all(extent & (extent - 1) == 0 for extent in (self.tile_i, self.tile_j)),
                "tile_i and tile_j are powers of two",
            ),
            (
                all(4 * self.threads % e == 0 and e * self.tile_l % (4 * self.threads) == 0
                    for e in (self.tile_i, self.tile_j)),
                "the threads copy whole rows of a tile at a time, and all of it",
            ),
            (
                self.shared_bytes <= MAX_SHARED_BYTES,
                f"a kernel declares at most {MAX_SHARED_BYTES} bytes of shared memory, not {self.shared_bytes}",
            ),
        )  # fmt: skip
        for holds, rule in rules:
            if not holds:
                raise ConfigError(f"{self}: {rule}")

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.tile_i // self.thread_i * (self.tile_j // self.thread_j)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        return 4 * self.stages * self.tile_l * (self.tile_i + self.tile_j)

    @property
    def least_blocks(self) -> int:
        """The number of blocks for which a multiprocessor should have registers."""
        if self.blocks is not None:
            return self.blocks
        registers = self.thread_i * self.thread_j + self.thread_i + self.thread_j + 48
        return max(1, min(8, REGISTERS // (self.threads * registers)))
