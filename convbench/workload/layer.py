"""A layer: a problem by its name in a network."""

from dataclasses import dataclass

from convbench.problem import ConvProblem


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A problem by its name in a network: one line, in which what cannot be printed stands as an escape."""

    name: str
    problem: ConvProblem
    count: int = 1  # how often the network has this layer

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


def printable(name: str) -> str:
    """A name from outside as text that does nothing: a terminal would obey some characters, others break a table."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)
