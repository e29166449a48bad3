"""Tasks and messages as bytes, which a worker of a cluster passes on without the modules that would read them.

A plugin's classes are known where its file was loaded: by the caller, and by the process that does the tasks. The
worker of the cluster, which stands between them, loads no plugin.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convbench.crew.desk import Desk


@dataclass(frozen=True)
class Sealed:
    """Makes what does tasks as bytes, from what does the tasks themselves.

    Parameters
    ----------
    start : the pickled function that a `Crew` has for its tasks
    """

    start: bytes

    def __call__(self, desk: Desk) -> Callable[[bytes], bytes]:
        work = pickle.loads(self.start)(_SealedDesk(desk))
        return lambda task: pickle.dumps(work(pickle.loads(task)))


class _SealedDesk(Desk):
    """A desk whose messages are bytes."""

    def __init__(self, desk: Desk) -> None:
        self.__dict__.update(vars(desk))

    def post(self, content: object) -> None:
        super().post(pickle.dumps(content))

    def told(self) -> list[Any]:
        return [pickle.loads(content) for content in super().told()]
