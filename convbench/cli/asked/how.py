"""How often the algorithms of a call run, with which configs, and for which GPU times are predicted."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.cli import options
from convbench.cli.streams import tell
from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from convbench.devices import Device
    from convbench.measurement import Effort
    from convbench.profiling import Forecast
    from convbench.tuning import Database

Tell = Callable[[str], None]
DEFAULT_GPU = "h200"  # whose times are predicted on a machine without a GPU


@dataclass(frozen=True, kw_only=True)
class How:
    """How often the algorithms run, and with which configs. Methods raise ConvbenchError for an impossible call."""

    cache: str | None = None
    samples: int | None = None
    seconds: float | None = None
    tuned: bool = False  # whether configs come from a database
    database: Path | None = None  # the file to use instead of the device's own
    predicts: bool = False  # whether times are predicted for a GPU
    gpu: str | None = None  # the GPU's name, or `options.NO_GPU`; None: the device itself, or else the default
    ranks: bool = False  # whether predicted times take the place of measured ones, which no GPU lets them do

    def with_database(self, device: "Device") -> "How":
        """The same with the path of the database from the root, which processes with other folders can open, too."""
        from convbench.tuning import default_path

        if not self.tuned:
            return self
        path = self.database or default_path(device.describe()["name"])
        if path.is_file() or self.database is not None:
            return replace(self, database=path.resolve())
        return replace(self, tuned=False)

    def configs(self, device: "Device", tell: Tell = tell) -> "Database | None":
        """The tuned configs for a device; None if the call uses none. `tell` is called with each faulty entry."""
        from convbench.tuning import Database, default_path

        if not self.tuned:
            if self.database is not None:
                raise ConvbenchError("--untuned uses no database, but --database names one: give only one of the two")
            return None
        if self.database is not None and not self.database.is_file():
            raise ConvbenchError(f"--database {self.database} is no file; `convbench tune` creates one")
        path = self.database or default_path(device.describe()["name"])
        return Database(path, tell)

    def forecast(self, device: "Device") -> "Forecast | None":
        """What predicts times for the GPU; None if the call asks for none, or if there is none to predict for."""
        if not self.predicts or self.gpu == options.NO_GPU:
            return None
        from convbench import profiling

        if self.ranks and device.is_gpu:
            if self.gpu is None:
                return None
            raise ConvbenchError(
                f"--gpu {self.gpu}: configs are ranked by the times that are measured on {device.describe()['name']}; "
                "leave --gpu out, or use --device emulator"
            )
        is_simulator, name = device.name == "simulator", str(device.describe()["name"])
        if is_simulator and self.gpu is not None:
            raise ConvbenchError(
                f"--gpu {self.gpu}: the simulator compiles nothing, so no time can be predicted; leave --gpu out, or "
                "use --device emulator"
            )
        if is_simulator:
            return None
        own = profiling.chip_of_device(name) if device.is_gpu else None
        if self.gpu is None and device.is_gpu and own is None:
            told = f"no time is predicted, because {name} is not in the table of GPUs; --gpu names one that is"
            print(f"convbench: {told}", file=sys.stderr)
            return None
        chip = own if self.gpu is None and own is not None else profiling.chip(self.gpu or DEFAULT_GPU)
        return profiling.Forecast(chip, is_device=chip == own)

    def effort(self, device: "Device") -> "Effort":
        """How many samples to take on a device, within what time, and in which states of the cache."""
        from convbench.measurement import Effort
        from convbench.records import CACHES, Cache

        effort = Effort.for_device(device)
        if self.cache is not None:
            known: dict[str, tuple[Cache, ...]] = {**{cache: (cache,) for cache in CACHES}, "both": CACHES}
            if self.cache not in known:
                like = did_you_mean(self.cache, known)
                raise UnknownNameError(f"cache {self.cache!r} is unknown; there are {', '.join(known)}{like}")
            effort = replace(effort, caches=known[self.cache])
        if self.samples is not None:
            effort = replace(effort, maximum=self.samples, minimum=min(effort.minimum, self.samples))
        if self.seconds is not None:
            effort = replace(effort, max_seconds=self.seconds)
        return effort
