"""Inspect the launches of a plan: compile them for an architecture, read the code, compare it with a chip's limits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convbench.algorithm import Algorithm
from convbench.errors import RefusedError
from convbench.inspection import chip, compiler, sass, toolkit, work
from convbench.inspection.architecture import Architecture
from convbench.inspection.blueprint import Blueprint, Launch, launches_of
from convbench.inspection.bound import Bound, Pass, bound, pass_of
from convbench.inspection.chip import Chip
from convbench.inspection.mix import Mix
from convbench.inspection.occupancy import WARP, Occupancy, occupancy
from convbench.inspection.resources import Resources
from convbench.inspection.shell import bytes_touched
from convbench.problem import ConvProblem, Direction


@dataclass(frozen=True)
class InspectedKernel:
    """One kernel of a plan, for one list of argument types and one shape of block, and its launches in one stage."""

    launches: tuple[Launch, ...]
    compiled: compiler.Compiled
    architecture: Architecture
    products: float | None  # of all launches together; None if it is not known

    @property
    def launch(self) -> Launch:
        """The first launch."""
        return self.launches[0]

    @property
    def name(self) -> str:
        return self.launch.name

    @property
    def resources(self) -> Resources:
        return self.compiled.resources

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block, static and dynamic."""
        return self.resources.static_shared_bytes + self.launch.shared_bytes

    @property
    def text(self) -> str:
        """The disassembly. Raises DeviceError if the disassembler is missing."""
        return toolkit.disassemble(self.compiled.cubin)

    @cached_property
    def code(self) -> sass.Code:
        return sass.read(self.text, self.compiled.entry)

    @cached_property
    def whole(self) -> Mix:
        """All instructions of the kernel."""
        return Mix(self.code.instructions)

    @cached_property
    def hot(self) -> Mix:
        """The instructions of the hot loop, or of the kernel if none of its loops computes, without rare blocks."""
        return Mix(self.code.hot)

    @property
    def ffma_share(self) -> float:
        """Share of FFMA among the instructions of the hot loop."""
        return self.hot.share("FFMA")

    @cached_property
    def occupancy(self) -> Occupancy:
        return occupancy(
            self.architecture, threads=self.launch.threads, registers=self.resources.registers,
            shared_bytes=self.shared_bytes, barriers=self.resources.barriers,
        )  # fmt: skip

    @cached_property
    def once(self) -> Pass:
        """One pass through the hot loop, or through the kernel if it has none."""
        return pass_of(self.hot, chip.of(self.architecture))

    @cached_property
    def bound(self) -> Bound:
        return bound(
            self.once, chip.of(self.architecture), blocks=[launch.blocks for launch in self.launches],
            warps=-(-self.launch.threads // WARP), has_loop=bool(self.code.loops), products=self.products,
            memory_bytes=bytes_touched([array for launch in self.launches for array in launch.arrays]),
        )  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """The result: all kernels of one plan, in the order of their first launches."""

    algorithm: Algorithm
    problem: ConvProblem
    direction: Direction
    config: Any
    architecture: Architecture
    kernels: tuple[InspectedKernel, ...]

    @property
    def chip(self) -> Chip:
        return chip.of(self.architecture)

    @property
    def least_us(self) -> float:
        """The least time of one run, whose launches follow one another."""
        return sum(kernel.bound.least_us for kernel in self.kernels if kernel.launch.stage == "run")

    @property
    def is_complete(self) -> bool:
        """Whether that time covers every loop: it is known how often each is passed."""
        return all(kernel.bound.compute_us is not None for kernel in self.kernels if kernel.launch.stage == "run")


def planned(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, architecture: Architecture, config: Any = None
) -> list[list[Launch]]:
    """The launches of a plan, in one list for each kernel.

    Raises
    ------
    RefusedError
        the algorithm refuses the problem, or launches no kernel.
    ConfigError
        the config is not valid for this problem, or the architecture cannot launch it.
    DeviceError
        the algorithm is that of a library, which launches its own kernels.
    """
    groups = grouped(launches_of(algorithm, problem, direction, architecture, config))
    if not groups:
        raise RefusedError(f"{algorithm.name} launches no kernel of its own that could be inspected")
    return groups


def inspect(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, architecture: Architecture, config: Any = None,
    groups: Iterable[Sequence[Launch]] | None = None,
) -> Inspection:  # fmt: skip
    """Inspect everything that a plan launches, each kernel once. Raises the errors of `planned`, too.

    Parameters
    ----------
    groups : the result of `planned`, perhaps through a progress bar; None to find it here

    Raises
    ------
    KernelError
        a kernel does not compile for the architecture.
    DeviceError
        the disassembler, or the compiler, is missing.
    """
    for name in toolkit.PACKAGES:
        toolkit.tool(name)  # raises now, not after minutes of compiling
    found = [
        (tuple(launches), machine_code(launches[0], architecture))
        for launches in (planned(algorithm, problem, direction, architecture, config) if groups is None else groups)
    ]
    resolved = algorithm.resolved(problem, direction, config, Blueprint(architecture))
    products = work.products(algorithm, problem, direction, resolved, [launches for launches, _ in found])
    kernels = tuple(
        InspectedKernel(launches, compiled, architecture, made)
        for (launches, compiled), made in zip(found, products, strict=True)
    )
    return Inspection(algorithm, problem, direction, resolved, architecture, kernels)


def grouped(launches: Iterable[Launch]) -> list[list[Launch]]:
    """Group launches of the same machine code that have the same block, stage and phase."""
    groups: dict[tuple[Any, ...], list[Launch]] = {}
    for launch in launches:
        key = launch.stage, launch.phase, launch.kernel, launch.types, launch.block, launch.shared_bytes
        groups.setdefault(key, []).append(launch)
    return list(groups.values())


_made: dict[tuple[Any, ...], compiler.Compiled] = {}


def machine_code(launch: Launch, architecture: Architecture) -> compiler.Compiled:
    """Compile a launch, unless this process has done so before."""
    key = launch.kernel, launch.types, architecture.name
    if key not in _made:
        _made[key] = compiler.compile_kernel(launch.kernel, launch.types, architecture)
    return _made[key]
