"""Implicit GEMM on tensor cores: TF32, 3×TF32, float16 and bfloat16.

`warp_gemm` multiplies with mma.sync, on compute capability 8.0 and later. `warpgroup_gemm` multiplies with wgmma, on
9.0 alone. Both read the words that `packing` has written, by the copies of `windows`.
"""

from algorithms.tensor_cores.implicit import ImplicitGemm3xTf32, ImplicitGemmBf16, ImplicitGemmF16, ImplicitGemmTf32

__all__ = ["ImplicitGemm3xTf32", "ImplicitGemmBf16", "ImplicitGemmF16", "ImplicitGemmTf32"]
