"""Threads of a block side by side: a kernel's code for some consecutive threads at once, in the processor's vectors.

`widened` takes the optimised code of a kernel for one thread, and gives code for `lanes` threads. A value that differs
between them becomes a vector; one that is the same for all, or grows by a constant from thread to thread, stays one
number (`shapes`). Where threads take different branches, all blocks run one after another, each for the threads that
come to it (`flow`, `emit`). The scheduler then has one row for each group of lanes, as if it were one thread.

What cannot be run so raises NotWideError, and the kernel keeps its code for one thread: atomics, warp collectives,
tensor instructions, barriers that not all threads reach, functions that use memory.

The method is that of ISPC, and of "Whole-function vectorization" (Karrenberg and Hack 2011); where values may differ
after a branch follows "Improving Performance of OpenCL on CPUs" (the same, 2012).
"""

from convbench.emulator.wide.clamps import plain
from convbench.emulator.wide.code import NotWideError
from convbench.emulator.wide.constants import can_widen, with_constants, without_constants
from convbench.emulator.wide.emit import widened

__all__ = ["NotWideError", "can_widen", "plain", "widened", "with_constants", "without_constants"]
