"""Implements a device of another machine: it tells what it is, and runs nothing here."""

from typing import Any, ClassVar, NoReturn

from convbench.devices.device import Device
from convbench.errors import DeviceError


class DistantDevice(Device):
    """A device of the workers of a cluster.

    Parameters
    ----------
    name : of the device, one of `convbench.devices.NAMES`
    description : what the device tells of itself there
    """

    name: ClassVar[str]
    clock: ClassVar[str]
    is_gpu: ClassVar[bool]

    def __init__(self, name: str, description: dict[str, Any]) -> None:
        super().__init__()
        self._description = description
        # of the class for a device that runs here
        self.name, self.clock, self.is_gpu = name, description["clock"], description["is_gpu"]  # type: ignore[misc]

    def _absent(self, *_: object, **__: object) -> NoReturn:
        raise DeviceError(f"device {self.name} ({self._description['name']}) is on another machine")

    empty = upload = download = write = _launch = synchronize = elapsed_us = _absent

    def describe(self) -> dict[str, Any]:
        return self._description
