"""What a worker on another machine needs to know of a call, and whether its code is the caller's."""

import hashlib
import importlib.util
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.cli.asked.how import Tell
from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.devices import Device

PACKAGES = "convbench", "algorithms"


def version(plugins: Iterable[str]) -> str:
    """A digest of what decides a result: the source of the code, and the packages that it compiles kernels with."""
    from convbench.records import environment

    known = environment.capture()
    whole = hashlib.sha256(repr((known["python"], sorted(known["packages"].items()))).encode())
    for plugin in (*PACKAGES, *plugins):
        for file in _files(plugin):
            whole.update(f"{file.name} {digest(file)}\n".encode())
    return whole.hexdigest()


@dataclass(frozen=True)
class Elsewhere:
    """What the process of a worker on another machine has to know besides the call.

    Parameters
    ----------
    version : of the caller's code
    slots : tasks that its machine does at once
    """

    version: str
    slots: int = 1

    def check(self, plugins: Iterable[str]) -> None:
        """Raise ConvbenchError if the code here is another than the caller's."""
        if (own := version(plugins)) != self.version:
            raise ConvbenchError(
                f"the code on {platform.node()} is another than here (version {own[:12]}, here {self.version[:12]}): "
                "convbench, its algorithms and plugins, Python, and the packages that compile kernels must be the same"
            )

    def device(self, name: str | None, tell: Tell) -> "Device":
        """The device of this process: a GPU that it alone has, or the emulator with its share of the cores.

        Raises DeviceError if all GPUs are in use.
        """
        from convbench import devices
        from convbench.records import environment

        if uses_gpu(name):
            devices.claim_free(tell)
        return devices.select(name, workers=max(1, environment.cores() // self.slots))


def uses_gpu(device: str | None) -> bool:
    """Whether the device of a name is a GPU, as far as can be told without one."""
    from convbench import devices

    return device == "cuda" or (device is None and devices.gpu_evidence() is not None)


def absolute(plugins: list[str] | None) -> list[str] | None:
    """The plugins, with the paths of files from the root: workers have other current folders."""
    return plugins and [str(Path(one).resolve()) if one.endswith(".py") else one for one in plugins]


def _files(plugin: str) -> list[Path]:
    """The source files of a module, a package, or a path."""
    if plugin.endswith(".py"):
        return [Path(plugin)]
    spec = importlib.util.find_spec(plugin)
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def digest(content: Path | str | None) -> str:
    """The digest of a text, or of what a file holds."""
    if content is None:
        return ""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content.read_bytes()).hexdigest()
