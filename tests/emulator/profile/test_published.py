"""Published counts of matrix products, on kernels written anew. Blocks are alike, so a sample is exact."""

import numpy as np
from numba import cuda, float32

from convbench.emulator import profile
from support.products import tiled

N, TILE = 1024, 32


@cuda.jit
def plain(a, b, c):
    column, row = cuda.grid(2)
    total = float32(0)
    for k in range(a.shape[1]):
        total += a[row, k] * b[k, column]
    c[row, column] = total


def counted(kernel, **options):
    a = np.zeros((N, N), np.float32)
    return profile(kernel, (N // TILE, N // TILE), (TILE, TILE), a, a.copy(), a.copy(), blocks=1, **options)


def test_a_product_by_tiles():
    # a public case study on an RTX A6000
    found = counted(tiled).total
    assert found.global_requests == 2_129_920
    assert found.sectors == found.ideal_sectors == 8_519_680
    # each of 32 · 32 · 32 warps has 32 steps: it stores two words, reads 32 of the right tile, and 32 of the left one
    # by loads of 128 bits with one address for all lanes, each of 2 wavefronts
    assert found.wavefronts == 32 * 32 * 32 * 32 * (2 + 32 + 8 * 2) == 52_428_800
    assert found.excessive_wavefronts == 0


def test_a_product_without_shared_memory():
    found = counted(plain, l1_bytes=128 * 1024).total  # one block of 1,024 threads has the whole cache of sm_86
    assert found.global_requests == 67_141_632
    assert found.sectors == (4 + 1) * N**3 // 32 + N * N // 8
    # each block misses 32 rows and 32 columns; stores miss, too
    assert found.sectors - found.l1_hits == 1024 * 2 * 32 * N // 8 + N * N // 8
    assert round(100 * found.l1_hits / found.sectors, 2) == 94.93
