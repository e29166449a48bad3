"""Arithmetic on pairs of float32, of which a GPU of compute capability 10.0 or 10.3 does two by one instruction.

A pair is two neighbouring registers. The two sums, and the two factors that differ, should come from one wide load and
stay neighbours; then the machine code has no moves for them. The factor that both share needs no second register.

Source    PTX ISA, "Floating Point Instructions: fma" (.f32x2, from compute capability 10.0 on). ptxas writes one FFMA2
          for 10.0 and 10.3, and two FFMA for 11.0, 12.0 and 12.1, where a pair saves nothing.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import errors
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.intrinsics.addresses import FLOAT, ptx
from convbench.intrinsics.twins import with_twin

PAIRED = ((10, 0), (10, 3))  # the compute capabilities that have the instruction
MULTIPLY_ADD_2_TEXT = (
    "{ .reg .b64 a, b, c; mov.b64 a, {$2, $2}; mov.b64 b, {$3, $4}; mov.b64 c, {$5, $6}; "
    "fma.rn.f32x2 c, a, b, c; mov.b64 {$0, $1}, c; }"
)
_PAIR = types.UniTuple(types.float32, 2)


def _fused(factor: Any, other: Any, addend: Any) -> np.float32:
    """The product plus the addend, rounded to float32 once.

    float64 holds every product of two float32. The sum in float64 is rounded to odd: whatever is not exact gets an odd
    last bit, so that the second rounding, to float32, sees on which side of a tie it is.
    """
    product, added = float(factor) * float(other), float(addend)
    total = product + added
    back = total - product
    rest = (product - (total - back)) + (added - back)
    if math.isfinite(total) and rest and not int(np.float64(total).view(np.int64)) & 1:
        total = math.nextafter(total, math.copysign(math.inf, rest))
    return np.float32(total)


def _multiply_add_2(factor: Any, pair: Any, sums: Any) -> tuple[np.float32, ...]:
    return tuple(_fused(factor, other, addend) for other, addend in zip(pair, sums, strict=True))


@with_twin(_multiply_add_2)
@intrinsic
def multiply_add_2(typing_context: Any, factor: Any, pair: Any, sums: Any) -> Any:
    """The pair (factor · pair[0] + sums[0], factor · pair[1] + sums[1]) of float32, each rounded once."""
    if (factor, pair, sums) != (types.float32, _PAIR, _PAIR):
        raise errors.TypingError(f"multiply_add_2 takes float32, {_PAIR} and {_PAIR}, not {factor}, {pair} and {sums}")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = [values[0], *(builder.extract_value(value, i) for value in values[1:] for i in range(2))]
        two = ir.LiteralStructType([FLOAT] * 2)
        found = ptx(builder, MULTIPLY_ADD_2_TEXT, two, given, "=f,=f,f,f,f,f,f", is_pure=True)
        return context.make_tuple(builder, _PAIR, [builder.extract_value(found, i) for i in range(2)])

    return _PAIR(factor, pair, sums), generate
