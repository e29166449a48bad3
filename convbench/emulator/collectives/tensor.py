"""Tensor cores: compute ldmatrix and mma.sync for a warp whose 32 lanes have all asked for the same instruction.

A lane leaves its operands in a block of words, whose address is in its row, and finds its results there. For ldmatrix
the operand is the row of 16 bytes that the lane has loaded. For mma the operands are four words of A, two of B and four
accumulators; the sums replace the accumulators.

Products are exact. Their sum with the accumulator is computed in float64, and then cut to float32, towards zero, as
hardware does (Fasi, Higham, Mikaitis & Pranesh 2021, "Numerical behavior of NVIDIA tensor cores", PeerJ Computer
Science 7:e330). Hardware may cut the addends as well, to no fewer bits than float32 has for the largest of them. Its
results may be further off by that much.

`mma` and matrix moves of any shape, which only PTX has, are in `products`.

Source    PTX ISA, "Warp-level matrix instructions": ldmatrix, and the fragments of mma.m16n8k8 and .m16n8k16.
"""

import numpy as np
from numba import njit

from convbench.emulator.collectives.products import GENERAL, TF32, answer_general, cut, value_in
from convbench.emulator.raw import bits_of, float_of, load_word, store_word
from convbench.emulator.state import WARP

# the instructions, as a lane notes them in `option`
LOAD, LOAD_TRANSPOSED = range(2)  # the others are the types TF32, F16 and BF16
A, B, C = 0, 4, 6  # offsets of the fragments in a lane's block, in words
ROWS, COLUMNS = 16, 8


@njit(nogil=True)
def answer_tensor(threads, warp, instruction):
    """Compute the results of an instruction for every lane of the warp whose first thread is `warp`."""
    if instruction >= GENERAL:
        answer_general(threads, warp, instruction)
    elif instruction in (LOAD, LOAD_TRANSPOSED):
        _exchange(threads, warp, instruction == LOAD_TRANSPOSED)
    else:
        _multiply(threads, warp, instruction)


@njit(nogil=True)
def _exchange(threads, warp, transposed):
    """Turn rows into fragments. Lane 8·i + r has loaded row r of matrix i, which has 8 × 8 halves."""
    rows = np.empty((WARP, 4), np.int64)
    for lane in range(WARP):
        for word in range(4):
            rows[lane, word] = load_word(threads[warp + lane].value + 4 * word)
    for lane in range(WARP):
        g, t = lane >> 2, lane & 3
        for i in range(4):
            if transposed:
                low = rows[8 * i + 2 * t, g >> 1] >> 16 * (g & 1) & 0xFFFF
                high = rows[8 * i + 2 * t + 1, g >> 1] >> 16 * (g & 1) & 0xFFFF
                found = low | high << 16
            else:
                found = rows[8 * i + g, t]
            store_word(threads[warp + lane].value + 4 * i, found)


@njit(nogil=True)
def _multiply(threads, warp, kind):
    """Add to the accumulators, 16 × 8, the product of A, 16 × depth, and B, depth × 8."""
    per_word = 1 if kind == TF32 else 2
    depth = 8 * per_word
    a, b = np.empty((ROWS, depth)), np.empty((depth, COLUMNS))
    for lane in range(WARP):
        block, g, t = threads[warp + lane].value, lane >> 2, lane & 3
        for i in range(4):
            word = load_word(block + 4 * (A + i))
            for half in range(per_word):
                a[g + 8 * (i & 1), per_word * (t + 4 * (i >> 1)) + half] = value_in(word, half, kind)
        for i in range(2):
            word = load_word(block + 4 * (B + i))
            for half in range(per_word):
                b[per_word * (t + 4 * i) + half, g] = value_in(word, half, kind)
    for lane in range(WARP):
        block, g, t = threads[warp + lane].value, lane >> 2, lane & 3
        for i in range(4):
            row, column = g + 8 * (i >> 1), 2 * t + (i & 1)
            place = block + 4 * (C + i)
            total = np.float64(float_of(load_word(place)))
            for k in range(depth):
                total += a[row, k] * b[k, column]
            store_word(place, bits_of(cut(total)))
