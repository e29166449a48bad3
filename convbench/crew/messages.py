"""What a worker and its parent send each other, besides the tasks themselves."""

from dataclasses import dataclass
from typing import Any

from convbench.errors import ConvbenchError


@dataclass(frozen=True)
class Started:
    """The worker is ready for tasks."""


@dataclass(frozen=True)
class NotStarted:
    """`start` raised an error that a user can cause; no other worker would do better."""

    error: ConvbenchError


@dataclass(frozen=True)
class Begun:
    """The worker has received its task."""


@dataclass(frozen=True)
class WantsTurn:
    """The worker waits until it may be the only one that works; the parent answers whether it may."""


@dataclass(frozen=True)
class GivesTurn:
    """Others may have their turn."""


@dataclass(frozen=True)
class Post:
    """A message of the task to the caller, with what was printed since the last one."""

    content: Any
    output: str


@dataclass(frozen=True)
class Done:
    """The task is done."""

    result: Any
    output: str


@dataclass(frozen=True)
class Raised:
    """The task raised; the worker cannot be trusted after that, and ends."""

    reason: str
    is_memory: bool
    output: str


@dataclass(frozen=True)
class Order:
    """A task for the worker."""

    task: Any


@dataclass(frozen=True)
class Told:
    """What the caller tells all workers while they work."""

    content: Any


FromWorker = Started | NotStarted | Begun | WantsTurn | GivesTurn | Post | Done | Raised
