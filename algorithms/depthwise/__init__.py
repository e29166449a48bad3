"""Depthwise convolution: each channel has its own filters, and there is no sum over channels.

`Depthwise` has one thread for each output. For large problems in float32 it uses the kernel of `patch`, in which a
thread computes a patch of outputs from registers.
"""

from algorithms.depthwise.depthwise import Depthwise

__all__ = ["Depthwise"]
