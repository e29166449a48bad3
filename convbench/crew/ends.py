"""What a caller hears of its tasks: messages, and how each one ends."""

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from convbench.errors import ConvbenchError

T = TypeVar("T")

Loss = Literal["crashed", "timed_out", "out_of_memory"]  # of a worker
Fate = Literal["done", "left_out", "lost"] | Loss  # lost: with its machine, which a cluster can lose


class StartError(ConvbenchError):
    """No worker can be started."""


@dataclass(frozen=True)
class Posted(Generic[T]):
    """A message about a task, and what was printed since the one before."""

    task: T
    content: Any
    output: str


@dataclass(frozen=True, kw_only=True)
class Ended(Generic[T]):
    """The end of a task.

    `doing` is what was under way when it ended, in the words of `Desk.begin`; None if nothing was. `output` is the end
    of what was printed since the last message. `host` is the worker's machine if it is one of a cluster.
    """

    task: T
    fate: Fate
    result: Any = None
    reason: str | None = None  # unless it is done
    doing: str | None = None
    output: str = ""
    host: str | None = None

    @property
    def loss(self) -> Loss:
        """The fate of a task whose worker was lost."""
        assert self.fate != "done"
        assert self.fate != "left_out"
        assert self.fate != "lost"
        return self.fate
