"""The worker's side of a crew: what the code of a task calls."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from convbench.crew.children import children, end_children
from convbench.crew.messages import GivesTurn, Order, Post, Told, WantsTurn
from convbench.crew.notice import Notice
from convbench.crew.output import Output


class OverError(Exception):
    """The parent has closed the connection: there is nothing left to do."""


class Desk:
    """The place of one worker.

    Parameters
    ----------
    number : of the worker; a worker that replaces another has a new number
    """

    def __init__(self, connection: Connection, notice: Notice, output: Output, number: int) -> None:
        self.number = number
        self.connection, self._notice, self._output = connection, notice, output
        self._process = os.getpid()
        self._kept = frozenset[int]()
        self._told: list[Any] = []

    def begin(self, what: str, limit_s: float = 0.0) -> None:
        """Say what begins now, in place of what was said before.

        If the process ends during it, the parent knows what it was. If it takes longer than the limit, the parent ends
        the process. A limit of 0 is none.
        """
        self._end_if_lost()
        self._notice.write(what, limit_s)

    def rest(self) -> None:
        """Say that nothing is under way that could end the process."""
        self._end_if_lost()
        self._notice.clear()

    def keep_children(self) -> None:
        """Let `end_children` spare the processes that run now: they are the worker's own."""
        self._kept = children()

    def end_children(self) -> None:
        """End what a part of the task has left running, so that it costs no other part time or memory."""
        self._end_if_copy()
        end_children(self._kept)

    def _end_if_copy(self) -> None:
        """End a copy of the process that a task has forked: it must not go on with the work of the process."""
        if os.getpid() != self._process:
            os._exit(1)

    def _end_if_lost(self) -> None:
        """End the process if it is a copy.

        End it too if the connection to the parent is closed, while what is under way is what has done it.
        """
        self._end_if_copy()
        try:
            os.fstat(self.connection.fileno())
        except OSError:
            os._exit(1)

    def post(self, content: object) -> None:
        """Send the caller a message about the task, with what was printed since the last one."""
        self.send(Post(content, self._output.take()))

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Be the only worker that works. The value is False if there is no time left for it."""
        self.send(WantsTurn())
        granted = self._receive()
        while isinstance(granted, Told):
            self._told.append(granted.content)
            granted = self._receive()
        try:
            yield bool(granted)
        finally:
            self.send(GivesTurn())

    def told(self) -> list[Any]:
        """What the caller told all workers since the last call."""
        while self.connection.poll():
            message = self._receive()
            assert isinstance(message, Told)  # an order follows only when the task is done
            self._told.append(message.content)
        told, self._told = self._told, []
        return told

    def order(self) -> Order:
        """Wait for the next task. Raises OverError if there is none."""
        while isinstance(message := self._receive(), Told):
            self._told.append(message.content)
        assert isinstance(message, Order)
        self._told.clear()  # it was meant for the task before
        return message

    def send(self, message: object) -> None:
        """Send a message, from this process alone."""
        self._end_if_copy()
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise OverError from error

    def _receive(self) -> Any:
        self._end_if_copy()
        try:
            return self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise OverError from error
