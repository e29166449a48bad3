"""The requirements of asynchronous and of wide copies, and of the shared memory that they fill."""

from typing import Any

from convbench.devices import Array, Device
from convbench.errors import ConfigError

COPIES_SINCE = 8, 0  # PTX ISA, "cp.async"
WIDEST_BYTES = 16


def lacks_copies(device: Device) -> bool:
    """Whether the compute capability of a device is older than asynchronous copies."""
    return device.compute_capability is not None and device.compute_capability < COPIES_SINCE


def require_copies(config: Any, device: Device) -> None:
    """Raise ConfigError if a device has no asynchronous copies, which a config needs."""
    if lacks_copies(device):
        raise ConfigError(f"{config} needs asynchronous copies; device {device.name} has none: take another config")


def require_shared_memory(config: Any, device: Device, needed: int) -> None:
    """Raise ConfigError if a block of a device cannot have so many bytes of shared memory, which a config needs."""
    if needed > (most := device.max_shared_bytes):
        raise ConfigError(
            f"{config} needs {needed:,} bytes of shared memory; a block of device {device.name} has {most:,}: "
            "take another config"
        )


def is_aligned(array: Array) -> bool:
    """Whether an array begins at an address that the widest access may have."""
    for name in ("__cuda_array_interface__", "__array_interface__"):
        if interface := getattr(array, name, None):
            return int(interface["data"][0]) % WIDEST_BYTES == 0
    return True  # a device that runs nothing gives its arrays no address
