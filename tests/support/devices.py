"""Devices that several tests share, and emulators of other GPUs."""

from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice

DEVICES = {
    "emulator": EmulatorDevice(), "checked": EmulatorDevice(checked=True), "simulator": SimulatorDevice(),
}  # fmt: skip


def emulator_of(capability: tuple[int, int]) -> EmulatorDevice:
    """An emulator that says it has this compute capability."""
    device = EmulatorDevice()
    device.compute_capability = capability
    return device
