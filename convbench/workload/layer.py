"""Defines the layer: a problem and a direction under the name that it has in a network."""

from dataclasses import dataclass, field

from convbench.errors import ConvbenchError
from convbench.problem import DIRECTIONS, ConvProblem, Direction


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A problem and a direction under the name that they have in a network.

    Characters of the name that cannot be printed are escaped.
    """

    name: str
    problem: ConvProblem
    count: int = 1  # how often the network has this layer
    direction: Direction = "forward"  # which of the three convolutions of the problem is computed
    place: str = field(default="", compare=False)  # where its source has it, such as "line 3"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        if self.direction not in DIRECTIONS:
            raise ConvbenchError(
                f"layer {self.name!r}: direction {self.direction!r} is unknown; there are {', '.join(DIRECTIONS)}"
            )

    @property
    def work(self) -> tuple[ConvProblem, Direction]:
        """The problem and the direction. Layers with the same work take the same time."""
        return self.problem, self.direction


def printable(name: str) -> str:
    """A name that is safe to print: control characters, which a terminal obeys or which break a table, are escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)
