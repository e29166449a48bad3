"""Predict the time of every launch of a profiled plan, with the registers that the compiler gives its kernels."""

from dataclasses import dataclass
from typing import Any

from convbench.inspection import compiler
from convbench.profiling.chips import Chip
from convbench.profiling.model import Prediction, Resources, predict
from convbench.profiling.runs import ProfiledLaunch, ProfiledPlan


@dataclass(frozen=True)
class PredictedPlan:
    """The predicted times of the launches of a plan, in order."""

    chip: Chip
    launches: tuple[Prediction, ...]
    run_us: float  # of one run, whose launches follow one another


def predict_plan(found: ProfiledPlan, chip: Chip) -> PredictedPlan:
    """Predict the times. Raises KernelError and DeviceError if a kernel cannot be compiled for the chip."""
    made: dict[tuple[Any, ...], Resources] = {}

    def resources(launch: ProfiledLaunch) -> Resources:
        key = launch.kernel, launch.types
        if key not in made:
            told = compiler.compile_kernel(launch.kernel, launch.types, found.architecture).resources
            made[key] = Resources(told.registers, told.static_shared_bytes, told.barriers)
        return made[key]

    times = tuple(predict(launch.profile, resources(launch), chip) for launch in found.launches)
    in_run = (time.us for launch, time in zip(found.launches, times, strict=True) if launch.stage == "run")
    return PredictedPlan(chip, times, sum(in_run))
