"""The choice whether algorithms run in this process or in a worker, and what a worker may take."""

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convbench.cli import options
from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from convbench.devices import Device
    from convbench.measurement import Limits
    from convbench.workload import Workload

FEW = 4  # problems for which a worker's start, of some seconds, would be a large part of the whole


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """The options about worker processes."""

    mode: str | None  # process or none; None: by default
    plugins: bool  # whether there are any
    timeout: float | None = None
    memory: str | None = None
    cluster: bool = False  # whether workers of a cluster do it

    def asked(self) -> "Limits":
        """What was asked for. Raises ConvbenchError for an impossible option."""
        from convbench.crew import parse_size
        from convbench.measurement import Limits

        if self.mode is not None and self.mode not in options.ISOLATIONS:
            like = did_you_mean(self.mode, options.ISOLATIONS)
            known = ", ".join(options.ISOLATIONS)
            raise UnknownNameError(f"isolation {self.mode!r} is unknown; there are {known}{like}")
        if self.cluster and self.mode == "none":
            raise ConvbenchError("--isolation none runs algorithms in this process, and --cluster in others; give one")
        if self.timeout is not None and not self.timeout > 0:
            raise ConvbenchError(f"--timeout is {self.timeout:g}; it must be more than 0")
        return Limits(timeout_s=self.timeout, memory=None if self.memory is None else parse_size(self.memory))

    def limits(self, device: "Device", chosen: "Workload", usual_s: float | None = None) -> "Limits | None":
        """What each worker may take; None if algorithms run in this process. A default other than this is told.

        Parameters
        ----------
        usual_s : the time limit without --timeout, if it does not depend on the problem

        Raises ConvbenchError for an impossible option, and for a limit where there is no worker.
        """
        from convbench.crew import default_bytes
        from convbench.measurement import time_limit_s

        asked, why = self.asked(), self._why(device, chosen)
        if why is None or self.mode == "none":
            given = [
                name
                for name, value in (("--timeout", asked.timeout_s), ("--memory", asked.memory))
                if value is not None
            ]
            if given:
                raise ConvbenchError(f"{given[0]} limits a worker process, and there is none; add --isolation process")
            return None
        found = replace(asked, memory=asked.memory or default_bytes())
        if self.mode is None:
            longest = self.timeout or usual_s or max(time_limit_s(layer.problem, device) for layer in chosen.layers)
            most = f"{longest:g} s a case, {(found.memory or 0) / 2**30:.1f} GiB"
            print(f"convbench: algorithms run in a process of their own ({most}), because {why}", file=sys.stderr)
        return found

    def _why(self, device: "Device", chosen: "Workload") -> str | None:
        """The reason for a worker process; None if there is none."""
        if self.mode == "process":
            return "it was asked for"
        if self.plugins:
            return "a plugin may do anything"
        if device.is_gpu:
            return "a kernel may take the GPU down"
        if len(chosen.layers) > FEW:
            return f"there are more than {FEW} problems"
        return None
