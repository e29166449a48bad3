"""The GPUs that this process may see, by UUID and in the order of CUDA."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convbench.devices import nvml as readings
from convbench.devices import selection
from convbench.errors import DeviceError

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"

Tell = Callable[[str], None]  # tells the user a sentence
_told: set[str] = set()


@dataclass(frozen=True)
class Gpu:
    """A GPU, or an instance of one (MIG).

    Parameters
    ----------
    uuid : as `nvidia-smi -L` prints it, GPU-… or MIG-…; empty if nothing tells it
    index : among the GPUs that CUDA sees, from 0
    """

    uuid: str
    index: int
    name: str

    def __str__(self) -> str:
        return f"GPU {self.index} ({', '.join(filter(None, (self.name, self.uuid)))})"


def visible(tell: Tell, *, nvml: Any = None, environment: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """The GPUs that CUDA shows a process with this environment, in CUDA's order.

    CUDA_VISIBLE_DEVICES lists numbers, UUIDs, or beginnings of UUIDs that only one GPU has. The list ends before the
    first that is none of these (-1, say). An empty list hides all GPUs, and so does one that names a GPU twice. A MIG
    instance stands as it is, and is the last, for CUDA shows no second one. A number counts in CUDA's order; NVML's
    order is by PCI bus. CUDA has the same order with CUDA_DEVICE_ORDER=PCI_BUS_ID, or with GPUs of one model. Its
    default, FASTEST_FIRST, leaves the order of different models open: then a list of numbers is refused, and without a
    list the order is NVML's.

    Without NVML, CUDA is asked, which is told once through `tell`; there is no GPU if it cannot be used, either.

    Source: CUDA Programming Guide, "CUDA Environment Variables"; for doubled names and for numbers with letters behind
    them, `torch.cuda._parse_visible_devices` of PyTorch.

    Parameters
    ----------
    nvml : the module pynvml, or a stand-in for tests

    Raises
    ------
    DeviceError
        a number does not tell which GPU it means.
    """
    try:
        nvml = readings.library() if nvml is None else nvml
        whole = _all(nvml)
    except DeviceError as error:
        if (reason := selection.cuda_fault()) is not None:
            tell_once(tell, f"no GPU is seen: {error}, and CUDA cannot be used: {reason}")
            return ()
        tell_once(tell, f"{error}; the GPUs are those that CUDA lists")
        return seen_by_cuda()
    listed = environment.get(VISIBLE)
    if listed is None:
        return whole
    chosen = list[Gpu]()
    for word in map(str.strip, listed.split(",")):
        found = _named(word, whole, nvml)
        if found is None:
            break
        if found.uuid in {other.uuid for other in chosen}:
            return ()
        if not word.startswith(("GPU-", "MIG-")) and len({gpu.name for gpu in whole}) > 1:
            _require_order(listed, environment)
        chosen.append(Gpu(found.uuid, len(chosen), found.name))
        if word.startswith("MIG-"):
            break
    return tuple(chosen)


def in_use(device: str | None) -> Gpu | None:
    """The GPU that the device of a name uses, which is the first that CUDA sees; None if it uses none.

    Without a name it is that of the device that `convbench.devices.select` chooses.
    """
    if device not in (None, "cuda") or selection.cuda_fault() is not None:
        return None
    return next(iter(seen_by_cuda()), None)


def seen_by_cuda() -> tuple[Gpu, ...]:
    """The GPUs that CUDA sees in this process. It makes no context on any of them."""
    from numba import cuda  # takes long to import

    mig = os.environ.get(VISIBLE, "").partition(",")[0].strip()
    found = []
    for index, gpu in enumerate(cuda.gpus):
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name)
        uuid = mig if mig.startswith("MIG-") else str(getattr(gpu, "uuid", "") or "")
        found.append(Gpu(uuid, index, name))
    return tuple(found)


def _all(nvml: Any) -> tuple[Gpu, ...]:
    """All GPUs of the machine, in NVML's order."""
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return tuple(
            Gpu(str(nvml.nvmlDeviceGetUUID(handle)), index, str(nvml.nvmlDeviceGetName(handle)))
            for index, handle in enumerate(handles)
        )
    except nvml.NVMLError as error:
        raise DeviceError(f"GPUs cannot be listed: {error}") from error


def _named(word: str, whole: Sequence[Gpu], nvml: Any) -> Gpu | None:
    """The GPU that a word of CUDA_VISIBLE_DEVICES names; None if there is none, or more than one."""
    if word.startswith("MIG-"):
        try:
            name = str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByUUID(word)))
        except nvml.NVMLError:  # NVML knows no names of old drivers, MIG-GPU-…/1/2
            name = "MIG instance"
        return Gpu(word, 0, name)
    if word.startswith("GPU-"):
        like = [gpu for gpu in whole if gpu.uuid.startswith(word)]
        return like[0] if len(like) == 1 else None
    number = re.match(r"\+?\d{1,9}", word, re.ASCII)
    return whole[int(number[0])] if number and int(number[0]) < len(whole) else None


def _require_order(listed: str, environment: Mapping[str, str]) -> None:
    if environment.get(ORDER) != "PCI_BUS_ID":
        raise DeviceError(
            f"{VISIBLE}={listed} has numbers, and only CUDA knows the order of this machine's GPUs of several models: "
            f"set {ORDER}=PCI_BUS_ID, or name them by their UUIDs, as `nvidia-smi -L` prints them"
        )


def tell_once(tell: Tell, sentence: str) -> None:
    """Tell a sentence unless this process has told it before."""
    if sentence not in _told:
        _told.add(sentence)
        tell(sentence)
