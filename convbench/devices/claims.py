"""The claim on a GPU: one run at a time has it.

A claim is a lock file in the user's cache (`$XDG_CACHE_HOME/convbench/gpus`, else `~/.cache/convbench/gpus`), named by
the UUID. A UUID is unique in the world, so machines with one home folder may share the folder of locks. It is the
user's alone: in a folder that all users may write, anybody could hold a lock for ever, and Linux refuses to open a file
of another user there (`fs.protected_regular`). So two runs of one user exclude each other; those of two users do not,
and batch systems or the compute mode EXCLUSIVE_PROCESS keep these apart. The system gives a lock back when its process
ends, in whatever way.
"""

import os
import re
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from convbench.devices import nvml
from convbench.devices.gpus import VISIBLE, Gpu, Tell, tell_once, visible
from convbench.devices.health import fault
from convbench.errors import DeviceError, shortened
from convbench.records import HeldError, held

_KEPT: list[ExitStack] = []  # claims until the end of this process
MOST_OF_COMMAND = 200  # characters of a command in a lock file


@contextmanager
def claim(gpu: Gpu, tell: Tell) -> Iterator[None]:
    """Have a GPU for this process and its workers alone, while this context lasts.

    What cannot be made sure is told once through `tell`: a lock by the index alone, no lock at all because the folder
    of locks cannot be used, or no NVML to look at the GPU with after a worker is lost.

    Raises DeviceError, which names the GPU and who holds it, if another run has it.
    """
    if (reason := nvml.absence()) is not None:
        tell_once(tell, f"{gpu} will not be looked at when a worker is lost: {reason}")
    if not gpu.uuid:
        tell_once(tell, f"the UUID of {gpu} is unknown; other runs are kept off it by its index, {gpu.index}")
    with ExitStack() as stack:
        try:
            lock = _locks() / f"{_name(gpu)}.lock"
            stack.enter_context(held(lock, note=_command()))
        except HeldError as error:
            raise DeviceError(
                f"{gpu} is in use by {error.holder}; wait for its end, or choose another GPU with {VISIBLE}"
            ) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home folder
            tell_once(tell, f"other runs are not kept off {gpu}, for its lock cannot be made: {error}")
        yield


def claim_free(tell: Tell) -> None:
    """Have one of the visible GPUs that no other run has until this process ends, and let CUDA see this one alone.

    It comes before CUDA is used. A GPU that NVML says something against is left out.

    Raises DeviceError, with the reason of the last one, if there is none.
    """
    reason = "no GPU is visible"
    seen = visible(tell)
    if nvml.absence() is not None:  # CUDA was asked, and its choice can no longer be changed
        seen = seen[:1]
    for gpu in seen:
        with ExitStack() as stack:
            try:
                stack.enter_context(claim(gpu, tell))
            except DeviceError as error:
                reason = str(error)
                continue
            if (found := fault(gpu)) is not None:
                reason = f"{gpu} cannot be used: {found}"
                continue
            _KEPT.append(stack.pop_all())
            if gpu.uuid:
                os.environ[VISIBLE] = gpu.uuid
            return
    raise DeviceError(f"no GPU of {socket.gethostname()} is free: {reason}")


def _name(gpu: Gpu) -> str:
    """The name of a GPU's lock: its UUID, else its index on this machine."""
    if gpu.uuid:
        return re.sub(r"[^\w.-]", "_", gpu.uuid, flags=re.ASCII)  # a MIG name of old drivers has slashes
    return f"{socket.gethostname()}-index-{gpu.index}"


def _locks() -> Path:
    """The folder of locks, which is made if it is not there. Raises OSError, and RuntimeError without a home folder."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convbench" / "gpus"
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for own in (folder.parent, folder):
        own.mkdir(mode=0o700, exist_ok=True)
    return folder


def _command() -> str:
    """What this process was called with."""
    return shortened(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]), MOST_OF_COMMAND)
