"""The requirements of asynchronous and of wide copies: of a device, and of an array."""

from convbench.devices import Array, Device

COPIES_SINCE = 8, 0  # PTX ISA, "cp.async"
WIDEST_BYTES = 16


def lacks_copies(device: Device) -> bool:
    """Whether the compute capability of a device is older than asynchronous copies."""
    return device.compute_capability is not None and device.compute_capability < COPIES_SINCE


def is_aligned(array: Array) -> bool:
    """Whether an array begins at an address that the widest access may have."""
    for name in ("__cuda_array_interface__", "__array_interface__"):
        if interface := getattr(array, name, None):
            return int(interface["data"][0]) % WIDEST_BYTES == 0
    return True  # a device that runs nothing gives its arrays no address
