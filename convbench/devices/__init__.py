"""Provides the devices that run kernels, behind one interface that allocates, copies, launches and times.

The name of a device enters, and a `Device` leaves: an NVIDIA GPU (`cuda`), the emulator, or a simulator in pure Python.
`selection` chooses a device if no name is given. It never replaces a GPU that does not work by another device.
"""

from convbench.devices.claims import claim, claim_free
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
from convbench.devices.distant import DistantDevice
from convbench.devices.gpus import Gpu, in_use
from convbench.devices.guarded import GuardedDevice
from convbench.devices.health import check_after_loss
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
    "DistantDevice",
    "Gpu",
    "GuardedDevice",
    "Host",
    "Kernel",
    "Phase",
    "Stopwatch",
    "check_after_loss",
    "claim",
    "claim_free",
    "cuda_fault",
    "gpu_evidence",
    "in_use",
    "select",
]
