"""Tells whether a module uses autocast, and the autocast of which devices.

Autocast changes the dtype of a convolution by the device of its tensors (https://docs.pytorch.org/docs/main/amp.html).
It does nothing on "meta". PyTorch also switches the autocast of "cuda" off when it is made on a machine without a GPU.
While a module is watched, it is not switched off, because a convolution's dtype on a GPU is what the user asks for.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch

from convbench.errors import ConvbenchError

KINDS = "cuda", "cpu", "xpu", "mps", "hpu", "mtia", "maia", "xla"  # devices that may have autocast

_SIGNATURE = inspect.signature(torch.autocast.__init__)


class Autocast:
    """Notes for which kinds of devices autocast is switched on, from now on.

    Parameters
    ----------
    what : the module's class, for messages
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self.kinds: dict[str, None] = {}  # used as an ordered set
        self._made: WeakSet[Any] = WeakSet()  # the autocasts that were made while this one watched
        self._unclear = 0  # how many of the active ones PyTorch may have switched off
        self.look()

    def look(self) -> None:
        """Note for which kinds it is switched on now."""
        self.kinds |= {kind: None for kind in KINDS if torch.amp.is_autocast_available(kind) and _is_on(kind)}

    def demand_clear(self, where: str) -> None:
        """Raise a ConvbenchError if it is unknown whether the convolution at this place runs under autocast."""
        if self._unclear:
            raise ConvbenchError(
                f"convolution in {where!r}: it runs under an autocast of 'cuda' that was made before forward. Without "
                "a GPU, PyTorch makes it without effect, so the dtype on a GPU is unknown; write "
                '"with torch.autocast(...):" in forward in place of "@torch.autocast(...)"; or give device="cpu", '
                "where it has no effect"
            )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every `torch.autocast` that is made or entered inside this context."""
        usual = torch.autocast.__init__, torch.autocast.__enter__, torch.autocast.__exit__

        def make(one: Any, *args: Any, **kwargs: Any) -> None:
            given = _SIGNATURE.bind(one, *args, **kwargs)
            given.apply_defaults()
            if given.arguments["device_type"] == "meta":
                raise ConvbenchError(
                    f"{self._what}: it uses the autocast of its input's device, and 'meta' has none; "
                    'give the device that it runs on, such as device="cpu"'
                )
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "CUDA is not available")
                usual[0](one, *args, **kwargs)
            if _without_gpu(one) and given.arguments["enabled"]:
                one._enabled = True  # noqa: SLF001
            self._made.add(one)

        def enter(one: Any) -> Any:
            entered = usual[1](one)
            self._unclear += self._is_unclear(one)
            self.look()
            return entered

        def leave(one: Any, *error: Any) -> Any:
            self._unclear -= self._is_unclear(one)
            return usual[2](one, *error)

        torch.autocast.__init__, torch.autocast.__enter__, torch.autocast.__exit__ = make, enter, leave
        try:
            yield
        finally:
            torch.autocast.__init__, torch.autocast.__enter__, torch.autocast.__exit__ = usual

    def _is_unclear(self, one: Any) -> bool:
        return _without_gpu(one) and not one._enabled and one not in self._made  # noqa: SLF001


def _is_on(kind: str) -> bool:
    on: bool = torch.is_autocast_enabled(kind)
    return on


def _without_gpu(one: Any) -> bool:
    return one.device == "cuda" and not torch.cuda.is_available()
