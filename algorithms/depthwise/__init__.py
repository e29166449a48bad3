"""Depthwise convolution: every channel has filters of its own, and nothing is summed over channels.

`Depthwise` has one thread for each output; for large problems in float32 it is the kernel of `patch`, in which a thread
computes a patch of outputs from registers.
"""

from algorithms.depthwise.depthwise import Depthwise

__all__ = ["Depthwise"]
