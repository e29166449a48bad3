"""Predict the time of one run for a record, by a profile of few blocks and the model; or say why there is no time."""

import re
from dataclasses import replace
from typing import Any

from convbench.algorithm import Algorithm
from convbench.errors import ConvbenchError
from convbench.inspection import architecture as architectures
from convbench.problem import ConvProblem, Direction
from convbench.profiling import chips
from convbench.profiling.model import MEDIAN_ERROR, WORDS, Prediction
from convbench.profiling.predicted import predict_plan
from convbench.profiling.runs import ProfiledLaunch, profile_plan
from convbench.records import Predicted

BLOCKS = 4  # of each grid, and at least one of each stratum: counts of others of the stratum are the same, or nearly so
BASELINE = "baseline"  # the family of other libraries
# words of the names that drivers give to GPUs, which tell nothing about the chip
_IDLE_WORDS = {
    "nvidia", "tesla", "quadro", "geforce", "gpu", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "hbm3", "hbm3e", "80gb",
    "141gb",
}  # fmt: skip


class Forecast:
    """Predicts times for one GPU.

    Parameters
    ----------
    chip : the GPU
    is_device : whether it is the GPU that the records are measured on
    """

    def __init__(self, chip: chips.Chip, *, is_device: bool = False) -> None:
        self.chip, self.gpu, self.is_device = chip, chip.name, is_device

    def predict(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, config: Any) -> Predicted:
        """The time of one run. Whatever goes wrong becomes the reason why there is none; nothing is raised."""
        try:
            return self._of(algorithm, problem, direction, config)
        except ConvbenchError as error:
            reason = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (the code of a plugin may raise anything)
            reason = f"{type(error).__name__}: {error}"
        return self._without(reason)

    def _of(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, config: Any) -> Predicted:
        if algorithm.family == BASELINE:
            return self._without(f"{algorithm.name} launches no kernel of its own")
        architecture = architectures.get(self.chip.architecture)
        found = profile_plan(algorithm, problem, direction, architecture, config, blocks=BLOCKS, loads=False)
        for launch in found.launches:
            if lacks := lacking(launch):
                return self._without(f"{lacks} in {launch.profile.kernel}")
        times = predict_plan(found, self.chip)
        longest: Prediction = max(times.launches, key=lambda time: time.us)
        kernel = found.launches[times.launches.index(longest)].profile.kernel
        phases: dict[str, float] = {}
        for launch, time in zip(found.launches, times.launches, strict=True):
            phases[launch.phase] = phases.get(launch.phase, 0.0) + time.us
        return Predicted(
            gpu=self.gpu, is_device=self.is_device, us=times.run_us,
            low_us=sum(time.interval[0] for time in times.launches),
            high_us=sum(time.interval[1] for time in times.launches), bound=WORDS[longest.bound],
            bottleneck=longest.sentence, kernel=kernel, phases_us=phases, error=MEDIAN_ERROR, blocks=BLOCKS,
        )  # fmt: skip

    def _without(self, reason: str) -> Predicted:
        base = Predicted(gpu=self.gpu, is_device=self.is_device, error=MEDIAN_ERROR, blocks=BLOCKS, reason="none")
        return replace(base, reason=reason)


def lacking(launch: ProfiledLaunch) -> str:
    """What is not counted of a launch, in words; "" if everything is."""
    uncounted = launch.profile.uncounted
    return f"accesses of {', '.join(uncounted)} are not counted" if uncounted else ""


def chip_of_device(name: str) -> chips.Chip | None:
    """The chip of the table that a driver calls by this name; None if there is none, or a variant of one."""
    told = _words(name)
    for chip in chips.known().values():
        wanted = _words(chip.name) - _IDLE_WORDS | (_words(chip.name) & {"80gb"})
        if wanted <= told and not told - wanted - _IDLE_WORDS:
            return chip
    return None


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))
