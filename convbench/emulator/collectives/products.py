"""Matrix instructions of PTX in any shape: mma, wmma, ldmatrix, stmatrix and movmatrix of a warp.

A lane leaves the registers of its operands in a block of words, in order, and finds its results there. Which
instruction it is, with its shape and types, is packed into one number (`mma_option`, `wmma_option`, `move_option`).

A register of 32 bits holds p elements of a factor. Lane 4·g + t has, in element e of register i, row g + 8·(i mod 2)
and column p·(t + 4·(i // 2)) + e of A, and row p·(t + 4·i) + e and column g of B. Of a sum it has, in element i, row
g + 8·(i // 2) and column 2·t + (i mod 2). This holds for all shapes but m8n8k4 of halves.

Products are exact. A sum of floats is computed in float64, and then cut towards zero to float32, or rounded to nearest
to float16, as hardware does (Fasi, Higham, Mikaitis & Pranesh 2021, "Numerical behavior of NVIDIA tensor cores", PeerJ
Computer Science 7:e330). A sum of float64 is a chain of fused multiply-adds. Integers are exact, and wrap or saturate.

Source    PTX ISA, "Warp-level matrix instructions".
"""

import numpy as np
from numba import njit

from convbench.emulator.raw import bits_of, double_of, float_of, fused, load, load_word, store, store_half, store_word
from convbench.emulator.state import WARP

TF32, F16, BF16, S8, U8, E4M3, E5M2, S4, U4, F64, AND, XOR = range(2, 14)  # types of factors; the last two are bits
FLOAT, HALF, INTEGER, DOUBLE = range(4)  # types of sums
BITS = {TF32: 32, F16: 16, BF16: 16, S8: 8, U8: 8, E4M3: 8, E5M2: 8, S4: 4, U4: 4, F64: 64, AND: 1, XOR: 1}
GENERAL = 16  # the instructions here begin with this number
_MMA, _LOAD, _STORE, _TRANSPOSE, _WMMA, _QUADS = range(6)
COLUMNS = 8
_TF32_BITS = 0xFFFFE000  # those of a float32 that the hardware reads
WIDTHS = np.array([BITS.get(kind, 0) for kind in range(16)])


def mma_option(rows: int, depth: int, factors: tuple[int, int], sums: tuple[int, int], *, saturates: bool) -> int:
    """The number of an mma: its shape, the types of A and B, of C and D, and whether an integer saturates."""
    kinds = factors[0] << 8 | factors[1] << 12 | sums[0] << 16 | sums[1] << 18
    return GENERAL | _MMA << 5 | kinds | saturates << 20 | rows << 24 | depth << 32


def wmma_option(
    shape: tuple[int, int, int],
    factors: tuple[int, int],
    sums: tuple[int, int],
    words: tuple[int, int],
    *,
    saturates: bool,
) -> int:
    """The number of a wmma.mma: as for `mma_option`, and how many words a lane has of A and of B."""
    rows, columns, depth = shape
    option = mma_option(rows, depth, factors, sums, saturates=saturates) | _WMMA << 5
    return option | columns << 44 | words[0] << 52 | words[1] << 57


def quads_option(sums: tuple[int, int], rows: tuple[bool, bool]) -> int:
    """The number of mma.m8n8k4 of halves: the types of C and D, and whether A and B are in the order of rows."""
    return GENERAL | _QUADS << 5 | sums[0] << 16 | sums[1] << 18 | rows[0] << 24 | rows[1] << 25


def move_option(opcode: str, count: int, *, transposed: bool) -> int:
    """The number of ldmatrix, stmatrix or movmatrix, for this many matrices."""
    action = {"ldmatrix": _LOAD, "stmatrix": _STORE, "movmatrix": _TRANSPOSE}[opcode]
    return GENERAL | action << 5 | count << 8 | transposed << 12


@njit(error_model="numpy", nogil=True)
def answer_general(threads, warp, option):
    """Compute the results of an instruction for every lane of the warp whose first thread is `warp`."""
    action = option >> 5 & 7
    if action == _MMA:
        _multiply(threads, warp, option)
    elif action == _WMMA:
        _multiply_whole(threads, warp, option)
    elif action == _QUADS:
        for quad in range(4):
            _multiply_quads(threads, warp + 4 * quad, option)
    else:
        _move(threads, warp, action, option >> 8 & 15, option >> 12 & 1)


@njit(error_model="numpy", nogil=True)
def _move(threads, warp, action, count, transposed):
    """Turn rows of 16 bytes into fragments, fragments into rows, or fragments into those of the transposed matrix."""
    words = np.empty((WARP, 4), np.int64)
    for lane in range(WARP):
        for word in range(4):
            words[lane, word] = load_word(threads[warp + lane].value + 4 * word)
    for lane in range(WARP):
        g, t = lane >> 2, lane & 3
        block = threads[warp + lane].value
        if action == _STORE:
            matrix, row = lane >> 3, lane & 7
            for word in range(4 if matrix < count else 0):
                if transposed:
                    low = words[8 * word + (row >> 1), matrix] >> 16 * (row & 1) & 0xFFFF
                    high = words[8 * word + 4 + (row >> 1), matrix] >> 16 * (row & 1) & 0xFFFF
                    store_word(block + 4 * word, low | high << 16)
                else:
                    store_word(block + 4 * word, words[4 * row + word, matrix])
            continue
        for i in range(count):
            if action == _TRANSPOSE:
                low = words[8 * t + (g >> 1), i] >> 16 * (g & 1) & 0xFFFF
                high = words[8 * t + 4 + (g >> 1), i] >> 16 * (g & 1) & 0xFFFF
                found = low | high << 16
            elif transposed:
                low = words[8 * i + 2 * t, g >> 1] >> 16 * (g & 1) & 0xFFFF
                high = words[8 * i + 2 * t + 1, g >> 1] >> 16 * (g & 1) & 0xFFFF
                found = low | high << 16
            else:
                found = words[8 * i + g, t]
            store_word(block + 4 * i, found)


@njit(error_model="numpy", nogil=True)
def _multiply(threads, warp, option):
    """D = A · B + C."""
    kind_a, kind_b, kind_c, kind_d = option >> 8 & 15, option >> 12 & 15, option >> 16 & 3, option >> 18 & 3
    rows, depth, saturates = option >> 24 & 255, option >> 32 & 0xFFF, option >> 20 & 1
    a, b = np.empty((rows, depth)), np.empty((depth, COLUMNS))
    width = WIDTHS[kind_a]
    per_word, words = max(32 // width, 1), max(width // 32, 1)
    registers_b = depth // (4 * per_word)
    registers_a = registers_b * rows // 8
    step = 2 if rows == 16 else 1
    for lane in range(WARP):
        block, g, t = threads[warp + lane].value, lane >> 2, lane & 3
        for i in range(registers_a):
            row, first = g + 8 * (i % step), per_word * (t + 4 * (i // step))
            for part in range(per_word):
                a[row, first + part] = _element(block + 4 * words * i, part, kind_a)
        for i in range(registers_b):
            for part in range(per_word):
                at = block + 4 * words * (registers_a + i)
                b[per_word * (t + 4 * i) + part, g] = _element(at, part, kind_b)
    sums = 4 * words * (registers_a + registers_b)
    found = np.zeros(4)
    for lane in range(WARP):
        block, g, t = threads[warp + lane].value + sums, lane >> 2, lane & 3
        for i in range(rows // 4):
            row, column = g + 8 * (i >> 1), 2 * t + (i & 1)
            found[i] = _added(_sum_at(block, i, kind_c), a, row, b, column, kind_a)
        for i in range(rows // 4):
            put_sum(block, i, kind_d, found[i], saturates)


@njit(error_model="numpy", nogil=True)
def _multiply_quads(threads, first, option):
    """D = A · B + C, 8 × 8 × 4, of mma.m8n8k4, for four lanes from `first` on and the four that are 16 behind them."""
    kind_c, kind_d, by_rows_a, by_rows_b = option >> 16 & 3, option >> 18 & 3, option >> 24 & 1, option >> 25 & 1
    a, b = np.empty((8, 4)), np.empty((4, 8))
    for t in range(8):
        block, low, high = threads[first + (t & 3) + (t >> 2 << 4)].value, t & 3, t & 4
        for i in range(4):
            left = value_in(load_word(block + 4 * (i >> 1)), i & 1, F16)
            right = value_in(load_word(block + 8 + 4 * (i >> 1)), i & 1, F16)
            if by_rows_a:
                a[low + high, i] = left
            else:
                a[i + high, low] = left
            if by_rows_b:
                b[low, i + high] = right
            else:
                b[i, low + high] = right
    found = np.empty(8)
    for t in range(8):
        block = threads[first + (t & 3) + (t >> 2 << 4)].value + 16
        for i in range(8):
            row, column = _of_quads(t, i, kind_c)
            found[i] = _sum_at(block, i, kind_c)
            found[i] = _added(found[i], a, row, b, column, F16)
        for i in range(8):
            put_sum(block, i, kind_d, found[i], 0)


@njit(error_model="numpy", nogil=True)
def _of_quads(t, i, kind):
    """The row and column of a sum of m8n8k4: of float32, and of float16."""
    if kind == FLOAT:
        return (t & 1) + (i & 2) + (t & 4), (i & 4) + (t & 2) + (i & 1)
    return t, i


@njit(error_model="numpy", nogil=True)
def _multiply_whole(threads, warp, option):
    """D = A · B + C of wmma, whose lanes have consecutive elements (`ptx.instructions.wmma`)."""
    kind_a, kind_b, kind_c, kind_d = option >> 8 & 15, option >> 12 & 15, option >> 16 & 3, option >> 18 & 3
    rows, depth, columns = option >> 24 & 255, option >> 32 & 0xFFF, option >> 44 & 255
    words_a, words_b, saturates = option >> 52 & 31, option >> 57 & 31, option >> 20 & 1
    a, b = np.empty((rows, depth)), np.empty((depth, columns))
    for lines, matrix, kind, words, first in ((rows, 0, kind_a, words_a, 0), (columns, 1, kind_b, words_b, words_a)):
        bits = WIDTHS[kind]
        per_lane = words * 32 // bits
        for n in range(lines * depth):
            at = threads[warp + n // per_lane].value + 4 * first + (n % per_lane * bits >> 5 << 2)
            value = _element(at, (n % per_lane * bits & 31) // bits, kind)
            if matrix:
                b[n % depth, n // depth] = value
            else:
                a[n // depth, n % depth] = value
    per_lane = rows * columns // WARP
    found = np.empty(per_lane)
    for lane in range(WARP):
        block = threads[warp + lane].value + 4 * (words_a + words_b)
        for i in range(per_lane):
            n = lane * per_lane + i
            found[i] = _added(_sum_at(block, i, kind_c), a, n // columns, b, n % columns, kind_a)
        for i in range(per_lane):
            put_sum(block, i, kind_d, found[i], saturates)


@njit(error_model="numpy", nogil=True)
def _added(total, a, row, b, column, kind):
    """The sum of `total` and the products of a row of A and a column of B."""
    for k in range(a.shape[1]):
        if kind == F64:
            total = fused(a[row, k], b[k, column], total)
        elif kind == XOR:
            total += a[row, k] != b[k, column]
        else:
            total += a[row, k] * b[k, column]
    return total


@njit(error_model="numpy", nogil=True)
def _element(at, part, kind):
    return double_of(load(at)) if kind == F64 else value_in(load_word(at), part, kind)


@njit(error_model="numpy", nogil=True)
def _sum_at(block, i, kind):
    return double_of(load(block + 8 * i)) if kind == DOUBLE else sum_of(block, i, kind)


@njit(error_model="numpy", nogil=True)
def sum_of(block, i, kind):
    """The i-th number of a block of sums, which are no doubles."""
    if kind == HALF:
        return value_in(load_word(block + 4 * (i >> 1)), i & 1, F16)
    word = load_word(block + 4 * i)
    if kind == FLOAT:
        return np.float64(float_of(word))
    return np.float64((word ^ 0x80000000) - 0x80000000)


@njit(error_model="numpy", nogil=True)
def put_sum(block, i, kind, value, saturates):
    """Store the i-th number of a block of sums."""
    if kind == DOUBLE:
        store(block + 8 * i, np.float64(value).view(np.int64))
    elif kind == FLOAT:
        store_word(block + 4 * i, bits_of(cut(value)))
    elif kind == HALF:
        store_half(block + 2 * i, half_bits(value))
    else:
        if saturates:
            value = min(max(value, -(2.0**31)), 2.0**31 - 1)
        store_word(block + 4 * i, np.int64(value) & 0xFFFFFFFF)


@njit(error_model="numpy", nogil=True)
def half_bits(value):
    """The bits of the float16 that is nearest, ties to even."""
    if np.isnan(value):
        return 0x7FFF
    sign = 0x8000 if np.copysign(1.0, value) < 0 else 0
    size = abs(value)
    if size >= 65520.0:
        return sign | 0x7C00
    exponent = -14
    while size >= 2.0 ** (exponent + 1):
        exponent += 1
    whole = np.int64(np.rint(size * 2.0 ** (10 - exponent)))  # below 2 ** 11; a carry moves into the exponent
    return sign | (((exponent + 14) << 10) + whole)


@njit(error_model="numpy", nogil=True)
def value_in(word, part, kind):
    """The number in a part of a word, which has as many parts as numbers of this type fit in."""
    if kind == TF32:
        return np.float64(float_of(word & _TF32_BITS))
    if kind in (F16, BF16):
        bits = word >> 16 * part & 0xFFFF
        return np.float64(float_of(bits << 16)) if kind == BF16 else _half(bits)
    if kind in (S8, U8, E4M3, E5M2):
        bits = word >> 8 * part & 0xFF
        if kind == E5M2:  # the upper half of a float16
            return _half(bits << 8)
        if kind == E4M3:
            return np.nan if bits & 0x7F == 0x7F else _half((bits & 0x80) << 8 | (bits & 0x7F) << 7) * 256.0
        return np.float64((bits ^ 0x80) - 0x80 if kind == S8 else bits)
    if kind in (S4, U4):
        bits = word >> 4 * part & 0xF
        return np.float64((bits ^ 8) - 8 if kind == S4 else bits)
    return np.float64(word >> part & 1)


@njit(error_model="numpy", nogil=True)
def _half(bits):
    # shifted into a float32, a float16 has an exponent that is 112 too small; infinities and NaNs are a separate case
    size, sign = bits & 0x7FFF, (bits & 0x8000) << 16
    if size >= 0x7C00:
        return np.float64(float_of(sign | 0x7F800000 | (size & 0x3FF) << 13))
    return np.float64(float_of(sign | size << 13)) * 2.0**112


@njit(error_model="numpy", nogil=True)
def cut(total):
    """The nearest float32 that is not further from zero. Beyond the largest one, the result is infinite."""
    near = np.float32(total)
    if abs(np.float64(near)) > abs(total) and not np.isinf(near):
        return float_of(bits_of(near) - 1)
    return near
