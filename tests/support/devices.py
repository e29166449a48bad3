"""Devices that several tests share, and emulators of other GPUs."""

from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice

DEVICES = {
    "emulator": EmulatorDevice(), "checked": EmulatorDevice(checked=True), "simulator": SimulatorDevice(),
}  # fmt: skip


def emulator_of(capability: tuple[int, int]) -> EmulatorDevice:
    """An emulator of a GPU of this compute capability."""
    return EmulatorDevice(compute_capability=capability)
