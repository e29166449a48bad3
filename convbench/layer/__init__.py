"""The layer: convolution as a function of arrays, for users who want results rather than measurements.

Arrays of NumPy, PyTorch or any library with DLPack enter, and arrays of the same library leave. `automatic` picks the
algorithm, `exchange` moves the arrays to the device and back, and `maps` splits a convolution into its summands.
"""

from convbench.layer.automatic import Choice, choose
from convbench.layer.functional import Gradients, conv2d, conv2d_backward
from convbench.layer.layer import Conv2d
from convbench.layer.maps import decompose, read_picture

__all__ = ["Choice", "Conv2d", "Gradients", "choose", "conv2d", "conv2d_backward", "decompose", "read_picture"]
