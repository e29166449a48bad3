"""The waits of a pipeline: `stages` buffers in shared memory, of which all but one are being copied to."""

from convbench.intrinsics import wait_copies_0, wait_copies_1, wait_copies_2

__all__ = ["WAITS"]

# by the number of stages: waits until the copies of the step that is read next have landed, and no longer
WAITS = {2: wait_copies_0, 3: wait_copies_1, 4: wait_copies_2}
