"""What hands tasks to worker processes, here or on other machines, looks the same to the caller."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from convbench.crew.crew import LOOK_S
from convbench.crew.ends import Ended, Posted

T = TypeVar("T")


class Workforce(Protocol[T]):
    """Workers of this machine (`Crew`) or of a cluster (`Team`). The methods are those of `Crew`."""

    def add(self, *tasks: T, first: bool = False) -> None:
        """Add tasks, after all others or before them."""

    def tell(self, content: object, *, but: Callable[[T], bool] = lambda _task: False) -> None:
        """Tell all workers that have a task, except those with a task for which `but` is true."""

    def events(self, *, look_s: float = LOOK_S) -> Iterator[Posted[T] | Ended[T] | None]:
        """Do the tasks. Yield their messages and ends as they come, and None whenever `look_s` passes without any."""

    def under_way(self) -> list[tuple[T, str]]:
        """The tasks under way on this machine, each with what its worker has begun, in the words of `Desk.begin`."""

    def cancel(self) -> None:
        """Drop all tasks that have not ended."""

    def close(self) -> None:
        """End all workers. No more tasks follow."""
