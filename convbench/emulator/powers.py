"""Powers of a float with a constant integer as exponent, as products in a row.

numba-cuda calls a function with a loop. NVVM unrolls the loop, so on a GPU the products stand in one basic block with
the sums that they enter, and are fused. Here they are made without the loop. The products are the same.
"""

import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_MOST = 0x10000  # numba-cuda calls `math.pow` for larger exponents


def lowering(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method for numba-cuda's lowering of `a ** b`, `a **= b` and other binary operations."""
    # here, because Numba's simulator lacks these
    from numba.cuda import types
    from numba.cuda.core.errors import ConstantInferenceError

    def lower_binop(lower: Any, resty: Any, expr: Any, op: Any) -> Any:
        given, result = lower.fndesc.calltypes[expr].args, lower.fndesc.calltypes[expr].return_type
        exponent = None
        if op in (operator.pow, operator.ipow) and result in (types.float32, types.float64) and result == given[0]:
            with suppress(ConstantInferenceError):
                exponent = lower.func_ir.infer_constant(expr.rhs)
        if type(exponent) is not int or not isinstance(given[1], types.Integer) or not 0 <= exponent <= _MOST:
            return original(lower, resty, expr, op)
        base = lower.context.cast(lower.builder, lower.loadvar(expr.lhs.name), lower.typeof(expr.lhs.name), result)
        return lower.context.cast(lower.builder, _product(lower.builder, base, exponent), result, resty)

    return lower_binop


def _product(builder: Any, base: Any, exponent: int) -> Any:
    """The power, with the products of numba-cuda's loop."""
    power = base.type(1.0)
    while exponent:
        if exponent & 1:
            power = builder.fmul(power, base)
        exponent >>= 1
        base = builder.fmul(base, base)
    return power
