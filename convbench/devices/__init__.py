"""Devices: where kernels run, behind one interface that allocates, copies, launches and times.

The name of a device enters, and a `Device` leaves: an NVIDIA GPU (`cuda`), the emulator, or Numba's simulator. Which
one is used without a name is decided in `selection`; there is no silent second choice.
"""

from convbench.devices.device import (
    MAX_GRID,
    MAX_SHARED_BYTES,
    MAX_THREADS_PER_BLOCK,
    Array,
    Device,
    Dimensions,
    Host,
    Kernel,
    Phase,
)
from convbench.devices.guarded import GuardedDevice
from convbench.devices.selection import NAMES, cuda_fault, gpu_evidence, select
from convbench.devices.stopwatch import Stopwatch

__all__ = [
    "MAX_GRID",
    "MAX_SHARED_BYTES",
    "MAX_THREADS_PER_BLOCK",
    "NAMES",
    "Array",
    "Device",
    "Dimensions",
    "GuardedDevice",
    "Host",
    "Kernel",
    "Phase",
    "Stopwatch",
    "cuda_fault",
    "gpu_evidence",
    "select",
]
