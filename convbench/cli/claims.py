"""What a command holds until its end: the GPU that its kernels run on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from convbench.cli.streams import tell

_HELD: ContextVar[ExitStack] = ContextVar("held")


@contextmanager
def until_the_end() -> Iterator[None]:
    """Give back, at the end of this context, what is claimed in it."""
    with ExitStack() as held:
        before = _HELD.set(held)
        try:
            yield
        finally:
            _HELD.reset(before)


def claim_gpu(device: str | None) -> None:
    """Have the GPU that a device uses for this command alone, until its end; without a name, that of the default.

    It comes before the device is made, which takes memory of the GPU. Raises DeviceError if another run has the GPU.
    """
    from convbench import devices

    if (gpu := devices.in_use(device)) is not None:
        _HELD.get().enter_context(devices.claim(gpu, tell))
