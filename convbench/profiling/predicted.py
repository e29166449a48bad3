"""Predict the time of every launch of a profiled plan, with the registers that the compiler gives its kernels."""

from dataclasses import dataclass
from typing import Any

from convbench.inspection import architecture as architectures
from convbench.inspection import compiler
from convbench.profiling.chips import Chip
from convbench.profiling.demands import Resources
from convbench.profiling.model import Prediction, predict
from convbench.profiling.runs import ProfiledLaunch, ProfiledPlan


@dataclass(frozen=True)
class PredictedPlan:
    """The predicted times of the launches of a plan, in order."""

    chip: Chip
    launches: tuple[Prediction, ...]
    run_us: float  # of one run, whose launches follow one another


_made: dict[tuple[Any, ...], compiler.Compiled] = {}


def code_of(launch: ProfiledLaunch, architecture: architectures.Architecture) -> compiler.Compiled:
    """The machine code of a launch, compiled once. Raises KernelError and DeviceError if that is not possible."""
    key = launch.kernel, launch.types, architecture.name
    if key not in _made:
        _made[key] = compiler.compile_kernel(launch.kernel, launch.types, architecture)
    return _made[key]


def predict_plan(found: ProfiledPlan, chip: Chip) -> PredictedPlan:
    """Predict the times. Raises KernelError and DeviceError if a kernel cannot be compiled for the chip."""

    def resources(launch: ProfiledLaunch) -> Resources:
        told = code_of(launch, found.architecture).resources
        return Resources(told.registers, told.static_shared_bytes, told.barriers)

    times = tuple(predict(launch.profile, resources(launch), chip) for launch in found.launches)
    in_run = (time.us for launch, time in zip(found.launches, times, strict=True) if launch.stage == "run")
    return PredictedPlan(chip, times, sum(in_run))
