"""What a warp does one after another: the longest chain of instructions of which each waits for the one before."""

from dataclasses import astuple, dataclass


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
    tensor : products of tensor cores
    """

    arithmetic: float = 0
    functions: float = 0
    float64: float = 0
    shared: float = 0
    memory: float = 0
    barriers: float = 0
    tensor: float = 0

    def __add__(self, other: "Chain") -> "Chain":
        return Chain(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def times(self, factor: float) -> "Chain":
        """The chain repeated."""
        return Chain(*(factor * mine for mine in astuple(self)))

    @property
    def length(self) -> float:
        """Its clocks with typical latencies, by which the longest of several is found."""
        waits = 4 * self.arithmetic + 20 * self.functions + 16 * self.float64
        return waits + 30 * self.shared + 400 * self.memory + 20 * self.barriers + 33 * self.tensor
