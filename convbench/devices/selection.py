"""Selects the device: the one that was asked for, else the GPU, else the emulator.

A GPU that does not work is an error. The emulator never replaces it silently.
"""

from collections.abc import Callable
from pathlib import Path

from convbench.devices.device import Device
from convbench.errors import DeviceError, UnknownNameError, did_you_mean

NVIDIA_PCI_VENDOR = "0x10de"
PCI_DISPLAY_CLASS = "0x03"


def select(name: str | None = None, *, workers: int | None = None, root: Path = Path("/")) -> Device:
    """The device called `name`; without a name, the GPU of a machine that has one, else the emulator.

    Parameters
    ----------
    name : one of `NAMES`, or None
    workers : cores that the fast emulator uses; None: all that there are
    root : the root of the file system in which to look for traces of a GPU, for tests

    Raises
    ------
    UnknownNameError
        there is no device of that name.
    DeviceError
        the named device cannot be used; or no name is given, and there is a GPU that does not work.
    """
    if name is not None:
        if name not in NAMES:
            like = did_you_mean(name, NAMES)
            raise UnknownNameError(f"device {name!r} is unknown; there are {', '.join(NAMES)}{like}")
        return NAMES[name](workers)
    fault = cuda_fault()
    if fault is None:
        return _cuda(workers)
    if evidence := gpu_evidence(root) or ("its driver works" if "NVVM" in fault else None):
        raise DeviceError(
            f"this machine has an NVIDIA GPU ({evidence}), but CUDA cannot be used: {fault}\n"
            "`convbench doctor` tells more; `--device emulator` runs without the GPU"
        )
    return _emulator(workers)


def cuda_fault() -> str | None:
    """The reason why CUDA cannot be used, in one line; None if it can."""
    # here, because importing numba-cuda takes long and may fail
    try:
        from numba import cuda
        from numba.cuda.core import config
    except Exception as wrong:  # noqa: BLE001  (incompatible versions may raise anything)
        return f"numba.cuda cannot be imported: {wrong}"
    if config.ENABLE_CUDASIM:
        return "NUMBA_ENABLE_CUDASIM is set, so that Numba only simulates"
    available = cuda.is_available()  # must come first, because it initialises the driver
    if error := cuda.cuda_error():
        return " ".join(str(error).split())
    if not available:
        return 'the driver works, but the compiler (NVVM) is missing: pip install "convbench[cu13]" (or [cu12])'
    return None


def gpu_evidence(root: Path = Path("/")) -> str | None:
    """A file or PCI device that proves that there is an NVIDIA GPU, working or not; None without one. Linux only."""
    for path in ("dev/nvidia0", "dev/nvidiactl", "proc/driver/nvidia/version"):
        if (root / path).exists():
            return f"/{path}"
    for device in sorted(root.glob("sys/bus/pci/devices/*")):
        if _word(device / "vendor") == NVIDIA_PCI_VENDOR and _word(device / "class").startswith(PCI_DISPLAY_CLASS):
            return f"PCI device {device.name}"
    return None


def _word(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _cuda(_workers: int | None) -> Device:
    if fault := cuda_fault():
        raise DeviceError(f"device cuda was asked for, but CUDA cannot be used: {fault}")
    from convbench.devices.cuda import CudaDevice  # takes long to import

    return CudaDevice()


def _emulator(workers: int | None) -> Device:
    from convbench.devices.emulator import EmulatorDevice  # takes long to import

    return EmulatorDevice(workers=workers)


def _llvm_emulator(workers: int | None) -> Device:
    from convbench.devices.emulator import EmulatorDevice  # takes long to import

    return EmulatorDevice(code="llvm", workers=workers)


def _checked_emulator(_workers: int | None) -> Device:
    from convbench.devices.emulator import EmulatorDevice  # takes long to import

    return EmulatorDevice(checked=True)


def _simulator(_workers: int | None) -> Device:
    from convbench.devices.simulator import SimulatorDevice  # takes long to import

    return SimulatorDevice()


NAMES: dict[str, Callable[[int | None], Device]] = {
    "cuda": _cuda,
    "emulator": _emulator,
    "emulator-llvm": _llvm_emulator,
    "emulator-checked": _checked_emulator,
    "simulator": _simulator,
}
