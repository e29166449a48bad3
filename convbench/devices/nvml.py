"""Reads a GPU's clocks, temperature and power, and the reasons why it is slowed down, from NVIDIA's driver (NVML).

`gpus` asks NVML which GPUs there are, and `health` whether one may be used again.

Source: NVML API reference, `nvmlDeviceGetCurrentClocksEventReasons`. Reasons that do not depend on the load (an idle
GPU, clocks that a user has set) are left out.
"""

from typing import Any

from convbench.errors import DeviceError
from convbench.records import Reading

SLOWED = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


class Nvml:
    """Reads the clocks, temperature and power of one GPU.

    Parameters
    ----------
    uuid : of the GPU, in CUDA's form: GPU-…
    nvml : the module pynvml, or a stand-in for tests

    Raises
    ------
    DeviceError
        pynvml is not installed, the driver does not answer, or it does not know the GPU.
    """

    def __init__(self, uuid: str, nvml: Any = None) -> None:
        self._nvml = nvml = library() if nvml is None else nvml
        try:
            nvml.nvmlInit()
            self._gpu = nvml.nvmlDeviceGetHandleByUUID(uuid)
            self.driver = str(nvml.nvmlSystemGetDriverVersion())
            self.reading()
        except nvml.NVMLError as error:
            raise DeviceError(f"clocks of {uuid} cannot be read: {error}") from error

    def reading(self) -> Reading:
        """The values at this moment; raises NVMLError."""
        nvml, gpu = self._nvml, self._gpu
        reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
        return Reading(
            sm_mhz=nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
            memory_mhz=nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
            temperature_c=nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
            power_w=nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,  # NVML gives milliwatts
            throttle=tuple(name for bit, name in SLOWED.items() if reasons & bit),
        )


def library() -> Any:
    """The module pynvml. Raises DeviceError if it is not installed."""
    try:
        import pynvml  # needed on a GPU only, and a missing package must not be an ImportError
    except ImportError as error:
        raise DeviceError(f"NVML cannot be used: pip install nvidia-ml-py ({error})") from error
    return pynvml


def absence() -> str | None:
    """Why NVML cannot be used here, as in some containers; None if it can."""
    try:
        nvml = library()
    except DeviceError as error:
        return str(error)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return f"NVML does not start: {error}"
    return None
