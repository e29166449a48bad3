"""Profile the launches of a plan: the plan runs on a device that profiles each kernel instead of running all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convbench.algorithm import Algorithm
from convbench.devices import Phase, emulator
from convbench.emulator import Counters, Emulator, Profile, profile
from convbench.errors import RefusedError
from convbench.inspection import architecture as architectures
from convbench.problem import ConvProblem, Direction, operands
from convbench.profiling.chips import Chip
from convbench.profiling.resident import l1_share, resources_of
from convbench.records import environment

Stage = Literal["load", "run"]
Blocks = int | Literal["all"]


@dataclass(frozen=True)
class ProfiledLaunch:
    """One launch of a plan and its profile."""

    stage: Stage  # load: once for the weights; run: in every run
    phase: Phase
    profile: Profile
    kernel: Any  # of `numba.cuda.jit`
    types: tuple[Any, ...]  # Numba types of its arguments
    array_bytes: int  # of all arrays that it is given


@dataclass(frozen=True)
class ProfiledPlan:
    """The result: all launches of one plan, in order."""

    algorithm: Algorithm
    problem: ConvProblem
    direction: Direction
    config: Any
    architecture: architectures.Architecture
    launches: tuple[ProfiledLaunch, ...]


class _Profiler(Emulator):
    """An emulator whose launches are profiles."""

    def __init__(
        self, architecture: architectures.Architecture, workers: int, blocks: Blocks, seed: int, chip: Chip | None
    ) -> None:
        super().__init__(code="ptx", compute_capability=architecture.compute_capability, workers=workers)
        self.blocks, self.seed, self.architecture = blocks, seed, architecture
        self.chip = chip if blocks == "all" else None  # whose caches are simulated
        self.found: list[tuple[Profile, Any, tuple[Any, ...], int]] = []

    def launch(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        *args: Any,
        shared_bytes: int = 0,
        types: tuple[Any, ...] | None = None,
        memory: Sequence[npt.NDArray[Any]] = (),
    ) -> None:
        caches: dict[str, int] = {}
        if self.chip is not None:
            threads = int(np.prod(block))
            taken = resources_of(kernel, types or (), self.architecture)
            caches = {
                "l1_bytes": l1_share(threads, shared_bytes, taken, self.chip),
                "l2_bytes": self.chip.l2_kib * 1024,
            }
        counted = profile(
            kernel, grid, block, *args, shared_bytes=shared_bytes, blocks=self.blocks,
            seed=0 if self.blocks == "all" else self.seed, compute_capability=self.limits.compute_capability,
            types=types, memory=memory, workers=None if caches.get("l2_bytes") else self.workers,
            **caches,
        )  # fmt: skip
        size = sum(value.nbytes for value in args if isinstance(value, np.ndarray))
        self.found.append((counted, kernel, types or (), size))


class ProfilingDevice(emulator.EmulatorDevice):
    """The emulator as a device that profiles what is launched. Results are not complete, because blocks are sampled."""

    def __init__(
        self,
        architecture: architectures.Architecture,
        blocks: Blocks,
        seed: int,
        *,
        loads: bool,
        chip: Chip | None = None,
    ) -> None:
        super().__init__(code="ptx")
        self._profiler = _Profiler(architecture, environment.cores(), blocks, seed, chip)
        self._emulator = self._profiler
        self.compute_capability = architecture.compute_capability
        self.stage: Stage = "run"
        self.loads = loads  # whether launches for the weights are profiled
        self.launches: list[ProfiledLaunch] = []

    def launch(self, phase: Phase, kernel: Any, grid: Any, block: Any, *args: object, shared_bytes: int = 0) -> None:
        if self.stage == "load" and not self.loads:
            return  # what a run counts does not depend on the values of the weights
        super().launch(phase, kernel, grid, block, *args, shared_bytes=shared_bytes)
        counted, kernel, types, size = self._profiler.found[-1]
        self.launches.append(ProfiledLaunch(self.stage, phase, counted, kernel, types, size))


def profile_plan(
    algorithm: Algorithm,
    problem: ConvProblem,
    direction: Direction,
    architecture: architectures.Architecture,
    config: Any = None,
    *,
    blocks: Blocks,
    seed: int = 0,
    loads: bool = True,
    chip: Chip | None = None,
) -> ProfiledPlan:
    """Profile every launch of a plan, on random operands; without `loads`, only those of a run.

    With all blocks, the caches of `chip` are simulated.

    Raises
    ------
    RefusedError, ConfigError, DeviceError
        the algorithm or the architecture cannot compute the problem so, or it launches no kernel of its own.
    KernelError
        a kernel makes an error.
    """
    device = ProfilingDevice(architecture, blocks, seed, loads=loads, chip=chip)
    if reason := device.refuses(problem):
        raise RefusedError(f"{architecture.name} refuses {problem}: {reason}")
    plan = algorithm.plan(problem, device, direction=direction, config=config)
    generator = np.random.default_rng(seed)
    arrays = {}
    for name in operands.inputs(problem, direction):
        shape = operands.memory_shape(problem, name)
        arrays[name] = device.upload(generator.uniform(-1, 1, shape).astype(np.dtype(problem.dtype)))
    for name in operands.outputs(problem, direction):
        arrays[name] = device.empty(operands.memory_shape(problem, name), np.dtype(problem.dtype))
    device.stage = "load"
    plan.load(*(arrays[name] for name in operands.LOADED[direction] if name in arrays))
    device.stage = "run"
    written = (arrays[name] for name in operands.outputs(problem, direction))
    plan.run(*(arrays[name] for name in operands.READ[direction]), *written)
    if not device.launches:
        raise RefusedError(f"{algorithm.name} launches no kernel of its own that could be profiled")
    resolved = algorithm.resolved(problem, direction, config, device)
    return ProfiledPlan(algorithm, problem, direction, resolved, architecture, tuple(device.launches))


def counts_by_kernel(found: ProfiledPlan) -> dict[str, Counters]:
    """The counters of each kernel, over all its launches."""
    sums: dict[str, Counters] = {}
    for launch in found.launches:
        sums[launch.profile.kernel] = sums.get(launch.profile.kernel, Counters()) + launch.profile.total
    return sums
