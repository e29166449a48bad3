"""Convolution by the FFT, in overlap-save tiles.

`tiled` is the algorithm. It runs as `stages` of kernels in registers for float32, as `correlation` for other dtypes and
devices, and as `weights` for the gradient by the weights.
"""

from algorithms.fft.tiled import FftTiled

__all__ = ["FftTiled"]
