"""What a warp does one after another: the longest chain of instructions of which each waits for the one before."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chain:
    """How many instructions of each kind are in a chain.

    Parameters
    ----------
    arithmetic : of fixed latency
    functions : of the unit for special functions, and conversions
    float64 : arithmetic in float64
    shared : loads from shared memory, atomics there, shuffles
    memory : loads from global or local memory, and atomics that return a value
    barriers : of the block
    """

    arithmetic: float = 0
    functions: float = 0
    float64: float = 0
    shared: float = 0
    memory: float = 0
    barriers: float = 0

    def __add__(self, other: "Chain") -> "Chain":
        return Chain(
            self.arithmetic + other.arithmetic,
            self.functions + other.functions,
            self.float64 + other.float64,
            self.shared + other.shared,
            self.memory + other.memory,
            self.barriers + other.barriers,
        )

    def times(self, factor: float) -> "Chain":
        """The chain repeated."""
        return Chain(
            self.arithmetic * factor,
            self.functions * factor,
            self.float64 * factor,
            self.shared * factor,
            self.memory * factor,
            self.barriers * factor,
        )

    @property
    def length(self) -> float:
        """Its clocks with typical latencies, by which the longest of several is found."""
        waits = 4 * self.arithmetic + 20 * self.functions + 16 * self.float64
        return waits + 30 * self.shared + 400 * self.memory + 20 * self.barriers
