"""Defines the layer: a problem under the name that it has in a network."""

from dataclasses import dataclass

from convbench.problem import ConvProblem


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A problem under the name that it has in a network; characters of the name that cannot be printed are escaped."""

    name: str
    problem: ConvProblem
    count: int = 1  # how often the network has this layer

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


def printable(name: str) -> str:
    """A name that is safe to print: control characters, which a terminal obeys or which break a table, are escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)
