"""No mutant of a tiled kernel survives the checked mode: each is reported, or gives a wrong result."""

import ast
import inspect
import textwrap

import numpy as np
import pytest
from numba import cuda, float32

from cases.mutants import KINDS, mutants_of
from convbench.emulator import Emulator, KernelFault, OrderDependenceError

TILE = 8
EMULATOR = Emulator(checked=True, budget=10_000)


def matmul(a, b, c):
    """c = a · b, of any sizes, by tiles of 8 × 8."""
    a_tile = cuda.shared.array((8, 8), float32)
    b_tile = cuda.shared.array((8, 8), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    i = cuda.blockIdx.y * 8 + ty
    j = cuda.blockIdx.x * 8 + tx
    total = float32(0)
    for start in range(0, a.shape[1], 8):
        if i < a.shape[0] and start + tx < a.shape[1]:
            a_tile[ty, tx] = a[i, start + tx]
        else:
            a_tile[ty, tx] = 0
        if start + ty < b.shape[0] and j < b.shape[1]:
            b_tile[ty, tx] = b[start + ty, j]
        else:
            b_tile[ty, tx] = 0
        cuda.syncthreads()
        for k in range(8):
            total += a_tile[ty, k] * b_tile[k, tx]
        cuda.syncthreads()
    if i < c.shape[0] and j < c.shape[1]:
        c[i, j] = total


SOURCE = textwrap.dedent(inspect.getsource(matmul))
MUTANTS = {mutant.name: mutant for mutant in mutants_of(ast.parse("@cuda.jit\n" + SOURCE))}


def kernel_of(tree: ast.Module):
    space = {"cuda": cuda, "float32": float32}
    exec(compile(tree, __file__, "exec"), space)
    return space["matmul"]


def runs_right(kernel) -> bool:
    """On a shape with ragged tiles in every dimension, and on one of whole tiles."""
    rng = np.random.default_rng(0)
    for m, k, n in ((11, 13, 9), (16, 16, 16)):
        a, b = rng.integers(1, 9, (m, k)).astype(np.float32), rng.integers(1, 9, (k, n)).astype(np.float32)
        c = np.full((m, n), np.nan, np.float32)
        EMULATOR.launch(kernel, (-(-n // TILE), -(-m // TILE)), (TILE, TILE), a, b, c)
        if not np.array_equal(c, a @ b):
            return False
    return True


def test_there_are_mutants_of_every_kind():
    assert {mutant.kind for mutant in MUTANTS.values()} == KINDS - {"narrow comparison"}  # it has no <= and no >=


def test_the_kernel_itself_runs_right():
    assert runs_right(cuda.jit(matmul))


# mutants with the same results and no broken rule: one more tile of zeros, the same number of tiles from another bound
# for these shapes, and a one behind the edge that is only multiplied by zeros
EQUIVALENT = [
    name
    for name, mutant in MUTANTS.items()
    if mutant.expression == "range(0, a.shape[1], 8)"
    or (mutant.kind == "wrong axis" and mutant.line == 10)
    or (mutant.kind == "wrong constant" and mutant.expression in ("a_tile[ty, tx] = 0", "b_tile[ty, tx] = 0"))
]


@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in EQUIVALENT])
def test_no_mutant_survives(name):
    tree = MUTANTS[name].tree
    try:
        survives = runs_right(kernel_of(tree))
    except (KernelFault, OrderDependenceError):
        return
    assert not survives, ast.unparse(tree)
