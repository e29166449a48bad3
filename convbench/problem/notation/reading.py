"""Defines the reading of a line: the problem, and what else the line says about it."""

from dataclasses import dataclass

from convbench.errors import NotationError
from convbench.problem.fields import Direction
from convbench.problem.problem import ConvProblem

# the direction of a problem that a direction of its transposed convolution computes
TURNED: dict[Direction, Direction] = {"forward": "backward_data", "backward_data": "forward"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A problem that a line describes, how often it occurs there, and in which directions it is computed."""

    problem: ConvProblem
    count: int = 1
    directions: tuple[Direction, ...] = ()  # empty if the line names none
    tags: tuple[str, ...] = ()  # memory formats that a problem cannot express, such as "wei Acdb32a"
    trial: bool = False  # whether the line reports one of several kernels that were tried; the problem counts once
    search: bool = False  # whether the line only searched for the fastest kernel, and did not run the layer

    @property
    def name(self) -> str:
        """The name of a layer that the line describes: the problem's text, and the tags in brackets."""
        return f"{self.problem} [{', '.join(self.tags)}]" if self.tags else str(self.problem)

    @property
    def label(self) -> str:
        """The problem's text; in brackets the directions, unless it is forward alone, and the tags."""
        directions = () if self.directions == ("forward",) else self.directions
        extra = ", ".join((*directions, *self.tags))
        return f"{self.problem} [{extra}]" if extra else str(self.problem)


class OtherOperationError(NotationError):
    """The line belongs to a log of many operations, and describes no convolution; `reason` names the operation."""
