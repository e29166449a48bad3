"""What asynchronous and wide copies ask of a device and of an array."""

from convbench.devices import Array, Device

COPIES_SINCE = 8, 0  # PTX ISA, "cp.async"
WIDEST_BYTES = 16


def lacks_copies(device: Device) -> bool:
    """Whether a device is of a compute capability without asynchronous copies."""
    return device.compute_capability is not None and device.compute_capability < COPIES_SINCE


def is_aligned(array: Array) -> bool:
    """Whether an array begins where the widest access may."""
    for name in ("__cuda_array_interface__", "__array_interface__"):
        if interface := getattr(array, name, None):
            return int(interface["data"][0]) % WIDEST_BYTES == 0
    return True  # the array of a device that nothing runs on lies nowhere
