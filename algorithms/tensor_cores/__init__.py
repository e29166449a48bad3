"""Implicit GEMM on tensor cores: TF32, 3×TF32, float16 and bfloat16.

`warp_gemm` multiplies with mma.sync, on compute capability 8.0 and later; `warpgroup_gemm` with wgmma, on 9.0 alone.
Both fetch their factors by `windows` from what `packing` has written.
"""

from algorithms.tensor_cores.implicit import ImplicitGemm3xTf32, ImplicitGemmBf16, ImplicitGemmF16, ImplicitGemmTf32

__all__ = ["ImplicitGemm3xTf32", "ImplicitGemmBf16", "ImplicitGemmF16", "ImplicitGemmTf32"]
