"""What a job may take, from the size of its problem: seconds, and bytes of the host's memory.

The limits are there to end what would never end. They are several times what the slowest algorithm takes.
"""

from math import prod

from convbench.devices import Device
from convbench.problem import ConvProblem, Direction, operands

START_S = 300.0  # compiling a kernel takes up to a minute, and more on a busy machine
ELEMENT_S = 20e-6  # for each element of x, w and y, to draw, copy and compare it
# for each multiply-add: of the reference on the host, and of the kernels on the device
MAC_S = {"cuda": 50e-9, "emulator": 5e-6, "emulator-llvm": 5e-6, "emulator-checked": 30e-6, "simulator": 600e-6}
SLOWEST_S = max(MAC_S.values())  # for a device that is not in the table

# of each element of the operands, data and references together; 60 to 92 bytes were measured on the emulator with
# direct, im2col_gemm and scipy on problems of 2 to 8 million elements (x or y the larger one)
ELEMENT_BYTES = 90


def time_limit_s(problem: ConvProblem, device: Device, start_s: float = START_S) -> float:
    """The seconds that a job may take on a device, and again each of its samples; `start_s` of them for compiling."""
    return round(start_s + ELEMENT_S * _elements(problem, "forward") + MAC_S.get(device.name, SLOWEST_S) * problem.macs)


def needed_bytes(problem: ConvProblem, direction: Direction) -> int:
    """The bytes of host memory that verifying a problem takes: the data of all kinds, and their references."""
    return ELEMENT_BYTES * _elements(problem, direction)


def memory_reason(problem: ConvProblem, direction: Direction, limit: int | None) -> str | None:
    """The reason why a problem cannot be verified within a limit of bytes; None if it can, or if there is no limit."""
    needed = needed_bytes(problem, direction)
    if limit is None or needed <= limit:
        return None
    return (
        f"its data and references need about {needed / 2**30:.1f} GiB of host memory, and a worker may take "
        f"{limit / 2**30:.1f} GiB (--memory)"
    )


def _elements(problem: ConvProblem, direction: Direction) -> int:
    names = (*operands.inputs(problem, direction), *operands.outputs(problem, direction))
    return sum(prod(operands.shape(problem, name)) for name in names)
