"""Direct convolution: the sum of the definition, by one thread for each output or from tiles in shared memory.

`Direct` is the plain method. `DirectTiled` stages the map in shared memory; for large problems in float32 it is the
kernel of `window`, in which a thread slides a window over a row in registers.
"""

from algorithms.direct.plain import Direct
from algorithms.direct.tiled import DirectTiled

__all__ = ["Direct", "DirectTiled"]
