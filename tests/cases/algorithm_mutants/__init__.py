"""Mutants of the kernels that convbench ships, and the fuzzer that must find each of them."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any

from cases.mutants import Mutant, is_kernel, mutants_of
from convbench.algorithm import registry
from convbench.devices import Device
from convbench.fuzz import fuzz
from convbench.intrinsics import unrolling

EXAMPLES = 200

# the module that is mutated, and the algorithms by which its kernels are fuzzed, one after the other
MODULES = {
    "algorithms.correlation": "direct",
    "algorithms.depthwise.depthwise": "depthwise",
    "algorithms.direct.plain": "direct",
    "algorithms.direct.tiled": "direct_tiled",
    "algorithms.fft.correlation": "fft_tiled",
    "algorithms.fft.registers": "fft_tiled",
    "algorithms.fft.spectra": "fft_tiled",
    "algorithms.fft.weights": "fft_tiled",
    "algorithms.gemm.plain": "im2col_gemm",
    "algorithms.gemm.im2col": "im2col_gemm",
    "algorithms.gemm.implicit": "implicit_gemm",
    "algorithms.gemm.tiled_plan": "implicit_gemm",
    "algorithms.gemm.tiled": "implicit_gemm",
    "algorithms.fft.radix2": "fft_tiled",
    "algorithms.gemm.batched": "winograd_2x2_3x3 fft_tiled",
    "algorithms.tensor_cores.warp_gemm": "implicit_gemm_3xtf32 implicit_gemm_f16",
    "algorithms.tensor_cores.packing": "implicit_gemm_3xtf32",
    "algorithms.tensor_cores.windows": "implicit_gemm_3xtf32",
    "algorithms.indexing": "winograd_2x2_3x3 fft_tiled",
    "algorithms.winograd.plain": "winograd_2x2_3x3",
    "algorithms.winograd.transforms": "winograd_2x2_3x3 winograd_4x4_3x3",
    "convbench.algorithm.bias_gradient": "direct",
    "convbench.intrinsics.device_functions": "depthwise",
    "convbench.algorithm.packing": "im2col_gemm",
    "convbench.algorithm.padding": "direct",
}

# kernels that only large problems have, or a config that is asked for; `cases.mutants_by_hand` has mutants of these
BEYOND = {
    "algorithms.depthwise.patch", "algorithms.direct.window_plan", "algorithms.direct.window",
    "algorithms.tensor_cores.warpgroup_gemm", "algorithms.winograd.fused",
}  # fmt: skip

# no result and no rule can tell these from the kernel: module, function, kind, expression and part, and why
EQUIVALENT: dict[tuple[str, str, str, str, int], str] = {
    ("algorithms.correlation", "make_place", "no operand", "0 <= position < size", 0): (
        "a negative position is given back as it is, and every caller takes what is negative for a zero"
    ),
    ("algorithms.gemm.tiled_plan", "pack_filters", "narrow comparison", "flat >= packed.size", 0): (
        "tiles of filters are multiples of 256 elements, so that no block reaches beyond them"
    ),
    ("convbench.algorithm.padding", "_make_fold", "wide comparison", "index < 0", 0): "−0 is 0",
}


@dataclass(frozen=True)
class Place:
    """A mutant, and the function of a module in which its kernel is."""

    module: str
    function: str
    mutant: Mutant

    def __str__(self) -> str:
        return f"{self.module}: {self.mutant.name}"

    @property
    def what(self) -> tuple[str, str, str, str, int]:
        """Without its lines, which move."""
        return self.module, self.function, self.mutant.kind, self.mutant.expression, self.mutant.part


def sources(module: ModuleType) -> dict[str, ast.FunctionDef]:
    """The functions of a module in which kernels are made, or that are kernels."""
    tree = ast.parse(inspect.getsource(module))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in found if any(map(is_kernel, functions_in(node)))}


def functions_in(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """A function, and those in it."""
    return (inner for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef))


def places(name: str) -> Iterator[Place]:
    """Every mutant of a module."""
    for function, node in sources(import_module(name)).items():
        for mutant in mutants_of(ast.Module([node], [])):
            yield Place(name, function, mutant)


@contextmanager
def mutated(place: Place) -> Iterator[None]:
    """All that is loaded, with a mutant in the place of the original; faults name the original's lines.

    What is unrolled is read from its file again, where it still is the original: the unroller gets the mutant instead.
    """
    module, (definition,) = import_module(place.module), place.mutant.tree.body
    read = unrolling._module

    def read_mutated(file: str) -> ast.Module:
        tree = read(file)
        return ast.Module([definition, *tree.body], []) if file == module.__file__ else tree

    space = dict(vars(module))
    exec(compile(place.mutant.tree, str(module.__file__), "exec"), space)
    original, mutant = getattr(module, definition.name), space[definition.name]
    try:
        unrolling._module = read_mutated
        _replace(definition.name, original, mutant)
        yield
    finally:
        unrolling._module = read
        _replace(definition.name, mutant, original)


def _replace(name: str, old: Any, new: Any) -> None:
    """Put one object in the place of another in every module, those that were imported since included."""
    for holder in list(sys.modules.values()):
        if getattr(holder, "__dict__", {}).get(name) is old:
            setattr(holder, name, new)
    for function in (old, new):
        if hasattr(function, "cache_clear"):
            function.cache_clear()
    _forget(name)


def _forget(name: str) -> None:
    """Make the cached factories that use a function make their kernels again, and those that use such factories."""
    changed, grown = {name}, True
    while grown:
        grown = False
        for holder in [
            module for module in list(sys.modules.values()) if module.__name__.startswith(("algorithms.", "convbench."))
        ]:
            for user, value in list(vars(holder).items()):
                if user not in changed and hasattr(value, "cache_clear") and _names_in(value) & changed:
                    changed.add(user)
                    grown = True
                if user in changed and hasattr(value, "cache_clear"):
                    value.cache_clear()


def _names_in(cached: Any) -> set[str]:
    """The global names that a cached function and the kernels in it use."""
    code = getattr(getattr(cached, "__wrapped__", None), "__code__", None)  # of another package's cache: none
    names, codes = set[str](), [] if code is None else [code]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names


def examples_until_killed(
    place: Place, device: Device, *, examples: int = EXAMPLES, seed: int = 0
) -> tuple[int, str] | None:
    """How many cases the fuzzer ran until one failed, and what it said; None if the mutant survived them all."""
    return examples_of(place, MODULES[place.module].split(), device, examples=examples, seed=seed)


def examples_of(
    place: Place, names: Iterable[str], device: Device, *, examples: int, seed: int
) -> tuple[int, str] | None:
    """The same for the algorithms of these names, one after the other."""
    cases = 0
    with mutated(place):
        for name in names:
            result = fuzz(registry.get(name), device, examples=examples, seed=seed)
            cases += result.figures.cases
            if result.failure is not None:
                return cases, str(result.failure)
    return None
