"""Products of warpgroups in any shape and type, which only PTX has: each is computed where it is issued.

A program that fences, commits and waits as it must cannot tell the difference. A lane leaves in a block of words: four
words of A, or the descriptor of A in the first two; the descriptor of B in the next two; whether C is added; and the
accumulators from word 8 on. The rest is in one number (`product_option`).

Source    PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions": the fragments (`products` has
          the same, for the 16 rows of each warp), the matrix descriptor, "Strides" and the swizzling modes. A chunk of
          16 bytes is xored with the number of its row of 128 bytes, of which the mode takes three, two, one or no bits.
"""

import numpy as np
from numba import njit

from convbench.emulator.checks.operands import hold
from convbench.emulator.checks.shadow import READ, check
from convbench.emulator.collectives.products import WIDTHS, put_sum, sum_of, value_in
from convbench.emulator.raw import load, load_word
from convbench.emulator.state import RANGE, THREAD, FaultKind, offset

NOW = 4  # the request, behind those of `warpgroup`
A_WORDS, B_WORD, ADDS, SUMS = 0, 4, 6, 8
ROWS, LANES = 64, 128
_OUTSIDE, _UNEVEN = int(FaultKind.READ_OUTSIDE), int(FaultKind.UNEVEN_OPERANDS)
_ROW_BYTES, _CELLS = THREAD.itemsize, offset(RANGE, "cells")
_SWIZZLED = np.array([0, 7, 3, 1])  # by the mode in the descriptor's highest bits
_CHUNKS = np.array([1, 8, 4, 2])  # of 16 bytes in a row


def product_option(
    columns: int,
    factors: tuple[int, int],
    sums: int,
    *,
    by_descriptor: bool,
    negated: tuple[bool, bool] = (False, False),
    transposed: tuple[bool, bool] = (False, False),
    saturates: bool = False,
) -> int:
    """The number of a product: its shape, its types, and what is done to its factors."""
    flags = (by_descriptor, *negated, *transposed, saturates)
    marks = sum(flag << 14 + place for place, flag in enumerate(flags))
    return NOW | factors[0] << 4 | factors[1] << 8 | sums << 12 | marks | columns << 20


@njit(error_model="numpy", nogil=True)
def _descriptor(block, word):
    return load_word(block + 4 * word) | load_word(block + 4 * word + 4) << 32


@njit(error_model="numpy", nogil=True)
def _place(descriptor, line, byte, transposed):
    """The address in shared memory of an element: of a row of A or a column of B, and its place along the sum.

    `byte` is that place in bytes. In a transposed matrix, whose elements have two bytes, lines lie side by side.
    """
    mode, start = descriptor >> 62 & 3, (descriptor & 0x3FFF) << 4
    leading, stride = (descriptor >> 16 & 0x3FFF) << 4, (descriptor >> 32 & 0x3FFF) << 4
    chunks = _CHUNKS[mode]
    if transposed:
        k, chunk = byte >> 1, line >> 3
        inside = 2 * (line & 7) + (k & 7) * 16 * chunks
        if mode == 0:
            at = start + inside + chunk * stride + (k >> 3) * leading
        else:
            at = start + inside + chunk // chunks * leading + chunk % chunks * 16 + (k >> 3) * stride
    else:
        at = start + (line >> 3) * stride + (line & 7) * 16 * chunks
        at += (byte & 15) + (byte >> 4) * (leading if mode == 0 else 16)
    return at ^ ((at >> 7) - (descriptor >> 49 & 7) & _SWIZZLED[mode]) << 4


@njit(error_model="numpy", nogil=True)
def _seen(rows, who, at, site, header, group):
    """The fault of a thread's read of the 16 bytes around an address in shared memory, or 0.

    `group` is that of the product in checked mode, and else 0.
    """
    at &= ~15
    if group:
        hold(rows + who * _ROW_BYTES, header.shared + at, site, group)
        return check(rows + who * _ROW_BYTES, header.shared + at, READ | 16 << 8 | 16 << 16 | site << 40, 0, True)
    return 0 if 0 <= at <= header.shared_bytes - 16 else _OUTSIDE


@njit(error_model="numpy", nogil=True)
def _begins(line, byte, transposed):
    """Whether no element before this one, of the same 16 bytes, has been read."""
    return line & 7 == 0 if transposed else byte & 15 == 0


@njit(error_model="numpy", nogil=True)
def multiply_now(threads, rows, first, header):
    """D = A · B + C, for the warpgroup whose first thread is `first`. Returns (fault, thread)."""
    option, site, block = threads[first].option, threads[first].site, threads[first].value
    kind_a, kind_b, kind = option >> 4 & 15, option >> 8 & 15, option >> 12 & 3
    by_descriptor, saturates, columns = option >> 14 & 1, option >> 19 & 1, option >> 20
    width = WIDTHS[kind_a]
    depth, per_word = 256 // width, 32 // width
    right = _descriptor(block, B_WORD)
    for i in range(first, first + LANES):
        other = threads[i].value
        if _descriptor(other, B_WORD) != right or load_word(other + 4 * ADDS) != load_word(block + 4 * ADDS):
            return _UNEVEN, i
        if by_descriptor and _descriptor(other, A_WORDS) != _descriptor(block, A_WORDS):
            return _UNEVEN, i
    watched = header.ranges != 0 and load(header.ranges + _CELLS) != 0
    group = threads[first].groups + 1 if watched else 0
    a, b = np.empty((ROWS, depth)), np.empty((columns, depth))
    for line in range(columns):
        who = first + line % LANES
        for k in range(depth):
            at = _place(right, line, k * width >> 3, option >> 18 & 1)
            if _begins(line, k * width >> 3, option >> 18 & 1):
                fault = _seen(rows, who, at, site, header, group)
                if fault:
                    return _told(threads, who, fault, header.shared + at)
            b[line, k] = _element(header.shared + at, k * width & 7, kind_b)
    if by_descriptor:
        left = _descriptor(block, A_WORDS)
        for line in range(ROWS):
            who = first + (line >> 4) * 32 + (line & 7) * 4
            for k in range(depth):
                at = _place(left, line, k * width >> 3, option >> 17 & 1)
                if _begins(line, k * width >> 3, option >> 17 & 1):
                    fault = _seen(rows, who, at, site, header, group)
                    if fault:
                        return _told(threads, who, fault, header.shared + at)
                a[line, k] = _element(header.shared + at, k * width & 7, kind_a)
    else:
        for i in range(LANES):
            lane = i & 31
            for word in range(4):
                line = (i >> 5) * 16 + (lane >> 2) + 8 * (word & 1)
                bits = load_word(threads[first + i].value + 4 * word)
                for part in range(per_word):
                    a[line, per_word * ((lane & 3) + 4 * (word >> 1)) + part] = value_in(bits, part, kind_a)
    if option >> 15 & 1:
        a *= -1.0
    if option >> 16 & 1:
        b *= -1.0
    adds = load_word(block + 4 * ADDS) != 0
    for i in range(LANES):
        lane, sums = i & 31, threads[first + i].value + 4 * SUMS
        for j in range(columns // 2):
            line = (i >> 5) * 16 + (lane >> 2) + 8 * (j >> 1 & 1)
            column = 8 * (j >> 2) + 2 * (lane & 3) + (j & 1)
            total = sum_of(sums, j, kind) if adds else 0.0
            for k in range(depth):
                total += a[line, k] * b[column, k]
            put_sum(sums, j, kind, total, saturates)
    return 0, first


@njit(error_model="numpy", nogil=True)
def _told(threads, who, fault, address):
    if fault == _OUTSIDE:
        threads[who].fault_a, threads[who].fault_b = address & ~15, 16
    return fault, who


@njit(error_model="numpy", nogil=True)
def _element(address, bit, kind):
    """The number that begins at a bit of a byte."""
    return value_in(load_word(address & ~3), ((address & 3) * 8 + bit) // WIDTHS[kind], kind)
