"""Tensor cores for whole warps: ldmatrix loads fragments from shared memory, mma.sync multiplies them.

All 32 lanes of a warp must call the same function together. With g = lane // 4 and t = lane mod 4 a lane holds

    A  16 × 8 of TF32     a[i] = A[g + 8·(i mod 2), t + 4·(i // 2)]                                   i = 0 … 3
    B  8 × 8              b[i] = B[t + 4·i, g]                                                        i = 0, 1
    A  16 × 16 of halves  a[i] = A[g + 8·(i mod 2), 2·t + 8·(i // 2) + (0, 1)], the first in the low half
    B  16 × 8             b[i] = B[2·t + 8·i + (0, 1), g]
    C  16 × 8 of float32  c[i] = C[g + 8·(i // 2), 2·t + i mod 2]                                     i = 0 … 3

`ldmatrix_x4` reads four matrices of 8 rows of 16 bytes. Lane 8·i + r passes the place of row r of matrix i. From each
matrix, a lane gets the four bytes of row g that begin at byte 4·t: two halves, or one TF32 number. The transposed
version treats the matrices as 8 × 8 halves, and reads row g of their transposes.

Source    PTX ISA, "Warp-level matrix instructions": ldmatrix, mma.m16n8k8 (.tf32) and .m16n8k16 (.f16, .bf16); compute
          capability 8.0. "Conversion: cvt.rna.tf32.f32".
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import errors
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.intrinsics.addresses import FLOAT, WORD, element, in_shared, ptx, require_flat
from convbench.intrinsics.lanes import of_warp
from convbench.intrinsics.memory import place
from convbench.intrinsics.twins import with_twin

ROW_BYTES = 16
_TF32_BITS, _HALF_OF_LAST = 0xFFFFE000, 0x1000  # bits of a float32: those that TF32 keeps; half the last one
_NAN = 0x7FFFFFFF  # the NaN that cvt returns
_LANES = np.arange(32)
_G, _T = _LANES[:, None] // 4, _LANES[:, None] % 4
_I = np.arange(4)


def ldmatrix_text(*, transposed: bool) -> str:
    """The PTX of a load of four matrices."""
    return f"ldmatrix.sync.aligned.m8n8.x4{'.trans' if transposed else ''}.shared.b16 {{$0, $1, $2, $3}}, [$4];"


def mma_text(shape: str, kind: str) -> str:
    """The PTX of a product whose sums are float32."""
    sums, a, b, before = "{$0, $1, $2, $3}", "{$4, $5, $6, $7}", "{$8, $9}", "{$10, $11, $12, $13}"
    return f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {sums}, {a}, {b}, {before};"


def _ldmatrix(*, transposed: bool) -> Any:
    name, text = "ldmatrix_x4_transposed" if transposed else "ldmatrix_x4", ldmatrix_text(transposed=transposed)

    def together(rows: list[npt.NDArray[np.uint32]]) -> list[Any]:
        matrices = np.array(rows).view(np.uint16).reshape(4, 8, 8)
        if transposed:
            matrices = matrices.transpose(0, 2, 1)
        fragments = np.ascontiguousarray(matrices).view(np.uint32).reshape(4, 32)
        return [tuple(fragments[:, lane]) for lane in range(32)]

    def twin(array: Any, index: Any) -> Any:
        count = ROW_BYTES // array.itemsize
        first = place(array, index, count)
        return of_warp(array[first : first + count].view(np.uint32).copy(), together)

    @with_twin(twin)
    @intrinsic
    def load(typing_context: Any, array: Any, index: Any) -> Any:
        require_flat(name, array, index, bits=(16, 32))
        result = types.UniTuple(types.uint32, 4)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            count = ROW_BYTES * 8 // array.dtype.bitwidth
            pointer = element(context, builder, array, values[0], values[1], index, count)
            four = ir.LiteralStructType([WORD] * 4)
            found = ptx(builder, text, four, [in_shared(builder, pointer)], "=r,=r,=r,=r,r")
            return context.make_tuple(builder, result, [builder.extract_value(found, i) for i in range(4)])

        return result(array, index), generate

    return load


def _mma(shape: str, kind: str, numbers: Callable[[npt.NDArray[np.uint32]], npt.NDArray[np.float64]]) -> Any:
    """The intrinsic of a product.

    `numbers` unpacks factors from words: from shape (lanes, words) to (lanes, words, numbers in a word).
    """
    text, name = mma_text(shape, kind), f"mma_{kind}"
    sums_type = types.UniTuple(types.float32, 4)
    wanted = (sums_type, types.UniTuple(types.uint32, 4), types.UniTuple(types.uint32, 2))

    def together(brought: list[Any]) -> list[Any]:
        before, a, b = (np.array(values) for values in zip(*brought, strict=True))
        a_values, b_values = numbers(a.astype(np.uint32)), numbers(b.astype(np.uint32))
        in_word = a_values.shape[-1]
        halves = np.arange(in_word)
        matrix_a, matrix_b = np.empty((16, 8 * in_word)), np.empty((8 * in_word, 8))
        columns = in_word * (_T + 4 * (_I // 2))[..., None] + halves
        matrix_a[(_G + 8 * (_I % 2))[..., None], columns] = a_values
        rows = in_word * (_T + 4 * _I[:2])[..., None] + halves
        matrix_b[rows, np.broadcast_to(_G[..., None], rows.shape)] = b_values
        sums = (matrix_a @ matrix_b)[_G + 8 * (_I // 2), 2 * _T + _I % 2] + before.astype(np.float64)
        return [tuple(lane) for lane in cut(sums)]

    def twin(before: Any, a: Any, b: Any) -> Any:
        return of_warp((before, a, b), together)

    @with_twin(twin)
    @intrinsic
    def multiply(typing_context: Any, before: Any, a: Any, b: Any) -> Any:
        if (before, a, b) != wanted:
            raise errors.TypingError(f"{name} takes {', '.join(map(str, wanted))}, not {before}, {a}, {b}")

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            sums, *factors = (
                [builder.extract_value(value, i) for i in range(kind.count)]
                for value, kind in zip(values, wanted, strict=True)
            )
            given, four = [*factors[0], *factors[1], *sums], ir.LiteralStructType([FLOAT] * 4)
            constraints = "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f"
            function = ir.FunctionType(four, [value.type for value in given])
            # it touches no memory, but must not be moved to where the lanes of a warp have diverged
            found = builder.call(ir.InlineAsm(function, text, constraints, side_effect=True), given)
            return context.make_tuple(builder, sums_type, [builder.extract_value(found, i) for i in range(4)])

        return sums_type(*wanted), generate

    return multiply


def cut(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Round to float32, towards zero, as `convbench.emulator.collectives.tensor` does."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = sums.astype(np.float32)
        beyond = (np.abs(near.astype(np.float64)) > np.abs(sums)) & np.isfinite(near)
        return np.where(beyond, np.nextafter(near, np.float32(0)), near)


def of_tf32(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Unpack TF32 numbers from words. A new last axis holds the numbers of each word, here one."""
    return (words & np.uint32(_TF32_BITS)).view(np.float32).astype(np.float64)[..., None]


def of_f16(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Unpack float16 numbers from words. A new last axis holds the two numbers of each word."""
    return np.ascontiguousarray(words).view(np.float16).reshape(*words.shape, 2).astype(np.float64)


def of_bf16(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Unpack bfloat16 numbers from words. A new last axis holds the two numbers of each word."""
    pairs = np.stack((words << np.uint32(16), words & np.uint32(0xFFFF0000)), axis=-1)
    return pairs.view(np.float32).astype(np.float64)


ldmatrix_x4, ldmatrix_x4_transposed = _ldmatrix(transposed=False), _ldmatrix(transposed=True)
mma_tf32 = _mma("m16n8k8", "tf32", of_tf32)
mma_f16, mma_bf16 = _mma("m16n8k16", "f16", of_f16), _mma("m16n8k16", "bf16", of_bf16)


def _rounded(value: Any) -> Any:
    if np.isnan(value):
        return np.uint32(_NAN)
    return (np.float32(value).view(np.uint32) + np.uint32(_HALF_OF_LAST)) & np.uint32(_TF32_BITS)


@with_twin(_rounded)
@intrinsic
def round_to_tf32(typing_context: Any, value: Any) -> Any:
    """Round a float32 to 11 significant bits, halfway cases away from zero, and return its bits.

    This is cvt.rna in integer arithmetic.
    """
    if value != types.float32:
        raise errors.TypingError(f"round_to_tf32 takes float32, not {value}")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        moved = builder.add(builder.bitcast(values[0], WORD), WORD(_HALF_OF_LAST))
        is_nan = builder.fcmp_unordered("uno", values[0], values[0])
        return builder.select(is_nan, WORD(_NAN), builder.and_(moved, WORD(_TF32_BITS)))

    return types.uint32(value), generate


@with_twin(lambda value: np.uint32(value.view(np.uint16)))
@intrinsic
def half_bits(typing_context: Any, value: Any) -> Any:
    """The bits of a float16 or a bfloat16, in the low half of a word."""
    if getattr(value, "bitwidth", None) != 16:
        raise errors.TypingError(f"half_bits takes float16 or bfloat16, not {value}")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.zext(builder.bitcast(values[0], ir.IntType(16)), WORD)

    return types.uint32(value), generate
