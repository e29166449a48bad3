"""Convolution as a matrix product: im2col and GEMM, implicit GEMM, and the products that other families share.

`plain` is a batched product for any dtype. `batched` is a batched product in register tiles, for float32. Winograd and
the FFT use both for their multiply phase.
"""

from algorithms.gemm.batched import launch_batched_gemm, padded
from algorithms.gemm.batched_tile import Tile
from algorithms.gemm.im2col import Im2colGemm
from algorithms.gemm.implicit import ImplicitGemm
from algorithms.gemm.plain import launch_gemm, tiles_for
from algorithms.gemm.stages import WAITS

__all__ = ["WAITS", "Im2colGemm", "ImplicitGemm", "Tile", "launch_batched_gemm", "launch_gemm", "padded", "tiles_for"]
