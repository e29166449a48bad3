"""What NVIDIA's driver (NVML) says against using a GPU again, after a worker that used it was lost."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from convbench.devices import nvml as readings
from convbench.devices.gpus import Gpu, in_use
from convbench.errors import DeviceError

GO_S = 10.0  # how long the processes of a lost worker may take to leave its GPU: the driver frees their memory
LOOK_S = 0.1


def check_after_loss(device: str, session: int) -> None:
    """Raise DeviceError if the GPU of a device cannot be used again after a worker on it was lost.

    Parameters
    ----------
    device : the name of a device; only cuda has a GPU
    session : the process ID of the worker, which led a session of its own
    """
    gpu = in_use(device) if device == "cuda" else None
    if gpu is not None and (reason := fault(gpu, [session])) is not None:
        raise DeviceError(
            f"a worker on {gpu} was lost, and the GPU cannot be used again: {reason}; what was recorded is kept"
        )


def fault(
    gpu: Gpu,
    sessions: Sequence[int] = (),
    *,
    nvml: Any = None,
    wait_s: float = GO_S,
    session_of: Callable[[int], int] = os.getsid,
) -> str | None:
    """What NVML says against using a GPU again; None if it says nothing, or if it cannot be asked.

    It is a fault if the GPU is lost or needs a reset, if pages wait for retirement, if a row could not be remapped, or
    if processes of lost workers do not leave it in time. A row whose remapping is pending is none: the driver keeps new
    work off it (NVML API reference, `nvmlDeviceGetRemappedRows`).

    Parameters
    ----------
    sessions : whose processes must leave the GPU: the process IDs of lost workers
    nvml : the module pynvml, or a stand-in for tests
    wait_s : how long these processes may take
    session_of : gives the session of a process ID; raises OSError if there is no such process here
    """
    if not gpu.uuid or (nvml is None and readings.absence() is not None):  # told by `claim`
        return None
    nvml = readings.library() if nvml is None else nvml
    try:
        nvml.nvmlInit()
        handle = _handle(nvml, gpu.uuid)
    except nvml.NVMLError as error:
        return f"NVML does not find it ({error})"
    try:
        if _asked(nvml, nvml.nvmlDeviceGetRetiredPagesPendingStatus, handle):
            return "pages of its memory wait for retirement, which takes a reset"
        rows = _asked(nvml, nvml.nvmlDeviceGetRemappedRows, handle)
        if rows is not None and rows[3]:  # corrected, not corrected, pending, failed
            return "a row of its memory could not be remapped"
        deadline = time.monotonic() + wait_s
        while left := _of_sessions(
            _asked(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle), sessions, session_of
        ):
            if time.monotonic() > deadline:
                return f"process {left[0]} of the lost worker was still on it after {wait_s:g} s"
            time.sleep(LOOK_S)
    except nvml.NVMLError as error:
        return str(error)
    return None


def _handle(nvml: Any, uuid: str) -> Any:
    """NVML's handle of a GPU or of an instance, whose UUID CUDA may give as that of a GPU. Raises NVMLError."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        if error.value != nvml.NVML_ERROR_NOT_FOUND or not uuid.startswith("GPU-"):
            raise
        return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid.removeprefix('GPU-')}")


def _asked(nvml: Any, question: Callable[[Any], Any], handle: Any) -> Any:
    """The answer of NVML; None if this GPU, or this user, gets no answer to the question."""
    silent = {
        nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_NO_PERMISSION, nvml.NVML_ERROR_INVALID_ARGUMENT,
        nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    }  # fmt: skip
    try:
        return question(handle)
    except nvml.NVMLError as error:
        if error.value in silent:
            return None
        raise


def _of_sessions(running: Iterable[Any] | None, sessions: Sequence[int], session_of: Callable[[int], int]) -> list[int]:
    """Those processes on a GPU that belong to the sessions."""
    found = []
    for process in running or ():
        try:
            if session_of(process.pid) in sessions:
                found.append(process.pid)
        except OSError:  # it has ended, or is none of this container
            continue
    return found
