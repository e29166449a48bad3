"""No mutant of an algorithm's kernels survives verification on the checked device: a fault, or a wrong result.

The quick profile runs the first mutant of each kind in each kernel, some 70 of them, for each compiles a kernel;
`--hypothesis-profile=thorough` runs them all.
"""

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from unittest.mock import patch

import pytest
from hypothesis import settings
from mutants import KINDS, Mutant, mutants_of

from convbench import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.notation import parse
from convbench.verify import Case, Verification, verify

# no two sizes are equal, padding and window reach beyond every side, and no tile below divides what it covers
GROUPED = "n2c4h8w6-k6r3s2-pad1.2x2.1-stride2x1-dil1x2-g2-bias"
DEPTHWISE = "n2c3h8w6-k6r3s2-pad1.2x2.1-stride2x1-dil1x2-g3-bias"
FFT = "n1c2h20w31-k4r3s2-pad1.2x2.1-stride2x3-dil1x2-g2-bias"  # tiles of 14 × 15 outputs at stride 1
WINOGRAD = "n2c4h8w6-k6r3s3-pad1.2x2.1-dil1x2-g2-bias"

# the module that is mutated: whose kernel it is, with which config, and on what
MODULES = {
    "direct": ("direct", {"threads": 64}, GROUPED),
    "direct_tiled": ("direct_tiled", {"tile_k": 2, "tile_p": 2, "tile_q": 4}, GROUPED),
    "depthwise": ("depthwise", {"tile_p": 2, "tile_q": 4}, DEPTHWISE),
    "implicit_gemm": ("implicit_gemm", {"tile": 8}, GROUPED),
    "gemm": ("im2col_gemm", {"tile": 8}, GROUPED),
    "im2col_gemm": ("im2col_gemm", {"tile": 8}, GROUPED),
    "winograd": ("winograd_2x2_3x3", {"tile": 8}, WINOGRAD),
    "fft_tiled": ("fft_tiled", {"tile": 8}, FFT),
}

# no result and no rule can tell these from the kernel: module, kind, expression and part of it
EQUIVALENT = {
    # a further step, all of zeros
    ("gemm", "range + 1", "range(0, a.shape[2], tile)", 0),
    ("implicit_gemm", "range + 1", "range(0, terms, tile)", 0),
    # past the terms the indices wrap to other elements of w or x, and the other factor is zero there
    ("implicit_gemm", "no operand", "k < k_per_group and first + cuda.threadIdx.x < terms", 1),
    ("implicit_gemm", "no operand", "n < y.shape[0] and first + cuda.threadIdx.y < terms", 1),
    ("implicit_gemm", "< to <=", "first + cuda.threadIdx.x < terms", 0),
    ("implicit_gemm", "< to <=", "first + cuda.threadIdx.y < terms", 0),
}

DEVICE = EmulatorDevice(checked=True)
THOROUGH = settings.default.max_examples > 1000


def factories(name: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module in which its kernels are made."""
    tree = ast.parse(inspect.getsource(import_module(f"algorithms.{name}")))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in found if "cuda.jit" in ast.unparse(node)}


def mutants_to_run() -> Iterator[tuple[str, Mutant]]:
    """All, or of each kernel the first of each kind."""
    for name in MODULES:
        for factory in factories(name).values():
            seen = set()
            for mutant in mutants_of(ast.Module([factory], [])):
                equivalent = (name, mutant.kind, mutant.expression, mutant.part) in EQUIVALENT
                if not equivalent and (THOROUGH or mutant.kind not in seen):
                    seen.add(mutant.kind)
                    yield name, mutant


@contextmanager
def mutated(name: str, mutant: Mutant) -> Iterator[None]:
    """The module with a mutant in the place of the factory that it was made of; faults name the original's lines."""
    module, (definition,) = import_module(f"algorithms.{name}"), mutant.tree.body
    space = dict(vars(module))
    exec(compile(mutant.tree, str(module.__file__), "exec"), space)
    users = [getattr(module, user) for user, node in factories(name).items() if definition.name in ast.unparse(node)]
    with patch.object(module, definition.name, space[definition.name]):
        for user in users:
            user.cache_clear()
        try:
            yield
        finally:
            for user in users:
                user.cache_clear()


@cache
def case(text: str) -> Case:
    return Case(parse(text), 0)


def verification(name: str) -> Verification:
    algorithm, config, text = registry.get(MODULES[name][0]), MODULES[name][1], MODULES[name][2]
    config_class = type(algorithm.configs(parse(text))[0])
    assert algorithm.refuses(parse(text)) is None
    return verify(algorithm, case(text), DEVICE, config=config_class(**config))


@pytest.mark.parametrize("name", MODULES)
def test_the_algorithms_themselves_pass(name):
    assert verification(name).passed


def test_there_are_mutants_of_every_kind():
    assert {mutant.kind for _, mutant in mutants_to_run()} == KINDS


@pytest.mark.parametrize(
    ("name", "mutant"),
    [pytest.param(name, mutant, id=f"{name}: {mutant.name}") for name, mutant in mutants_to_run()],
)
def test_no_mutant_survives(name, mutant):
    with mutated(name, mutant):
        assert not verification(name).passed, ast.unparse(mutant.tree)
