"""The workers of a cluster: how a call has its jobs done there, and what one of them needs for it."""

import hashlib
import importlib.util
import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.cli import options
from convbench.cli.streams import visible
from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.cli.asked.asked import Asked, How
    from convbench.devices import Device
    from convbench.measurement import IsolatedHarness, Limits, Part

PACKAGES = "convbench", "algorithms"


def on_cluster(where: str, asked: "Asked", how: "How", limits: "Limits") -> "IsolatedHarness":
    """A harness whose jobs the workers of a cluster do.

    Raises ConvbenchError if there is no such cluster, and if the code or the device that its workers have will not do.
    """
    from convbench import devices
    from convbench.crew.cluster import Address, Team, connect
    from convbench.measurement import IsolatedHarness, StartParts, distant_device

    address = Address.parse(where)
    options.keep_cache_within(asked.cache_size)
    options.load_plugins(asked.plugin)
    device = devices.select(asked.device) if address.is_local else None
    same = replace(asked, plugin=_absolute(asked.plugin))
    elsewhere = Elsewhere(version(same.plugin or ()))
    cluster = connect(address)
    try:
        limits = replace(limits, memory=limits.memory or cluster.memory)
        elsewhere = replace(elsewhere, slots=cluster.slots_of_host)
        if device is None:
            plain = partial(type(same).harness, same, replace(how, tuned=False), elsewhere=elsewhere)
            first: Team[Part] = Team(
                cluster, StartParts(plain, limits), memory=limits.memory or 0, fails_allocations=False
            )
            device = distant_device(first)
        how = how.with_database(device)
        start = StartParts(partial(type(same).harness, same, how, elsewhere=elsewhere), limits)
        is_ranked = how.ranks and not device.is_gpu  # so that no time counts that the workers take
        what = f"{elsewhere.version} {device.name} {same.seed} {how} {_digest(how.database)} {limits}"
        team: Team[Part] = Team(
            cluster, start, memory=limits.memory or 0, fails_allocations=not device.is_gpu,
            name=lambda part: f"convbench-{_digest(what + part.content)}", alone=how.predicts and not is_ranked,
        )  # fmt: skip
        return IsolatedHarness(same.harness_for(device, how), team, visible=visible, apart=is_ranked)
    except BaseException:
        cluster.close()
        raise


def version(plugins: Iterable[str]) -> str:
    """A digest of what decides a result: the source of the code, and the packages that it compiles kernels with."""
    from convbench.records import environment

    known = environment.capture()
    digest = hashlib.sha256(repr((known["python"], sorted(known["packages"].items()))).encode())
    for plugin in (*PACKAGES, *plugins):
        for file in _files(plugin):
            digest.update(f"{file.name} {_digest(file)}\n".encode())
    return digest.hexdigest()


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

    def device(self, name: str | None, plugins: Iterable[str]) -> "Device":
        """The device there, with its share of the cores. Raises ConvbenchError if the code is another there."""
        from convbench import devices
        from convbench.records import environment

        if (own := version(plugins)) != self.version:
            raise ConvbenchError(
                f"the code on {platform.node()} is another than here (version {own[:12]}, here {self.version[:12]}): "
                "convbench, its algorithms and plugins, Python, and the packages that compile kernels must be the same"
            )
        return devices.select(name, workers=max(1, environment.cores() // self.slots))


def _absolute(plugins: list[str] | None) -> list[str] | None:
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


def _digest(content: Path | str | None) -> str:
    """The digest of a text, or of what a file holds."""
    if content is None:
        return ""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content.read_bytes()).hexdigest()
