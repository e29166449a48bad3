"""Winograd's minimal filtering: F(2×2, 3×3) and F(4×4, 3×3).

`matrices` derives the transforms exactly. There are three ways to run them: `plain` for any dtype and dilation,
`staged` as three fast kernels, and `fused` as one kernel.
"""

from algorithms.winograd.winograd import Winograd2x2, Winograd4x4

__all__ = ["Winograd2x2", "Winograd4x4"]
