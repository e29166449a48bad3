"""What a process of a survey does outside its turn, so that it has the GPU to itself for a short time alone."""

import gc
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from convbench.algorithm import registry
from convbench.devices import Device
from convbench.measurement import Execution, Job, SampledCase
from convbench.problem import Dtype, operands
from convbench.problem.notation import parse


@cache
def load_library(device: Device) -> tuple[str, ...]:
    """Load the library's code, which takes seconds, before the first turn of this process. Gives notes of failure."""
    problem, library = parse("n1c8h8w8-k8r3s3-pad1"), registry.get("cudnn")
    try:
        execution = Execution(library, problem, "forward", device, SampledCase(problem, 0).of("uniform")[0])
        execution.load()
        execution.run()
        execution.results()
    except (Exception, SystemExit) as error:  # noqa: BLE001  (the record of each layer has the error too)
        return (f"the library cannot be used: {type(error).__name__}: {error}",)
    return ()


def give_back() -> None:
    """Free the memory that Numba and PyTorch keep for later, because the next turn is another process's."""
    gc.collect()
    from numba import cuda  # Numba is slow to import, and only a process with a GPU comes here

    cuda.current_context().deallocations.clear()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()


def compile_ahead(jobs: list[Job], device: Device, notes: list[str], watch: Callable[[Job], None]) -> float:
    """Compile the kernels that jobs will launch, on a GPU. Gives the seconds that it took.

    Parameters
    ----------
    watch : called before each job
    """
    if not device.is_gpu:
        return 0.0
    from convbench.survey.compiler import CompilingDevice  # it imports Numba, which is slow

    compiler = CompilingDevice()
    for job in jobs:
        if job.algorithm.family == "baseline":
            continue
        problem, direction = job.layer.work
        watch(job)
        try:
            nothing: dict[str, Any] = {
                name: _unread(operands.shape(problem, name), problem.dtype)
                for name in operands.inputs(problem, direction)
            }
            execution = Execution(job.algorithm, problem, direction, compiler, nothing, job.config)
            execution.load()
            execution.run()
        except (Exception, SystemExit) as error:  # noqa: BLE001  (the harness compiles it again, and records a failure)
            notes.append(f"{job.algorithm.name} on {problem} was not compiled ahead: {type(error).__name__}: {error}")
    return compiler.compile_s


def _unread(sizes: tuple[int, ...], dtype: Dtype) -> Any:
    """An array of a shape that takes almost no memory, for plans that never read it."""
    return np.broadcast_to(np.zeros(1, dtype), sizes)
