"""Profile a kernel without a GPU: exact counts of what its warps do, by instruction, line, array and kernel.

`profile` runs the kernel's PTX on the emulator, all blocks or a sample (`sampling`), and returns a `Profile` (`result`)
of `Counters`. The rules of counting are in `emulator.counting`.
"""

from convbench.emulator.profiler.counters import Counters
from convbench.emulator.profiler.profiling import profile
from convbench.emulator.profiler.result import InstructionProfile, Profile

__all__ = ["Counters", "InstructionProfile", "Profile", "profile"]
