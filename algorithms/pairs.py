"""The requirement of packed multiply-adds: a GPU that makes two of float32 by one instruction."""

from dataclasses import replace
from typing import Any

from convbench.devices import Device
from convbench.errors import ConfigError
from convbench.intrinsics import PAIRED


def has_pairs(device: Device) -> bool:
    """Whether a device is, or emulates, a GPU with the instruction."""
    return device.compute_capability in PAIRED


def require_pairs(config: Any, device: Device, *, is_packed: bool) -> None:
    """Raise ConfigError if a config has packed multiply-adds, which a device does not have."""
    if is_packed and (reason := lacks_pairs(device)):
        raise ConfigError(f"{config}: {reason}: take is_packed=False")


def lacks_pairs(device: Device) -> str | None:
    """The reason why a device has no packed multiply-adds; None if it has. The simulator has no compute capability."""
    if device.compute_capability is None or has_pairs(device):
        return None
    able, has = " and ".join(map(_named, PAIRED)), _named(device.compute_capability)
    return f"packed multiply-adds are for compute capabilities {able} alone; device {device.name} has {has}"


def _named(capability: tuple[int, ...]) -> str:
    return ".".join(map(str, capability))


def packed_on(device: Device, config: Any) -> Any:
    """The config with packed multiply-adds on a device that has them; the same config on any other device.

    Rule: they are the default wherever they exist. One FFMA2 occupies the multipliers for as long as two FFMA, but it
    is issued once, and the issue of instructions is what limits most of these kernels without it. On the layers of
    ResNet-18 and on a small one they are 1.00 to 1.34 times as fast, predicted for NVIDIA B200, not measured
    (reports/predicted/packed.md).
    """
    return replace(config, is_packed=True) if has_pairs(device) else config


def plain_rivals(default: Any) -> tuple[Any, ...]:
    """The config without packed multiply-adds, if the default has them: what a survey times beside it."""
    return (replace(default, is_packed=False),) if getattr(default, "is_packed", False) else ()
