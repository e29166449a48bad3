"""No mutant of a tiled kernel survives the checked mode: each is reported, or gives a wrong result.

After DeMillo, Lipton & Sayward 1978: small edits, one at a time, of the kernel's own source.
"""

import ast
import copy
import importlib.util
import inspect
import textwrap
from collections.abc import Iterator

import numpy as np
import pytest
from numba import cuda, float32

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


def mutants() -> Iterator[tuple[str, str]]:
    """What was done, with its line, and the whole source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(matmul)))
    for number, node in enumerate(ast.walk(tree)):
        for name, edit in edits(node):
            changed = copy.deepcopy(tree)
            edit(list(ast.walk(changed))[number])
            yield f"{name}-{getattr(node, 'lineno', 0)}-{getattr(node, 'col_offset', 0)}", ast.unparse(changed)


def edits(node):
    """Every way to spoil one node."""
    if isinstance(node, ast.Expr) and "syncthreads" in ast.unparse(node):
        yield "no barrier", lambda new: setattr(new, "value", ast.Constant(None))
    if isinstance(node, ast.Compare):
        yield "< to <=", lambda new: setattr(new, "ops", [ast.LtE()])
    if isinstance(node, ast.BoolOp):
        for kept in (0, 1):
            yield f"only condition {kept}", lambda new, kept=kept: setattr(new, "values", [new.values[kept]] * 2)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        for axis in range(len(node.slice.elts)):
            yield f"index {axis} + 1", lambda new, axis=axis: one_more(new.slice.elts, axis)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
        yield "range + 1", lambda new: one_more(new.args, min(1, len(new.args) - 1))


def one_more(nodes, place):
    nodes[place] = ast.BinOp(nodes[place], ast.Add(), ast.Constant(1))


MUTANTS = dict(mutants())


def kernel_of(source, folder):
    file = folder / "mutant.py"
    file.write_text("from numba import cuda, float32\n" + source)
    spec = importlib.util.spec_from_file_location("mutant", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cuda.jit(module.matmul)


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
    kinds = {name.split("-")[0] for name in MUTANTS}
    assert kinds == {
        "no barrier", "< to <=", "only condition 0", "only condition 1", "index 0 + 1", "index 1 + 1", "range + 1",
    }  # fmt: skip


def test_the_kernel_itself_runs_right(tmp_path):
    assert runs_right(kernel_of(textwrap.dedent(inspect.getsource(matmul)), tmp_path))


# one element too many is a further tile of zeros, which no result and no rule can tell from none
EQUIVALENT = [name for name in MUTANTS if "range(0, a.shape[1] + 1, 8)" in MUTANTS[name]]


@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in EQUIVALENT])
def test_no_mutant_survives(name, tmp_path):
    try:
        survives = runs_right(kernel_of(MUTANTS[name], tmp_path))
    except (KernelFault, OrderDependenceError):
        return
    assert not survives, MUTANTS[name]
