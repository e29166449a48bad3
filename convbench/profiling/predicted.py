"""Predict the time of every launch of a profiled plan, with the registers that the compiler gives its kernels."""

from dataclasses import dataclass

from convbench.inspection import architecture as architectures
from convbench.inspection import compiler
from convbench.profiling.chips import Chip
from convbench.profiling.model import Prediction, predict
from convbench.profiling.resident import Resources, compiled, resources_of
from convbench.profiling.runs import ProfiledLaunch, ProfiledPlan


@dataclass(frozen=True)
class PredictedPlan:
    """The predicted times of the launches of a plan, in order."""

    chip: Chip
    launches: tuple[Prediction, ...]
    run_us: float  # of one run, whose launches follow one another


def code_of(launch: ProfiledLaunch, architecture: architectures.Architecture) -> compiler.Compiled:
    """The machine code of a launch, compiled once. Raises KernelError and DeviceError if that is not possible."""
    return compiled(launch.kernel, launch.types, architecture)


def predict_plan(found: ProfiledPlan, chip: Chip) -> PredictedPlan:
    """Predict the times. Raises KernelError and DeviceError if a kernel cannot be compiled for the chip."""

    def resources(launch: ProfiledLaunch) -> Resources:
        return resources_of(launch.kernel, launch.types, found.architecture)

    times = tuple(predict(launch.profile, resources(launch), chip) for launch in found.launches)
    in_run = (time.us for launch, time in zip(found.launches, times, strict=True) if launch.stage == "run")
    return PredictedPlan(chip, times, sum(in_run))
