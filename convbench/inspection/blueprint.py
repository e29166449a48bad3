"""The device `blueprint`, which runs nothing: it records the launches of a plan and allocates no memory.

So a problem may have any size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from convbench.algorithm import Algorithm
from convbench.devices import Array, Device, Dimensions, Host, Kernel, Phase
from convbench.errors import DeviceError, RefusedError
from convbench.inspection.architecture import Architecture
from convbench.inspection.shell import Shell
from convbench.problem import ConvProblem, Direction, operands

Stage = Literal["load", "run"]


@dataclass(frozen=True)
class Launch:
    """One launch, as a plan requested it."""

    stage: Stage  # load: once for the weights; run: in every run
    phase: Phase
    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    types: tuple[Any, ...]  # Numba types of the arguments
    arrays: tuple[Shell, ...]  # the arguments that are arrays, in order
    shared_bytes: int  # dynamic shared memory of a block

    @property
    def name(self) -> str:
        return str(self.kernel.py_func.__name__)

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return prod(self.block)

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return prod(self.grid)


class Blueprint(Device):
    """A device that accepts every call of a plan and records its launches, with the limits of an architecture."""

    name: ClassVar[str] = "blueprint"
    clock: ClassVar[str] = "none, nothing runs"
    is_gpu: ClassVar[bool] = False

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.compute_capability = architecture.compute_capability
        self._architecture = architecture
        self.launches: list[Launch] = []
        self.stage: Stage = "run"
        self._phase: Phase = "multiply"

    # ---- memory

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        return Shell.contiguous(shape, dtype)

    def upload(self, host: Host) -> Array:
        return Shell.contiguous(host.shape, host.dtype)

    def download(self, array: Array) -> NoReturn:
        raise DeviceError(f"nothing runs on device {self.name}, so an array has no contents to download")

    def write(self, array: Array, host: Host) -> None:
        pass

    def poison(self, array: Array) -> None:
        pass

    @property
    def max_shared_bytes(self) -> int:
        return self._architecture.max_shared_bytes

    # ---- work

    def launch(
        self, phase: Phase, kernel: Kernel, grid: Dimensions, block: Dimensions, *args: object, shared_bytes: int = 0
    ) -> None:
        self._phase = phase
        super().launch(phase, kernel, grid, block, *args, shared_bytes=shared_bytes)

    def _launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: tuple[Any, ...],
        shared_bytes: int,
    ) -> None:
        types = tuple(kernel.typeof_pyval(argument) for argument in args)
        arrays = tuple(argument for argument in args if isinstance(argument, Shell))
        self.launches.append(Launch(self.stage, self._phase, kernel, grid, block, types, arrays, shared_bytes))

    def synchronize(self) -> None:
        pass

    def call(self, phase: Phase, work: Callable[[], None]) -> NoReturn:
        raise DeviceError(f"a library of the host has no kernels that device {self.name} could record")

    def elapsed_us(self, work: Callable[[], None]) -> NoReturn:
        raise DeviceError(f"nothing runs on device {self.name}, so nothing takes time")

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "clock": self.clock, "is_gpu": self.is_gpu}


def launches_of(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, architecture: Architecture, config: Any = None
) -> list[Launch]:
    """The launches of a plan: first those that load the weights, then those of one run.

    Raises the errors of `Algorithm.plan`, and RefusedError if the architecture lacks the problem's dtype.
    """
    device = Blueprint(architecture)
    if reason := device.refuses(problem):
        raise RefusedError(f"{architecture.name} refuses {problem}: {reason}")
    plan = algorithm.plan(problem, device, direction=direction, config=config)
    arrays = {
        name: device.empty(operands.memory_shape(problem, name), np.dtype(problem.dtype))
        for name in (*operands.inputs(problem, direction), *operands.outputs(problem, direction))
    }
    device.stage = "load"
    plan.load(*(arrays[name] for name in operands.LOADED[direction] if name in arrays))
    device.stage = "run"
    written = (arrays[name] for name in operands.outputs(problem, direction))
    plan.run(*(arrays[name] for name in operands.READ[direction]), *written)
    return device.launches
