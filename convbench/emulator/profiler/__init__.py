"""Profile a kernel without a GPU: exact counts of what its warps do, by instruction, line, array and kernel.

`profile` runs the kernel's PTX on the emulator, all blocks or a sample (`sampling`), and returns a `Profile` (`result`)
of `Counters`. The rules of counting are in `emulator.counting`.
"""

from convbench.emulator.profiler.counters import Counters
from convbench.emulator.profiler.profiling import profile
from convbench.emulator.profiler.result import CONFLICTED, UNCOALESCED, InstructionProfile, Profile, source_line

__all__ = ["CONFLICTED", "UNCOALESCED", "Counters", "InstructionProfile", "Profile", "profile", "source_line"]
