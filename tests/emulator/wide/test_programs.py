"""Random kernels give the same bits side by side and one after another."""

import linecache

import numpy as np
import pytest
from numba import cuda

from support.random_kernels import Program

HEAD = "from numba import cuda, float32\n"
THREADS, BLOCKS = 64, 3


@pytest.mark.parametrize("seed", range(16))
def test_random_branches_and_loops_leave_the_same_bits(seed, both, most):
    text, name = HEAD + Program(seed).text, f"<random kernel {seed}>"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    names = {}
    exec(compile(text, name, "exec"), names)
    random = np.random.default_rng(seed)
    x, w = random.standard_normal(64, np.float32), random.integers(-20, 60, 64)
    y, z = np.full(THREADS * BLOCKS, -1, np.int64), np.full(THREADS * BLOCKS, -1, np.float32)
    assert both(cuda.jit(names["kernel"]), BLOCKS, THREADS, x, w, y, z, 37) == most
